import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from synthetic_heads import synthetic_head

from refbench.metrics.head_metrics.base import HeadPair
from refbench.metrics.head_metrics.continuity import Continuity, roughness
from refbench.types import Head

RNG = np.random.default_rng(0)
SHAPE = (24, 26, 25)
ORIGINAL = 100 + 20 * ndimage.gaussian_filter(RNG.standard_normal(SHAPE), 0.8).astype(np.float32)


def measured(candidate: np.ndarray, original: np.ndarray = ORIGINAL) -> dict[str, float]:
    first, second = (Head(voxels.astype(np.float32), np.eye(4)) for voxels in (original, candidate))

    def none(head: Head) -> None:
        raise AssertionError("continuity needs neither brain nor skin")

    return Continuity().measure(HeadPair(first, second, None, none, none))


def test_unchanged_is_as_smooth_as_the_original() -> None:
    assert measured(ORIGINAL) == {"jaggedness": 1.0, "roughness_across": 1.0, "roughness_within": 1.0}


def test_slices_that_were_smoothed_one_by_one_are_jagged() -> None:
    by_slice = measured(ndimage.gaussian_filter(ORIGINAL, (0, 1, 1)))
    whole = measured(ndimage.gaussian_filter(ORIGINAL, 1))
    assert by_slice["jaggedness"] > 1.5
    assert whole["jaggedness"] == pytest.approx(1, abs=0.1)
    assert whole["roughness_across"] < 0.6


def test_steps_between_slices_and_only_those_count() -> None:
    steps = 30 * (-1.0) ** np.arange(SHAPE[0])
    across = measured(ORIGINAL + steps[:, None, None])
    along_y = measured(ORIGINAL + (30 * (-1.0) ** np.arange(SHAPE[1]))[None, :, None])
    assert across["jaggedness"] > 3
    assert across["roughness_within"] == pytest.approx(1, abs=0.01)
    assert along_y["jaggedness"] < 0.5


@settings(max_examples=20, deadline=None)
@given(st.floats(0.001, 1000))
def test_indifferent_to_the_scale(scale: float) -> None:
    candidate = ndimage.gaussian_filter(ORIGINAL, (0, 1, 1))
    expected = measured(candidate)
    assert measured(candidate * scale, ORIGINAL * scale) == pytest.approx(expected, rel=1e-2)


def test_roughness_by_hand() -> None:
    voxels = np.zeros((5, 1, 1), np.float32)
    voxels[:, 0, 0] = [0, 1, 4, 9, 16]  # squares: all second differences are 2
    assert roughness(voxels, np.ones((5, 1, 1), bool), (0,)) == 2
    assert np.isnan(roughness(voxels, np.ones((5, 1, 1), bool), (1,)))


def test_only_what_changed_counts() -> None:
    head = synthetic_head((6.0, 6.0, 6.0))
    candidate = head.voxels.copy()
    candidate[4:8, 20:24, 4:8] += 50 * RNG.random((4, 4, 4))
    candidate[9:, :3] += 1e-4  # as rounding leaves it
    everywhere = candidate.copy()
    everywhere[9:, :3] += 50
    assert measured(candidate, head.voxels) != measured(everywhere, head.voxels)
    exact = np.where(np.abs(candidate - head.voxels) > 0.25, candidate, head.voxels)
    assert measured(candidate, head.voxels) == pytest.approx(measured(exact, head.voxels), rel=1e-3, nan_ok=True)
