import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.errors import DataError
from refbench.metrics.head_metrics.tissue import FLUID, GREY, WHITE, Tissues, find_tissues
from refbench.types import Head, Mask

SHAPE, VOXEL_MM = (30, 34, 32), 4.0


def made_brain(noise: float = 3.0, shading: float = 0.0) -> tuple[Head, Mask, np.ndarray]:
    """A ball of white matter in a shell of grey matter in fluid; the head, its brain, and which tissue is where."""
    x, y, z = (np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2) * VOXEL_MM
    radius = np.sqrt(x**2 + y**2 + z**2)
    kind = np.select([radius < 38, radius < 48, radius < 54], [WHITE, GREY, FLUID], -1)
    level = np.select([kind == WHITE, kind == GREY, kind == FLUID], [160.0, 110.0, 40.0], 5.0)
    field = 1 + shading * x / 54
    voxels = level * field + noise * np.random.default_rng(0).standard_normal(SHAPE)
    return Head(voxels.astype(np.float32), np.diag([VOXEL_MM] * 3 + [1])), kind >= 0, kind


def test_known_tissues_are_found() -> None:
    head, brain, kind = made_brain()
    tissues = find_tissues(head, brain)
    np.testing.assert_array_equal(tissues.kind, kind[brain])
    assert tissues.volume_ml(WHITE) == pytest.approx((kind == WHITE).sum() * 0.064)
    assert np.median(tissues.of(GREY)) == pytest.approx(110, rel=0.02)


def test_shading_is_evened_out() -> None:
    head, brain, kind = made_brain(shading=0.3)
    plain = np.digitize(head.voxels[brain], [75, 135])
    wrong = (find_tissues(head, brain).kind != kind[brain]).mean()
    assert wrong < 0.03 < (plain != kind[brain]).mean()


@settings(max_examples=6, deadline=None)
@given(st.floats(1e-3, 1e4))
def test_indifferent_to_the_scale(scale: float) -> None:
    head, brain, _ = made_brain(shading=0.2)
    scaled = find_tissues(head.with_voxels((head.voxels * scale).astype(np.float32)), brain)
    differ = scaled.kind != find_tissues(head, brain).kind
    assert differ.mean() < 1e-3


def test_thresholds_move_smoothly() -> None:
    """One voxel less of the brain must not move the others into another class, as a histogram's bins would."""
    head, brain, _ = made_brain(noise=12)
    fewer = brain.copy()
    fewer[tuple(np.argwhere(brain)[0])] = False
    before, after = find_tissues(head, brain), find_tissues(head, fewer)
    assert abs(before.volume_ml(GREY) / after.volume_ml(GREY) - 1) < 2e-3


@pytest.mark.parametrize("values", [0.0, 7.0])
def test_a_constant_brain_has_no_tissues(values: float) -> None:
    head, brain, _ = made_brain()
    with pytest.raises(DataError, match="no three tissues"):
        find_tissues(head.with_voxels(np.full(SHAPE, values, np.float32)), brain)


def test_an_empty_brain_has_no_tissues() -> None:
    head, brain, _ = made_brain()
    with pytest.raises(DataError, match="no three tissues"):
        find_tissues(head, np.zeros_like(brain))


def test_a_brain_below_zero_cannot_be_evened() -> None:
    head, brain, _ = made_brain()
    with pytest.raises(DataError, match="darker than 0"):
        find_tissues(head.with_voxels(head.voxels - 500), brain)


def test_volume_of_none() -> None:
    assert Tissues(np.ones(4), np.full(4, GREY, np.int8), 0.5).volume_ml(WHITE) == 0
