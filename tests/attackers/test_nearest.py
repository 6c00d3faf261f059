from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from refbench.attackers.base import TrainingContext
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.attackers.nearest import Gallery, Nearest, NearestReconstructor
from refbench.types import SlicePairs

Cohort = Callable[..., SlicePairs]


@cache
def fit(attacker: Nearest, cohort: Cohort, how: str) -> NearestReconstructor:
    context = TrainingContext(0, Path("unused"))
    trained = attacker.fit(cohort(how, seed=1), cohort(how, people=3, seed=2), context)
    assert isinstance(trained, NearestReconstructor)
    return trained


def error(pairs: SlicePairs, images: np.ndarray) -> float:
    return float(((images - pairs.original)[pairs.changed] ** 2).mean())


def test_correlation_and_brightness_of_a_hand_made_gallery() -> None:
    """The attention takes the first two of three voxels."""
    people = np.array([[0, 100, 7], [100, 0, 7], [80, 80, 0]], np.uint8).reshape(3, 1, 1, 3)
    gallery = Gallery(np.zeros((3, 1, 2, 2), np.uint8), people, np.stack([np.eye(4)] * 3))
    release = np.array([0, 200, 0], np.float32).reshape(1, 1, 3) / 255
    alike, brightness = gallery.alike(release, np.array([1, 1, 0], np.float32).reshape(1, 1, 3))
    np.testing.assert_allclose(alike, [1, -1, 0], atol=1e-5)
    np.testing.assert_allclose(brightness, [2, 0, 200 * 80 / (2 * 80**2)], atol=1e-5)


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_fills_a_removed_face(cohort: Cohort, region: KnownOrEstimated) -> None:
    test = cohort("removal", people=4, seed=3)
    released = test.released if region == "known" else replace(test.released, changed=None)
    reconstructed = fit(Nearest(region=region), cohort, "removal").reconstruct(released)
    assert error(test, reconstructed) < 0.2 * error(test, test.released.images)
    assert reconstructed.dtype == np.float32
    assert reconstructed.min() >= 0
    assert reconstructed.max() <= 1


@pytest.mark.parametrize("how", ["removal", "blur"])
def test_a_training_person_is_found_and_comes_back_in_detail(cohort: Cohort, how: str) -> None:
    trained = replace(fit(Nearest(region="known"), cohort, how), weight=1.0)
    members = cohort(how, seed=1).take(slice(10, 15))
    darker = replace(members.released, images=members.released.images * np.float32(0.8))
    out = trained.reconstruct(darker)
    assert np.abs(out - 0.8 * members.original)[members.changed].max() < 0.02


def test_the_average_of_all_neighbours_knows_no_detail(cohort: Cohort) -> None:
    one, everybody = (
        replace(fit(Nearest(region="known", neighbours=k), cohort, "removal"), weight=1.0) for k in (1, 8)
    )
    test = cohort("removal", people=4, seed=3)
    assert error(test, everybody.reconstruct(test.released)) < error(test, one.reconstruct(test.released))


@pytest.mark.parametrize("how", ["blur", "faint blur"])
def test_never_worse_than_no_attack(cohort: Cohort, how: str) -> None:
    test = cohort(how, people=4, seed=3)
    out = fit(Nearest(region="known"), cohort, how).reconstruct(test.released)
    assert error(test, out) <= 1.01 * error(test, test.released.images)


def test_an_identity_is_returned_as_it_is(cohort: Cohort) -> None:
    test = cohort("identity", people=2, seed=3).released
    out = fit(Nearest(), cohort, "identity").reconstruct(replace(test, changed=None))
    np.testing.assert_array_equal(out, test.images)


def test_a_release_is_reconstructed_alone_as_among_others(cohort: Cohort) -> None:
    trained, test = fit(Nearest(), cohort, "removal"), cohort("removal", people=3, seed=3).released
    together = trained.reconstruct(replace(test, changed=None))
    alone = trained.reconstruct(replace(test.take(slice(5, 10)), changed=None))
    np.testing.assert_array_equal(alone, together[5:10])


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_loading_brings_it_back(cohort: Cohort, region: KnownOrEstimated, tmp_path: Path) -> None:
    attacker = Nearest(region=region, neighbours=2)
    trained = fit(attacker, cohort, "removal")
    trained.save(tmp_path)
    test = cohort("removal", people=2, seed=3).released
    np.testing.assert_array_equal(attacker.load(tmp_path).reconstruct(test), trained.reconstruct(test))
