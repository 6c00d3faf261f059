from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from refbench.attackers.base import TrainingContext
from refbench.attackers.blur_estimate import measure
from refbench.attackers.deblurring import richardson_lucy, wiener
from refbench.attackers.deconvolution import Deconvolution, DeconvolutionReconstructor
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.attackers.point_spread import Gaussian, PointSpread, around, soft_edge
from refbench.types import Images, Mask, ReleasedSlices, SlicePairs

Cohort = Callable[..., SlicePairs]
Method = Callable[..., Images]


@cache
def fit(attacker: Deconvolution, cohort: Cohort, how: str) -> DeconvolutionReconstructor:
    context = TrainingContext(0, Path("unused"))
    trained = attacker.fit(cohort(how, seed=1), cohort(how, people=3, seed=2), context)
    assert isinstance(trained, DeconvolutionReconstructor)
    return trained


def error(pairs: SlicePairs, images: np.ndarray) -> float:
    return float(((images - pairs.original)[pairs.changed] ** 2).mean())


def blurred_pairs(spread: PointSpread, people: int = 3) -> SlicePairs:
    """Textures of 6 slices of 40 x 40, blurred in a box with a soft edge as an anonymizer would."""
    rng = np.random.default_rng(5)
    shape = (6, 40, 40)
    region = np.zeros(shape, bool)
    region[:, 8:36, 4:30] = True
    share = soft_edge(region, spread.edge)
    texture = [ndimage.gaussian_filter(rng.normal(size=shape), (1.0, 1.2, 1.2)) for _ in range(people)]
    originals = [np.clip(0.5 + one, 0, 1).astype(np.float32) for one in texture]
    widths = (spread.across, spread.within, spread.within)
    released = [(1 - share) * one + share * ndimage.gaussian_filter(one, widths, mode="nearest") for one in originals]
    original, images = np.concatenate(originals), np.concatenate(released).astype(np.float32)
    numbers = np.arange(6 * people)
    return SlicePairs(ReleasedSlices(images, numbers // 6, numbers % 6, images != original), original)


@pytest.mark.parametrize(
    "spread", [PointSpread(0.7, 2.0, 2), PointSpread(1.2, 1.0, 0), PointSpread(0.5, 3.0, 4)], ids=str
)
def test_measures_the_blur(spread: PointSpread) -> None:
    found = measure(blurred_pairs(spread))
    assert found is not None
    assert found.within == pytest.approx(spread.within, rel=0.03)
    assert found.across == pytest.approx(spread.across, rel=0.06)
    assert found.edge == spread.edge


@pytest.mark.parametrize("how", ["removal", "blank", "identity"])
def test_takes_nothing_else_for_a_blur(cohort: Cohort, how: str) -> None:
    assert measure(cohort(how)) is None


def test_gaussian_is_scipys_and_its_transpose_the_adjoint() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 4, 9, 11)).astype(np.float32)
    blur = Gaussian.of(one.shape, 0.8, 1.7)
    np.testing.assert_allclose(blur(one), ndimage.gaussian_filter(one, (0.8, 1.7, 1.7), mode="nearest"), atol=1e-5)
    assert np.vdot(blur(one), other) == pytest.approx(np.vdot(one, blur.transpose(other)), rel=1e-5)


def test_a_soft_edge_rises_from_the_edge_inwards() -> None:
    mask = np.zeros((1, 9, 20), bool)
    mask[:, :, 8:] = True
    np.testing.assert_array_equal(soft_edge(mask, 0), mask)
    row = soft_edge(mask, 2)[0, 4]
    np.testing.assert_allclose(row[6:12], [0, 0, 0.2, 0.6, 1, 1], atol=1e-6)


def test_around_a_region() -> None:
    mask = np.zeros((2, 10, 10), bool)
    mask[1, 4, 1] = mask[0, 6, 3] = True
    box = around(mask, 2)
    assert mask[box].shape == (2, 7, 6)


@pytest.mark.parametrize(("method", "setting", "share"), [(wiener, 1e-4, 0.2), (richardson_lucy, 64, 0.4)])
def test_undoes_a_known_blur(method: Method, setting: float, share: float) -> None:
    spread = PointSpread(0.7, 1.5, 2)
    pairs = blurred_pairs(spread, people=1)
    sharp = method(pairs.released.images, pairs.changed, spread, setting)
    assert error(pairs, sharp) < share * error(pairs, pairs.released.images)
    np.testing.assert_array_equal(sharp[~pairs.changed], pairs.original[~pairs.changed])
    assert sharp.dtype == np.float32
    assert sharp.min() >= 0
    assert sharp.max() <= 1


@pytest.mark.parametrize("method", [wiener, richardson_lucy])
def test_a_constant_stays_one(method: Method) -> None:
    grey = np.full((3, 12, 12), 0.4, np.float32)
    region: Mask = np.zeros(grey.shape, bool)
    region[:, 3:9, 3:9] = True
    np.testing.assert_allclose(method(grey, region, PointSpread(0.5, 2.0, 1), 4), 0.4, atol=1e-5)


@pytest.mark.parametrize("name", ["wiener", "richardson_lucy"])
@pytest.mark.parametrize("region", ["estimated", "known"])
def test_brings_back_new_people(cohort: Cohort, name: str, region: KnownOrEstimated) -> None:
    test = cohort("blur", people=4, seed=3)
    released = test.released if region == "known" else replace(test.released, changed=None)
    attacker = Deconvolution.model_validate({"method": name, "region": region})
    out = fit(attacker, cohort, "blur").reconstruct(released)
    assert error(test, out) < 0.6 * error(test, test.released.images)


def test_a_removed_face_stays_removed(cohort: Cohort) -> None:
    test = cohort("removal", people=2, seed=3).released
    out = fit(Deconvolution(region="known"), cohort, "removal").reconstruct(test)
    np.testing.assert_array_equal(out, test.images)


def test_without_validation_people_training_people_choose(cohort: Cohort) -> None:
    train = cohort("blur", seed=1)
    context = TrainingContext(0, Path("unused"))
    attacker = Deconvolution(region="known")
    chosen, given = (attacker.fit(train, on, context) for on in (train.take(slice(0)), train.take(slice(30))))
    assert isinstance(chosen, DeconvolutionReconstructor)
    assert isinstance(given, DeconvolutionReconstructor)
    assert (chosen.setting, chosen.weight) == (given.setting, given.weight)


def test_missing_slices_do_not_matter_to_a_stack(cohort: Cohort) -> None:
    """Positions 0, 1, 3 and 4 of 5: the missing one is filled for the blur and not returned."""
    trained = fit(Deconvolution(region="known"), cohort, "blur")
    test = cohort("blur", people=1, seed=3)
    some = test.take(np.array([0, 1, 3, 4]))
    assert error(some, trained.reconstruct(some.released)) < 0.7 * error(some, some.released.images)


@pytest.mark.parametrize("name", ["wiener", "richardson_lucy"])
def test_loading_brings_it_back(cohort: Cohort, name: str, tmp_path: Path) -> None:
    attacker = Deconvolution.model_validate({"method": name})
    trained = fit(attacker, cohort, "blur")
    trained.save(tmp_path)
    test = cohort("blur", people=2, seed=3).released
    np.testing.assert_array_equal(attacker.load(tmp_path).reconstruct(test), trained.reconstruct(test))


def test_without_a_blur_loading_brings_that_back(cohort: Cohort, tmp_path: Path) -> None:
    fit(Deconvolution(), cohort, "removal").save(tmp_path)
    loaded = Deconvolution().load(tmp_path)
    assert isinstance(loaded, DeconvolutionReconstructor)
    assert loaded.spread is None
