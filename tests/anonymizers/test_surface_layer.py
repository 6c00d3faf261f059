from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.anonymizers.normfilter import bend_back, box_mean, normfilter, straighten
from refbench.anonymizers.surface_layer import SurfaceLayer, local_head, surface_layer

MM = np.ones(3)


def plane(shape: tuple[int, int, int], top: float, slope: float = 0.0) -> np.ndarray:
    """A half-space whose skin has the height `top` + `slope` x u."""
    u, _, depth = np.indices(shape)
    return depth < top + slope * u


def ball(radius_mm: float, voxel_mm: np.ndarray) -> np.ndarray:
    reach = np.ceil((radius_mm + 30) / voxel_mm).astype(int)
    axes = (np.arange(-n, n + 1) * edge for n, edge in zip(reach, voxel_mm, strict=True))
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return x**2 + y**2 + z**2 < radius_mm**2


@settings(max_examples=10, deadline=None)
@given(
    voxel_mm=st.tuples(*[st.floats(0.7, 3)] * 3),
    step_mm=st.floats(5, 30),
    thickness_mm=st.floats(4, 12),
)
def test_over_a_plane_the_layer_is_flat_and_as_thick_as_stated(
    voxel_mm: tuple[float, float, float], step_mm: float, thickness_mm: float
) -> None:
    layer = surface_layer(plane((24, 30, 60), 30), np.array(voxel_mm), step_mm, thickness_mm)
    assert layer is not None
    np.testing.assert_allclose(29.5 - layer.lower, thickness_mm / voxel_mm[2], rtol=1e-6)
    np.testing.assert_allclose(layer.upper - 29.5, thickness_mm / voxel_mm[2], rtol=1e-6)
    assert layer.seen.all()


def test_over_a_slope_the_thickness_is_measured_along_the_normal() -> None:
    layer = surface_layer(plane((80, 40, 120), 20, slope=0.75), MM, 10, 8)
    assert layer is not None
    middle = np.s_[25:55, 10:30]
    np.testing.assert_allclose((layer.upper - layer.lower)[middle], 2 * 8 * np.hypot(1, 0.75), rtol=0.03)
    climb = np.diff(layer.lower[25:55, 20])
    assert climb.mean() == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("voxel_mm", [(1, 1, 1), (0.8, 1.2, 2.5), (2, 2, 2)])
def test_the_skin_of_a_ball_lies_in_the_middle_of_the_layer_whatever_the_voxels(
    voxel_mm: tuple[float, float, float],
) -> None:
    edges = np.array(voxel_mm)
    mask = ball(60, edges)
    layer = surface_layer(mask, edges, 10, 6)
    assert layer is not None
    u, v = ((np.arange(size) - size // 2) * edge for size, edge in zip(mask.shape[:2], edges[:2], strict=True))
    from_axis = np.hypot(u[:, None], v)
    front = from_axis < 35
    centre = mask.shape[2] // 2
    lower, upper = ((height - centre) * edges[2] for height in (layer.lower, layer.upper))
    for height, radius in ((lower, 54), (upper, 66)):
        error = np.hypot(height, from_axis)[front] - radius
        assert np.abs(error).max() < 1 + edges.max()


def test_a_nose_between_the_vertices_lies_inside_the_layer() -> None:
    mask = plane((61, 61, 60), 20)
    mask[33:38, 33:38, :28] = True  # vertices at every 15: none of them meets it
    layer = surface_layer(mask, MM, 15, 8)
    assert layer is not None
    assert layer.inside(60)[33:38, 33:38, 20:28].all()
    assert layer.upper[0, 0] == pytest.approx(19.5 + 8, abs=0.2), "far from it nothing is pushed"


def test_it_is_pushed_out_by_the_thickness_at_most() -> None:
    mask = plane((61, 61, 80), 20)
    mask[33:38, 33:38, :70] = True
    layer = surface_layer(mask, MM, 15, 8)
    assert layer is not None
    assert layer.upper.max() <= 19.5 + 2 * 8 + 1e-6


def test_columns_that_meet_no_head_hold_no_layer() -> None:
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[:20, :, :20] = True
    layer = surface_layer(mask, MM, 10, 6)
    assert layer is not None
    inside = layer.inside(40)
    assert inside[:20].any(axis=2).all()
    assert not inside[24:].any()


def test_no_head_no_layer() -> None:
    assert surface_layer(np.zeros((10, 10, 10), dtype=bool), MM, 15, 8) is None


def test_the_smallest_view_has_a_layer() -> None:
    layer = surface_layer(plane((2, 2, 3), 2), MM * 3, 15, 8)
    assert layer is not None
    assert layer.inside(3).any()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), slope=st.floats(-0.5, 0.5), samples=st.integers(21, 41))
def test_bending_back_undoes_straightening(seed: int, slope: float, samples: int) -> None:
    lower = 8 + slope * np.arange(12)[:, None] + np.zeros((12, 9))
    layer = SurfaceLayer(lower, lower + 12, np.ones((12, 9), dtype=bool))
    knots = np.random.default_rng(seed).uniform(-50, 50, (12, 9))
    # What is linear along depth, linear interpolation keeps.
    volume = (knots[..., None] * np.linspace(0, 1, 30)).astype(np.float32)
    returned = bend_back(straighten(volume, layer, samples), layer, 30)
    inside = layer.inside(30)
    np.testing.assert_allclose(returned[inside], volume[inside], atol=1e-3)


def test_a_constant_volume_stays_constant() -> None:
    layer = surface_layer(plane((30, 30, 40), 20), MM, 15, 8)
    assert layer is not None
    volume = np.full((30, 30, 40), -7, dtype=np.float32)
    np.testing.assert_allclose(normfilter(volume, layer, np.array([8.0, 8, 8])), -7, rtol=1e-5)
    np.testing.assert_allclose(box_mean(volume, np.array([8.0, 8, 8])), -7, rtol=1e-5)


def test_normfilter_smooths_more_and_more_towards_the_skin() -> None:
    mask = plane((60, 60, 60), 30)
    layer = surface_layer(mask, MM, 15, 8)
    assert layer is not None
    volume = (mask * np.random.default_rng(0).uniform(50, 150, mask.shape)).astype(np.float32)
    filtered = normfilter(volume, layer, np.array([8.0, 8, 8]))
    spread = filtered[..., 22:30].std(axis=(0, 1))
    assert (np.diff(spread) < 0).all()
    # At the skin 13 x 13 x 9 voxels are averaged.
    assert spread[-1] == pytest.approx(volume[..., 22].std() / np.sqrt(13 * 13 * 9), rel=0.25)


def test_columns_without_skin_do_not_darken_the_others() -> None:
    mask = np.zeros((60, 40, 40), dtype=bool)
    mask[:30, :, :20] = True
    layer = surface_layer(mask, MM, 10, 6)
    assert layer is not None
    whole = surface_layer(plane((60, 40, 40), 20), MM, 10, 6)
    assert whole is not None
    thickness = np.array([6.0, 6, 6])
    half = normfilter(100 * mask.astype(np.float32), layer._replace(seen=mask.any(axis=-1)), thickness)
    full = normfilter(100 * plane((60, 40, 40), 20).astype(np.float32), whole, thickness)
    np.testing.assert_allclose(half[:20, :, 14:26], full[:20, :, 14:26], atol=1e-3)


def test_the_local_head_has_dim_skin_and_no_specks() -> None:
    rng = np.random.default_rng(0)
    volume = rng.normal(10, 2, (40, 60, 50)).astype(np.float32)
    volume[:, :, :25] = rng.normal(200, 10, (40, 60, 25))
    volume[:, :20, :25] = rng.normal(60, 5, (40, 20, 25))  # the chin
    volume[20, 40, 45] = 400
    head = volume > 80
    found = local_head(volume, head, 40, MM)
    np.testing.assert_array_equal(found, np.indices(volume.shape)[2] < 25)
    assert local_head(volume, head, 80, MM)[:, :15].any() == np.False_, "dimmer than allowed"


def test_thirds_of_nothing_but_noise_or_padding_are_no_head() -> None:
    volume = np.random.default_rng(0).normal(10, 2, (40, 60, 50)).astype(np.float32)
    volume[:, 20:40, :25] = 200
    volume[:, 40:] = 0
    head = volume > 80
    found = local_head(volume, head, 40, MM)
    assert (found <= head).all()
    assert found[:, 24:36, :23].all()
    assert not local_head(volume, np.zeros_like(head), 250, MM).any()
