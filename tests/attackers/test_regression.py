from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from refbench.attackers.averages import Averages
from refbench.attackers.base import Attacker, TrainingContext
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated
from refbench.attackers.mean_face import MeanFace
from refbench.attackers.regression import Regression, RegressionReconstructor, neighbourhood
from refbench.types import Images, ReleasedSlices, SlicePairs

Cohort = Callable[..., SlicePairs]
SMALL = {"patch": 7, "training_pixels": 8000}


@cache
def fit(attacker: Attacker, cohort: Cohort, how: str, seed: int = 0) -> Inpainter:
    context = TrainingContext(seed, Path("unused"))
    trained = attacker.fit(cohort(how, seed=1), cohort(how, people=3, seed=2), context)
    assert isinstance(trained, Inpainter)
    return trained


def error(pairs: SlicePairs, images: Images) -> float:
    return float(((images - pairs.original)[pairs.changed] ** 2).mean())


@pytest.mark.parametrize(("how", "share"), [("removal", 0.1), ("blur", 0.5), ("faint blur", 0.3)])
@pytest.mark.parametrize("region", ["estimated", "known"])
def test_brings_back_new_people(cohort: Cohort, how: str, share: float, region: KnownOrEstimated) -> None:
    test = cohort(how, people=4, seed=3)
    released = test.released if region == "known" else replace(test.released, changed=None)
    reconstructed = fit(Regression(region=region, **SMALL), cohort, how).reconstruct(released)
    assert error(test, reconstructed) < share * error(test, test.released.images)
    assert reconstructed.dtype == np.float32
    assert reconstructed.min() >= 0
    assert reconstructed.max() <= 1


@pytest.mark.parametrize("how", ["removal", "blur"])
def test_is_no_worse_than_the_mean_face(cohort: Cohort, how: str) -> None:
    test = cohort(how, people=4, seed=3)
    ridge, mean = (
        fit(attacker, cohort, how).reconstruct(test.released)
        for attacker in (Regression(region="known", **SMALL), MeanFace(region="known"))
    )
    assert error(test, ridge) < 1.02 * error(test, mean)


def test_learns_the_inverse_of_a_known_filter() -> None:
    """Of images brightened by a filter that has an inverse, the inverse filter comes back."""
    rng = np.random.default_rng(0)
    released = ndimage.gaussian_filter(rng.random((12, 30, 30)), (0, 0.7, 0.7)).astype(np.float32)
    inverse = np.array([[0, -0.2, 0], [-0.2, 1.7, -0.2], [0, -0.2, 0]])[None]
    original = ndimage.correlate(released, inverse.astype(np.float32), mode="nearest")
    numbers = np.arange(12)
    pairs = SlicePairs(
        ReleasedSlices(released, numbers // 3, numbers % 3, np.ones(released.shape, bool)), original.astype(np.float32)
    )
    trained = Regression(region="known", patch=3, ridge=1e-9, training_pixels=10_000).fit(
        pairs, pairs, TrainingContext(0, Path("unused"))
    )
    assert isinstance(trained, RegressionReconstructor)
    learnt = trained.filters[:9].reshape(3, 3)
    learnt[1, 1] += 1
    np.testing.assert_allclose(learnt, inverse[0], atol=5e-3)
    assert trained.weight == pytest.approx(1, abs=1e-3)


def test_neighbourhood_of_a_pixel(cohort: Cohort) -> None:
    pairs = cohort("blur", people=2)
    averages, transforms = Averages.learn(pairs)
    person = next(averages.pose(pairs.released, transforms))
    mask = np.zeros(person.images.shape, bool)
    mask[2, 20, 10] = mask[4, 0, 39] = True
    table = neighbourhood(person, mask, 5)
    assert table.shape == (2, 25 + 25 + 1 + 3 + 6 + 1)
    np.testing.assert_array_equal(table[0, :25].reshape(5, 5), person.images[2, 18:23, 8:13])
    np.testing.assert_array_equal(table[0, 25:50].reshape(5, 5), person.original[2, 18:23, 8:13])
    np.testing.assert_array_equal(table[1, :25].reshape(5, 5)[:3, 2:], person.images[4, 0, 39])
    np.testing.assert_array_equal(table[:, -1], 1)


def test_an_endless_penalty_leaves_an_even_correction(cohort: Cohort) -> None:
    trained = fit(Regression(region="known", ridge=1e3, **SMALL), cohort, "blur")
    assert isinstance(trained, RegressionReconstructor)
    assert np.abs(trained.filters[:-1]).max() < 1e-2


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_an_identity_is_returned_as_it_is(cohort: Cohort, region: KnownOrEstimated) -> None:
    test = cohort("identity", people=2, seed=3).released
    reconstructed = fit(Regression(region=region, **SMALL), cohort, "identity").reconstruct(test)
    np.testing.assert_array_equal(reconstructed, test.images)


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_same_seed_same_attack_and_loading_brings_it_back(
    cohort: Cohort, region: KnownOrEstimated, tmp_path: Path
) -> None:
    attacker = Regression(region=region, **SMALL)
    trained, again, other = (fit.__wrapped__(attacker, cohort, "blur", seed=seed) for seed in (3, 3, 4))
    trained.save(tmp_path)
    test = cohort("blur", people=2, seed=3).released
    expected = trained.reconstruct(test)
    np.testing.assert_array_equal(again.reconstruct(test), expected)
    np.testing.assert_array_equal(attacker.load(tmp_path).reconstruct(test), expected)
    assert (other.reconstruct(test) != expected).any()


def test_an_even_patch_has_no_middle() -> None:
    with pytest.raises(ValidationError, match="odd"):
        Regression(patch=12)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["removal", "blur"])
def test_gains_on_real_people(ixi_folder: Path, how: str) -> None:
    """Correlation inside the changed region (a box in front), new people, region not told."""
    files = sorted((ixi_folder / "T1").glob("*.nii.gz"))[:24]
    train, validation, test = (real_pairs(files[part], how) for part in (slice(16), slice(16, 19), slice(19, 24)))
    context = TrainingContext(0, Path("unused"))
    hidden = replace(test.released, changed=None)
    ridge, mean = (
        correlation(test, attacker.fit(train, validation, context).reconstruct(hidden))
        for attacker in (Regression(training_pixels=60_000), MeanFace())
    )
    none = correlation(test, test.released.images)
    assert mean > none - 0.005
    assert ridge > mean - 0.005
    assert ridge > none + 0.02


def real_pairs(files: list[Path], how: str) -> SlicePairs:
    """11 sagittal slices of each head, 12 mm apart, its lower front hidden."""
    originals, images = [], []
    for file in files:
        canonical: Any = nib.as_closest_canonical
        volume = canonical(nib.load(file)).get_fdata(dtype=np.float32)
        chosen = volume.shape[0] // 2 + 3 * np.arange(-5, 6)
        head = np.clip(volume[chosen].transpose(0, 2, 1)[:, ::-1, ::-1] / np.percentile(volume, 99.5), 0, 1)
        _, rows, columns = np.nonzero(head > 0.2)
        face = np.zeros(head.shape, bool)
        face[:, rows.min() + 35 :, : columns.min() + 30] = True
        lost = np.zeros_like(head) if how == "removal" else ndimage.gaussian_filter(head, (0, 2, 2))
        originals.append(head)
        images.append(np.where(face, lost, head))
    original, released = np.concatenate(originals), np.concatenate(images)
    numbers = np.arange(len(original))
    return SlicePairs(ReleasedSlices(released, numbers // 11, numbers % 11, released != original), original)


def correlation(pairs: SlicePairs, images: Images) -> float:
    """Pearson, mean over slices; of a constant 0, as no attack leaves where a face was removed."""
    values = []
    for original, image, changed in zip(pairs.original, images, pairs.changed, strict=True):
        one, other = original[changed], image[changed]
        values.append(np.corrcoef(one, other)[0, 1] if other.std() > 0 else 0.0)
    return float(np.mean(values))
