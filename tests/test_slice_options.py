"""Every option of slices, on boxes filled with ramps and checkerboards: what a pixel must hold is known exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_ixi import tilted, write_head
from pydantic import ValidationError

from refbench.datasets.nifti import read_head
from refbench.errors import SuiteError
from refbench.slicing import AXES, CutSlices, Plane, SliceOptions, cut
from refbench.suite import load_suite
from refbench.types import AnonymizedHead, Head

SHAPE = (40, 48, 44)
ANISOTROPIC = (6.0, 4.0, 5.0)
LOW, HIGH = np.array([8, 9, 10]), np.array([32, 39, 34])  # first voxel of the box, and the first behind it
RAMP = np.array([2.0, 0.25, 0.5])
"""Per mm to the right, to the front and up."""


def positions(shape: tuple[int, int, int], voxel_mm: tuple[float, float, float]) -> np.ndarray:
    """Centres of voxels in mm from the volume's corner, (3, x, y, z)."""
    return (np.indices(shape) + 0.5) * np.reshape(voxel_mm, (3, 1, 1, 1))


def box(
    voxel_mm: tuple[float, float, float] = ANISOTROPIC,
    shift: tuple[int, int, int] = (0, 0, 0),
    ramp: np.ndarray = RAMP,
    level: float = 400.0,
) -> Head:
    """A box of known place, `level` plus a ramp inside; it stands off the middle of the volume, more so by `shift`."""
    voxels = np.zeros(SHAPE, dtype=np.float32)
    inside = tuple(slice(low + by, high + by) for low, high, by in zip(LOW, HIGH, shift, strict=True))
    filled = level + np.tensordot(ramp, positions(SHAPE, voxel_mm), axes=1)
    voxels[inside] = filled[inside]
    return Head(voxels, np.diag([*voxel_mm, 1.0]))


def sliced(head: Head, released: Head | None = None, **options: Any) -> CutSlices:
    given = {"size": 64, "percentile": 100, **options}
    nowhere = np.zeros(head.voxels.shape, dtype=bool)
    return cut(head, AnonymizedHead.compare(head, released or head), nowhere, SliceOptions.model_validate(given))


def values(slices: CutSlices) -> np.ndarray:
    """Originals on the head's own scale."""
    return slices.original.astype(np.float64) * slices.geometry["white"]


def middles(slices: CutSlices) -> np.ndarray:
    """The pixel in the middle of each slice: inside the box, and known."""
    return np.array([image[tuple(np.argwhere(image > 0).mean(axis=0).round().astype(int))] for image in values(slices)])


# Where slices lie: a ramp along their axis tells


@pytest.mark.parametrize("plane", AXES)
@pytest.mark.parametrize("count", [1, 4, 7])
def test_count_slices_lie_evenly_over_the_box(plane: Plane, count: int) -> None:
    axis = AXES[plane][0]
    slices = sliced(box(ramp=2 * np.eye(3)[axis]), plane=plane, count=count)
    assert slices.original.shape == (count, 64, 64)
    where_mm = (middles(slices) - 400) / 2
    first, behind = LOW[axis] * ANISOTROPIC[axis], HIGH[axis] * ANISOTROPIC[axis]
    if plane == "coronal":  # over the front third of the head: 10 of 30 voxels, and the one before
        first = behind - 11 * ANISOTROPIC[axis]
    expected = first + (np.arange(count) + 0.5) * (behind - first) / count
    np.testing.assert_allclose(where_mm, expected, atol=ANISOTROPIC[axis] / 2 + 1e-3)


@pytest.mark.parametrize("plane", AXES)
def test_spacing_is_in_mm_whatever_the_voxels(plane: Plane) -> None:
    axis = AXES[plane][0]
    slices = sliced(box(ramp=2 * np.eye(3)[axis]), plane=plane, count=3, spacing_mm=3 * ANISOTROPIC[axis])
    np.testing.assert_allclose(np.diff(middles(slices)) / 2, 3 * ANISOTROPIC[axis], atol=1e-3)


def test_a_spacing_between_voxels_is_kept_on_average() -> None:
    where_mm = middles(sliced(box(ramp=np.array([2.0, 0, 0])), count=5, spacing_mm=20)) / 2  # 3.33 voxels
    assert set(np.diff(where_mm).round(3)) == {18.0, 24.0}
    np.testing.assert_allclose(where_mm[-1] - where_mm[0], 80, atol=6)


@pytest.mark.parametrize("shift", [(-6, 4, -5), (5, -8, 6)])
@pytest.mark.parametrize("plane", AXES)
def test_slices_go_with_a_head_that_is_not_in_the_middle(shift: tuple[int, int, int], plane: Plane) -> None:
    still, moved = (sliced(box(shift=by, ramp=0 * RAMP), plane=plane, count=5, size=32) for by in ((0, 0, 0), shift))
    assert moved.geometry["columns"] == [column + shift[AXES[plane][0]] for column in still.geometry["columns"]]


def test_the_papers_slices_stay_where_the_volume_has_its_middle() -> None:
    for shift in (0, 6):
        slices = sliced(box(shift=(shift, 0, 0)), placement="paper", count=3)
        assert slices.geometry["columns"] == [15, 20, 25]


# What a slice holds: a ramp in all directions tells


def expected_slice(plane: Plane, column: int, size: int, pixel_mm: float) -> np.ndarray:
    """The ramp at the centres of a slice's pixels, as it would be without an end; written from the documentation."""
    normal, across, up = AXES[plane]
    value = 400 + RAMP[normal] * (column + 0.5) * ANISOTROPIC[normal]
    along = []
    for axis in (up, across):
        length = round(SHAPE[axis] * ANISOTROPIC[axis] / pixel_mm)
        padding = (size - length) // 2
        pixel = size - 1 - np.arange(size) - padding  # rows run down, columns to the back
        along.append(RAMP[axis] * (pixel + 0.5) * pixel_mm)
    return np.asarray(value + along[0][:, None] + along[1][None, :])


@pytest.mark.parametrize("plane", AXES)
@pytest.mark.parametrize(("pixel_mm", "size"), [(5.0, 64), (4.0, 80), (2.5, 112), (2.0, 128), (8.0, 40)])
def test_every_pixel_holds_what_lies_there(plane: Plane, pixel_mm: float, size: int) -> None:
    slices = sliced(box(), plane=plane, count=2, pixel_mm=pixel_mm, size=size)
    assert slices.geometry["pixel_mm"] == pixel_mm
    _, across, up = AXES[plane]
    for image, column in zip(values(slices), slices.geometry["columns"], strict=True):
        expected = expected_slice(plane, column, size, pixel_mm)
        whole = image > 400  # beside the edges, where a pixel lies between the box and air
        rows, columns = np.flatnonzero(whole.any(axis=1))[2:-2], np.flatnonzero(whole.any(axis=0))[2:-2]
        inner = np.ix_(rows, columns)
        np.testing.assert_allclose(image[inner], expected[inner], atol=2e-3)
        edges = ((HIGH - LOW) * ANISOTROPIC)[[up, across]]
        extent = np.array([len(rows) + 4, len(columns) + 4]) * pixel_mm
        np.testing.assert_allclose(extent, edges, atol=2 * max(pixel_mm, max(ANISOTROPIC)))


def test_without_a_pixel_size_the_finest_edge_in_the_plane_decides() -> None:
    finest = {plane: sliced(box(), plane=plane).geometry["pixel_mm"] for plane in AXES}
    assert finest == {"sagittal": 4.0, "axial": 4.0, "coronal": 5.0}


@pytest.mark.parametrize("plane", AXES)
def test_a_checkerboard_of_isotropic_voxels_comes_through_untouched(plane: Plane) -> None:
    head = box((4.0, 4.0, 4.0), ramp=0 * RAMP)
    board = np.where(np.indices(SHAPE).sum(axis=0) % 2, head.voxels, head.voxels / 2)
    slices = sliced(head.with_voxels(board.astype(np.float32)), plane=plane, count=3)
    axes = AXES[plane]
    for image, column in zip(slices.original, slices.geometry["columns"], strict=True):
        field = np.zeros((64, 64))
        across, up = (slice((64 - SHAPE[axis]) // 2, (64 - SHAPE[axis]) // 2 + SHAPE[axis]) for axis in axes[1:])
        field[across, up] = board.transpose(axes)[column] / 400
        np.testing.assert_array_equal(image, field.T[::-1, ::-1].astype(np.float32))


@pytest.mark.parametrize("size", [16, 24])
def test_a_crop_holds_the_middle_of_the_head(size: int) -> None:
    head = box((4.0, 4.0, 4.0), shift=(0, 8, -9))
    whole, cropped = (values(sliced(head, count=1, size=n))[0] for n in (64, size))
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    top, front = (round((found[0] + found[-1] + 1) / 2 - size / 2) for found in (rows, columns))
    np.testing.assert_allclose(cropped, whole[top : top + size, front : front + size], rtol=1e-6)


def test_the_way_of_a_plane_is_as_documented() -> None:
    corners = {"right": (slice(30, 32), 0, 0), "front": (0, slice(37, 39), 0), "top": (0, 0, slice(32, 34))}
    seen: dict[str, dict[str, str]] = {}
    for plane in AXES:
        seen[plane] = {}
        for name, place in corners.items():
            head = box((4.0, 4.0, 4.0), ramp=0 * RAMP)
            index = tuple(part if isinstance(part, slice) else slice(None) for part in place)
            head.voxels[index] *= 2
            image = sliced(head, plane=plane, count=1).original[0]
            rows, columns = np.nonzero(image == 1)
            if len(rows) and len(rows) < (image > 0).sum():
                side = "row" if len(set(rows)) < len(set(columns)) else "column"
                here, all_ = (rows, np.nonzero(image)[0]) if side == "row" else (columns, np.nonzero(image)[1])
                seen[plane][name] = f"first {side}s" if here.min() == all_.min() else f"last {side}s"
    assert seen == {
        "sagittal": {"front": "first columns", "top": "first rows"},
        "axial": {"right": "first rows", "front": "first columns"},
        "coronal": {"right": "first columns", "top": "first rows"},
    }


# Oblique volumes: slices follow the volume's axes, sizes are measured along them


@pytest.mark.parametrize("plane", AXES)
def test_a_tilt_changes_nothing(plane: Plane) -> None:
    head = box()
    turned = replace(head, affine=tilted(head))
    assert not np.allclose(turned.affine, head.affine)
    one, two = (sliced(item, plane=plane, pixel_mm=3.0, spacing_mm=12.0, count=3, size=96) for item in (head, turned))
    np.testing.assert_allclose(one.original, two.original, atol=1e-5)
    assert one.geometry["columns"] == two.geometry["columns"]


def test_a_file_with_ixis_axes_and_tilt_gives_the_same_slices(tmp_path: Path) -> None:
    head = box(ramp=np.array([2.0, 1.0, 1.0]), level=401)
    head = head.with_voxels(np.round(head.voxels))
    write_head(tmp_path / "head.nii.gz", head)
    stored = read_head(tmp_path / "head.nii.gz")
    np.testing.assert_allclose(sliced(stored).original, sliced(head).original, atol=1e-5)


# Intensities


def share_of_box() -> float:
    return float(np.prod(HIGH - LOW) / np.prod(SHAPE))


@pytest.mark.parametrize("percentile", [85.0, 95.0, 99.5])
@pytest.mark.parametrize("scale", ["released", "original"])
def test_the_percentile_of_a_ramp_is_where_the_ramp_says(percentile: float, scale: str) -> None:
    """Along x the box is a ramp from 400 on: its brightest share q begins at that share of its length from its end."""
    head = box(ramp=np.array([2.0, 0, 0]))
    released = head.with_voxels(head.voxels * np.float32(0.5))
    brightest = (1 - percentile / 100) / share_of_box()
    end_mm = HIGH[0] * ANISOTROPIC[0] - brightest * (HIGH[0] - LOW[0]) * ANISOTROPIC[0]
    expected = (400 + 2 * end_mm) * (0.5 if scale == "released" else 1)
    slices = sliced(head, released, percentile=percentile, scale=scale, count=5)
    white = slices.geometry["white"]
    assert white == pytest.approx(expected, abs=2 * ANISOTROPIC[0])  # a step of the ramp
    for images, voxels in ((slices.original, head.voxels), (slices.anonymized, released.voxels)):
        for image, column in zip(images, slices.geometry["columns"], strict=True):
            assert image.max() == pytest.approx(min(1, voxels[column].max() / white), rel=1e-5)


@pytest.mark.parametrize("scale", ["released", "original"])
def test_no_volume_but_the_chosen_one_decides_the_scale(scale: str) -> None:
    head = box()
    for factor in (0.25, 3.0):
        released = head.with_voxels(head.voxels * np.float32(factor))
        white = sliced(head, released, scale=scale, percentile=99.5).geometry["white"]
        alone = float(np.percentile((released if scale == "released" else head).voxels, 99.5))
        assert white == pytest.approx(alone)


def test_eight_bits_round_to_the_nearest_of_256_levels() -> None:
    head = box((4.0, 4.0, 4.0), ramp=0 * RAMP, level=1000)
    board = np.indices(SHAPE).sum(axis=0) % 2 == 1
    for value, level in ((500.0, 128), (498.0, 127), (1000.0, 255), (2.1, 1), (1.9, 0)):  # 127.5 is even: up to 128
        voxels = np.where(board & (head.voxels > 0), np.float32(value), head.voxels)
        voxels[LOW[0], LOW[1], LOW[2]] = 1000
        image = sliced(head.with_voxels(voxels), bits=8, count=1).original[0]
        assert set(np.unique(image * np.float32(255)).round(4).tolist()) <= {0.0, level, 255.0}
        assert np.float32(level / 255) in image


def test_eight_bits_are_off_by_half_a_level_at_most() -> None:
    exact, rounded = (sliced(box(), bits=bits, count=7).original for bits in (None, 8))
    assert 0 < np.abs(exact - rounded).max() <= 0.5 / 255 + 1e-7


# What does not go together


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_the_paper_knows_one_plane(plane: str) -> None:
    with pytest.raises(ValidationError, match=f"`placement: paper` goes with no {plane} ones"):
        SliceOptions(placement="paper", plane=plane)


def test_coronal_slices_have_no_front_half(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    text = "dataset: phantom\nanonymizers: [identity]\nattackers: [none]\nslices: {plane: coronal}\n"
    path.write_text(text)
    with pytest.raises(SuiteError, match="coronal slices have no front half: give `regions` without it"):
        load_suite(str(path))
    path.write_text(text + "regions: [whole, face, changed]\n")
    assert load_suite(str(path)).file.slices.plane == "coronal"
