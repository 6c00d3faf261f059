from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from refbench.attackers.base import TrainingContext
from refbench.attackers.eigenface import Eigenface, EigenfaceReconstructor
from refbench.attackers.face_components import FaceComponents
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.types import SlicePairs

Cohort = Callable[..., SlicePairs]


@cache
def fit(attacker: Eigenface, cohort: Cohort, how: str) -> EigenfaceReconstructor:
    context = TrainingContext(0, Path("unused"))
    trained = attacker.fit(cohort(how, seed=1), cohort(how, people=3, seed=2), context)
    assert isinstance(trained, EigenfaceReconstructor)
    return trained


def error(pairs: SlicePairs, images: np.ndarray) -> float:
    return float(((images - pairs.original)[pairs.changed] ** 2).mean())


def test_conditional_mean_of_two_voxels() -> None:
    """A hidden and a seen voxel of variance 5 and covariance 4, so of 9 along (1, 1) and 1 (noise) across it.

    Of the seen one 10 above its mean, a Gaussian lets expect 10 * 4 / 5 = 8 of the hidden one.
    """
    zone = np.array([True, False]).reshape(1, 1, 2)
    diagonal = np.array([[1, 1], [1, -1]], np.float32) / np.sqrt(np.float32(2))
    faces = FaceComponents(zone, ~zone, np.array([3, 5], np.float32), diagonal, np.array([9.0, 1.0])).first(1)
    original, shown = faces.infer(np.array([0, 15], np.float32).reshape(1, 1, 2))
    np.testing.assert_allclose(original.ravel(), [8, 0], rtol=1e-5)
    np.testing.assert_allclose(shown.ravel(), [0, 8], rtol=1e-5)


def test_directions_are_principal_components(cohort: Cohort) -> None:
    faces = fit(Eigenface(region="known", components=100), cohort, "removal").faces
    assert len(faces.directions) == 7  # eight people
    np.testing.assert_allclose(faces.directions @ faces.directions.T, np.eye(7), atol=1e-3)
    assert (np.diff(faces.variances) <= 0).all()


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_fills_a_removed_face(cohort: Cohort, region: KnownOrEstimated) -> None:
    test = cohort("removal", people=4, seed=3)
    released = test.released if region == "known" else replace(test.released, changed=None)
    out = fit(Eigenface(region=region), cohort, "removal").reconstruct(released)
    assert error(test, out) < 0.1 * error(test, test.released.images)
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize("how", ["blur", "faint blur"])
def test_never_worse_than_no_attack(cohort: Cohort, how: str) -> None:
    test = cohort(how, people=4, seed=3)
    out = fit(Eigenface(region="known"), cohort, how).reconstruct(test.released)
    assert error(test, out) <= 1.01 * error(test, test.released.images)


def test_what_a_blur_left_is_kept(cohort: Cohort) -> None:
    trained = fit(Eigenface(region="known"), cohort, "faint blur")
    assert trained.detail or not trained.weight
    assert not fit(Eigenface(region="known"), cohort, "removal").detail


def test_an_identity_is_returned_as_it_is(cohort: Cohort) -> None:
    test = cohort("identity", people=2, seed=3).released
    out = fit(Eigenface(), cohort, "identity").reconstruct(replace(test, changed=None))
    np.testing.assert_array_equal(out, test.images)


def test_a_release_is_reconstructed_alone_as_among_others(cohort: Cohort) -> None:
    trained, test = fit(Eigenface(), cohort, "removal"), cohort("removal", people=3, seed=3).released
    together = trained.reconstruct(replace(test, changed=None))
    alone = trained.reconstruct(replace(test.take(slice(5, 10)), changed=None))
    np.testing.assert_array_equal(alone, together[5:10])


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_loading_brings_it_back(cohort: Cohort, region: KnownOrEstimated, tmp_path: Path) -> None:
    attacker = Eigenface(region=region, components=3)
    trained = fit(attacker, cohort, "removal")
    assert len(trained.faces.directions) == 3
    trained.save(tmp_path)
    test = cohort("removal", people=2, seed=3).released
    np.testing.assert_array_equal(attacker.load(tmp_path).reconstruct(test), trained.reconstruct(test))
