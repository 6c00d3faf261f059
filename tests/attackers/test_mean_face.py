from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from refbench.attackers.base import TrainingContext
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated
from refbench.attackers.mean_face import MeanFace
from refbench.errors import DataError, StoreError
from refbench.types import Images, SlicePairs

Cohort = Callable[..., SlicePairs]


@cache
def fit(attacker: MeanFace, cohort: Cohort, how: str, seed: int = 0) -> Inpainter:
    context = TrainingContext(seed, Path("unused"))
    trained = attacker.fit(cohort(how, seed=1), cohort(how, people=3, seed=2), context)
    assert isinstance(trained, Inpainter)
    return trained


def error(pairs: SlicePairs, images: Images) -> float:
    return float(((images - pairs.original)[pairs.changed] ** 2).mean())


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_fills_a_removed_face(cohort: Cohort, region: KnownOrEstimated) -> None:
    test = cohort("removal", people=4, seed=3)
    released = test.released if region == "known" else replace(test.released, changed=None)
    reconstructed = fit(MeanFace(region=region), cohort, "removal").reconstruct(released)
    assert error(test, reconstructed) < 0.1 * error(test, test.released.images)
    assert reconstructed.dtype == np.float32
    assert reconstructed.min() >= 0
    assert reconstructed.max() <= 1


def test_outside_the_known_region_no_bit_changes(cohort: Cohort) -> None:
    test = cohort("removal", people=2, seed=3)
    reconstructed = fit(MeanFace(region="known"), cohort, "removal").reconstruct(test.released)
    np.testing.assert_array_equal(reconstructed[~test.changed], test.original[~test.changed])


@pytest.mark.parametrize("how", ["removal", "blur", "faint blur"])
def test_never_worse_than_no_attack(cohort: Cohort, how: str) -> None:
    trained = fit(MeanFace(region="known"), cohort, how)
    test = cohort(how, people=4, seed=3)
    assert error(test, trained.reconstruct(test.released)) <= 1.01 * error(test, test.released.images)


def test_the_less_is_hidden_the_less_the_average_counts(cohort: Cohort) -> None:
    assert fit(MeanFace(region="known"), cohort, "removal").weight > 0.9
    assert fit(MeanFace(region="known"), cohort, "faint blur").weight < 0.1


def test_an_identity_is_returned_as_it_is(cohort: Cohort) -> None:
    test = cohort("identity", people=2, seed=3).released
    reconstructed = fit(MeanFace(), cohort, "identity").reconstruct(replace(test, changed=None))
    np.testing.assert_array_equal(reconstructed, test.images)


def test_of_blank_releases_everybody_gets_the_same_face(cohort: Cohort) -> None:
    train, test = cohort("blank", seed=1), cohort("blank", people=2, seed=3)
    reconstructed = fit(MeanFace(region="known"), cohort, "blank").reconstruct(test.released)
    first, second = reconstructed[:5], reconstructed[5:]
    average = train.original.reshape(8, 5, 40, 40).mean(axis=0)
    changed = test.changed[:5] & test.changed[5:]
    np.testing.assert_allclose(first[changed], second[changed], atol=1e-6)
    np.testing.assert_allclose(first[test.changed[:5]], average[test.changed[:5]], atol=0.05)


def test_a_release_is_reconstructed_alone_as_among_others(cohort: Cohort) -> None:
    trained, test = fit(MeanFace(), cohort, "removal"), cohort("removal", people=3, seed=3).released
    alone = replace(test, images=test.images[5:10], release=test.release[5:10], position=test.position[5:10])
    together = trained.reconstruct(replace(test, changed=None))
    np.testing.assert_array_equal(trained.reconstruct(replace(alone, changed=None)), together[5:10])


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_same_seed_same_attack_and_loading_brings_it_back(
    cohort: Cohort, region: KnownOrEstimated, tmp_path: Path
) -> None:
    attacker = MeanFace(region=region)
    trained, again = (fit.__wrapped__(attacker, cohort, "blur", seed=3) for _ in range(2))
    trained.save(tmp_path)
    test = cohort("blur", people=2, seed=3).released
    expected = trained.reconstruct(test)
    np.testing.assert_array_equal(again.reconstruct(test), expected)
    np.testing.assert_array_equal(attacker.load(tmp_path).reconstruct(test), expected)


def test_estimated_never_reads_the_true_region(cohort: Cohort) -> None:
    trained, test = fit(MeanFace(), cohort, "removal"), cohort("removal", people=2, seed=3).released
    lie = replace(test, changed=~test.changed if test.changed is not None else None)
    np.testing.assert_array_equal(trained.reconstruct(lie), trained.reconstruct(replace(test, changed=None)))


def test_a_known_region_must_be_told(cohort: Cohort) -> None:
    trained, test = fit(MeanFace(region="known"), cohort, "removal"), cohort("removal", people=1, seed=3).released
    with pytest.raises(DataError, match="region: known"):
        trained.reconstruct(replace(test, changed=None))


def test_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "attacker.npz").write_bytes(b"PK but no more")
    with pytest.raises(StoreError, match=r"attacker\.npz"):
        MeanFace().load(tmp_path)


def test_unaligned_is_the_plain_average_of_a_position(cohort: Cohort, tmp_path: Path) -> None:
    train, test = cohort("removal", seed=1), cohort("removal", people=2, seed=3)
    attacker = MeanFace(region="known", aligned=False)
    trained = replace(fit(attacker, cohort, "removal"), weight=1.0)
    average = train.original.reshape(8, 5, 40, 40).mean(axis=0)
    expected = np.where(test.changed, np.concatenate([average, average]), test.original)
    np.testing.assert_allclose(trained.reconstruct(test.released), expected, atol=1e-6)
    trained.save(tmp_path)
    np.testing.assert_array_equal(
        attacker.load(tmp_path).reconstruct(test.released), trained.reconstruct(test.released)
    )


def test_aligned_is_nearer_than_unaligned(cohort: Cohort) -> None:
    test = cohort("removal", people=4, seed=3)
    aligned, plain = (
        fit(MeanFace(region="known", aligned=aligned), cohort, "removal").reconstruct(test.released)
        for aligned in (True, False)
    )
    assert error(test, aligned) < error(test, plain)
