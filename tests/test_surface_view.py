"""Shaded pictures of synthetic heads whose surface is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.errors import DataError
from refbench.surface_view import AMBIENT, LIGHT, shaded

SHAPE_MM = (120.0, 140.0, 130.0)
RADIUS_MM = 45.0


def head(voxel_mm: tuple[float, ...] = (2, 2, 2), nose_x: float = 0.0, air: float = 0.0, bright: float = 100.0) -> Any:
    """A ball in the middle of the volume with a nose in front, and partial volume at its skin."""
    axes = [
        (np.arange(round(length / edge)) + 0.5) * edge - length / 2
        for length, edge in zip(SHAPE_MM, voxel_mm, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    ball = RADIUS_MM - np.sqrt(x**2 + y**2 + z**2)
    nose = 8 - np.sqrt((x - nose_x) ** 2 + (y - 46) ** 2 + z**2)
    inside = np.clip(np.maximum(ball, nose) / np.mean(voxel_mm) + 0.5, 0, 1)
    return (air + (bright - air) * inside).astype(np.float32)


def test_a_ball_is_seen_as_a_disc_of_its_size_lit_from_above_left() -> None:
    picture = shaded(head(), (2, 2, 2))
    assert picture.shape == (130, 120)
    assert picture.dtype == np.float32
    rows, columns = np.nonzero(picture)
    assert abs((rows.min() + rows.max()) / 2 - 64.5) <= 1
    assert abs((columns.min() + columns.max()) / 2 - 59.5) <= 1
    assert np.ptp(rows) == pytest.approx(2 * RADIUS_MM, abs=4)
    assert picture[40, 35] > picture[90, 85] + 0.3


def test_brightness_of_a_ball_is_lamberts_law() -> None:
    picture = shaded(head((1, 1, 1), nose_x=500), (1, 1, 1))  # a ball without a nose
    light = np.array(LIGHT) / np.linalg.norm(LIGHT)
    down, right = np.meshgrid(np.arange(130) - 64.5, np.arange(120) - 59.5, indexing="ij")
    off_axis = np.hypot(down, right) / (RADIUS_MM + 0.5)
    inner = off_axis < 0.7
    nearer = -np.sqrt(1 - off_axis[inner] ** 2)
    normal = np.stack([nearer, down[inner] / (RADIUS_MM + 0.5), right[inner] / (RADIUS_MM + 0.5)])
    expected = AMBIENT + (1 - AMBIENT) * np.clip(light @ normal, 0, 1)
    assert np.abs(picture[inner] - expected).max() < 0.06


def test_profiles_point_to_where_the_person_looks() -> None:
    left, right = (shaded(head(), (2, 2, 2), view) for view in ("left", "right"))
    assert left.shape == right.shape == (130, 140)
    middle = slice(60, 70)
    for picture, nose_side in ((left, -1), (right, 1)):
        columns = np.flatnonzero(picture[middle].any(axis=0)) - 69.5
        reach = {side: (side * columns).max() for side in (-1, 1)}
        assert reach[nose_side] > reach[-nose_side] + 5


def test_the_persons_right_is_at_the_left_of_the_front_view() -> None:
    plain, turned = (shaded(head(nose_x=x), (2, 2, 2)) for x in (500.0, 20.0))
    assert np.nonzero(np.abs(plain - turned) > 0.1)[1].max() < 59.5


def test_mirroring_the_head_under_a_light_from_straight_ahead_mirrors_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refbench.surface_view.LIGHT", (-1.0, 0.0, 0.0))
    voxels = head(nose_x=12)
    for view, other in (("front", "front"), ("left", "right")):
        there, mirrored = shaded(voxels, (2, 2, 2), view), shaded(voxels[::-1], (2, 2, 2), other)
        np.testing.assert_allclose(mirrored, there[:, ::-1], atol=1e-4)


@settings(max_examples=8, deadline=None)
@given(gain=st.floats(0.01, 1000), offset=st.floats(-500, 500))
def test_the_scale_of_intensities_decides_nothing(gain: float, offset: float) -> None:
    voxels = head((4, 4, 4))
    picture = shaded(voxels, (4, 4, 4), pixel_mm=2)
    other = shaded((gain * voxels + offset).astype(np.float32), (4, 4, 4), pixel_mm=2)
    assert np.abs(picture - other).mean() < 0.01


@pytest.mark.parametrize("voxel_mm", [(1, 2, 3), (3, 1, 1.5), (2.5, 2.5, 1)])
def test_the_voxels_shape_decides_nothing(voxel_mm: tuple[float, ...]) -> None:
    picture, fine = shaded(head(voxel_mm), voxel_mm), shaded(head((1, 1, 1)), (1, 1, 1))
    both = tuple(slice(0, min(sizes)) for sizes in zip(picture.shape, fine.shape, strict=True))
    assert np.abs(picture[both] - fine[both]).mean() < 0.03


def test_a_release_is_drawn_with_the_originals_threshold() -> None:
    original = head(air=20, bright=120)
    released = np.where(original > 25, 40.0, original).astype(np.float32)  # dim, but not gone
    assert shaded(released, (2, 2, 2)).any()
    assert not shaded(released, (2, 2, 2), threshold=60).any()


def test_dust_in_the_air_is_not_drawn() -> None:
    voxels = head()
    dusty = voxels.copy()
    dusty[5, 60, 5] = 100
    np.testing.assert_array_equal(shaded(voxels, (2, 2, 2)), shaded(dusty, (2, 2, 2)))


def test_a_head_cut_by_the_volumes_edge_shows_a_flat_face_to_the_camera() -> None:
    cut = head()[:, :45]  # the front of the volume goes through the ball
    facing = AMBIENT + (1 - AMBIENT) * -LIGHT[0] / np.linalg.norm(LIGHT)
    assert shaded(cut, (2, 2, 2))[65, 60] == pytest.approx(facing, abs=0.02)


def test_an_empty_volume_is_black_with_a_threshold_and_an_error_without() -> None:
    empty = np.full((10, 10, 10), 3, dtype=np.float32)
    assert not shaded(empty, (2, 2, 2), threshold=5).any()
    with pytest.raises(DataError, match="constant"):
        shaded(empty, (2, 2, 2))


def test_the_volume_is_not_changed_and_may_be_read_only() -> None:
    voxels = head()
    kept = voxels.copy()
    voxels.flags.writeable = False
    shaded(voxels, (2, 2, 2), threshold=20)
    np.testing.assert_array_equal(voxels, kept)


@pytest.mark.parametrize("level", [0.0, 99.0, 120.0])
def test_any_threshold_gives_a_picture(level: float) -> None:
    picture = shaded(head(), (2, 2, 2), threshold=level)
    assert np.isfinite(picture).all()
    assert 0 <= picture.min() <= picture.max() <= 1
