from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.errors import DataError
from refbench.geometry import air_level, face_width, head_mask, mid_sagittal, otsu_threshold, skin_threshold
from refbench.types import Mask, Voxels

VOXEL_MM = np.array([2.0, 2.0, 2.0])


def ellipsoid(shape: tuple[int, int, int], centre: tuple[float, ...], radii: tuple[float, ...]) -> Mask:
    """Radii and centre in voxels."""
    squares = [((np.arange(n) - c) / r) ** 2 for n, c, r in zip(shape, centre, radii, strict=True)]
    inside: Mask = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :] <= 1
    return inside


def head_and_truth(voxel_mm: np.ndarray = VOXEL_MM) -> tuple[Voxels, Mask]:
    """A head of 150 x 190 x 200 mm: bright skin and brain, dark bone and sinus, noise, and a bright thing beside it."""
    size = (200, 230, 240)
    shape = tuple(int(mm / edge) for mm, edge in zip(size, voxel_mm, strict=True))
    centre = tuple((n - 1) / 2 for n in shape)

    def of(x_mm: float, y_mm: float, z_mm: float) -> Mask:
        return ellipsoid(shape, centre, (x_mm / voxel_mm[0], y_mm / voxel_mm[1], z_mm / voxel_mm[2]))

    head = of(75, 95, 100)
    voxels = np.zeros(shape, dtype=np.float32)
    voxels[head] = 60
    voxels[of(69, 89, 94)] = 2
    voxels[of(64, 84, 89)] = 100
    voxels[of(15, 20, 20)] = 1
    voxels[:4, :4, :4] = 300
    voxels += np.abs(np.random.default_rng(0).normal(0, 2, shape)).astype(np.float32)
    return voxels, head


def dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize("voxel_mm", [(2, 2, 2), (1.2, 0.94, 0.94), (1, 1, 5), (4, 4, 4)])
def test_head_mask_is_the_whole_head_and_nothing_else(voxel_mm: tuple[float, float, float]) -> None:
    voxels, head = head_and_truth(np.array(voxel_mm))
    before = voxels.copy()
    mask = head_mask(voxels, voxel_mm)
    assert dice(mask, head) > 0.97
    assert not mask[:4, :4, :4].any(), "what floats beside the head is no part of it"
    np.testing.assert_array_equal(voxels, before)


@settings(max_examples=8, deadline=None)
@given(scale=st.floats(0.01, 1000), background=st.floats(-1000, 1000))
def test_head_mask_does_not_depend_on_scale_or_background(scale: float, background: float) -> None:
    voxels, head = head_and_truth(np.array([4.0, 4.0, 4.0]))
    moved = (voxels.astype(np.float64) * scale + background * scale).astype(np.float32)
    assert dice(head_mask(moved, (4, 4, 4)), head) > 0.97


def test_air_and_skin_lie_where_the_intensities_say() -> None:
    voxels, _ = head_and_truth()
    assert 0 < air_level(voxels) < 3
    assert 3 < skin_threshold(voxels) < 60
    assert air_level(voxels + 500) == pytest.approx(air_level(voxels) + 500, abs=0.01)


def test_otsu_separates_two_levels() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 2, 5000), rng.normal(100, 5, 2000)]).astype(np.float32)
    threshold = otsu_threshold(values)
    assert (values[:5000] > threshold).mean() < 0.01
    assert (values[5000:] > threshold).all()


def test_a_constant_volume_is_a_clear_error() -> None:
    with pytest.raises(DataError, match="constant"):
        head_mask(np.full((8, 8, 8), 7, dtype=np.float32), VOXEL_MM)


@settings(max_examples=20, deadline=None)
@given(half_voxels=st.integers(30, 50), seed=st.integers(0, 999))
def test_mid_sagittal_finds_the_plane_of_a_mirror_image(half_voxels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    half = rng.random((14, 24, 20)) < np.linspace(1, 0.3, 14)[:, None, None]
    width = 28 if half_voxels % 2 else 27
    start = (half_voxels - width + 1) // 2
    mask = np.zeros((60, 24, 20), dtype=bool)
    whole = np.concatenate([half[::-1], half[28 - width :]])
    mask[start : start + width] = whole
    assert mid_sagittal(mask, VOXEL_MM) == pytest.approx(half_voxels / 2, abs=0.26)


def test_one_ear_hardly_moves_the_mid_sagittal_plane() -> None:
    mask = ellipsoid((90, 110, 110), (44, 55, 55), (36, 48, 50))
    centre_of_mass = float(np.nonzero(mask | ellipsoid(mask.shape, (80, 50, 50), (8, 6, 12)))[0].mean())
    mask |= ellipsoid(mask.shape, (80, 50, 50), (8, 6, 12))
    found = mid_sagittal(mask, VOXEL_MM)
    assert abs(found - 44) < 0.25
    assert abs(found - 44) <= abs(centre_of_mass - 44)


def test_face_width_leaves_out_the_ears_and_stray_voxels() -> None:
    mask = ellipsoid((100, 110, 110), (50, 55, 55), (36, 48, 50))
    alone = face_width(mask)
    mask[5:95, 48:56, 45:65] = True  # ears
    mask[2, 100, 50] = True  # noise
    assert face_width(mask) == alone
    assert 15 < alone[0] < 25
    assert 75 < alone[1] < 85


@pytest.mark.parametrize("measure", [lambda mask: mid_sagittal(mask, VOXEL_MM), face_width])
def test_an_empty_mask_is_a_clear_error(measure: object) -> None:
    with pytest.raises(DataError, match="empty"):
        measure(np.zeros((5, 5, 5), dtype=bool))  # type: ignore[operator]
