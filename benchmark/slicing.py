"""Cuts slices from a released head and, at the same places, from its original."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from refbench.errors import DataError
from refbench.geometry import face_width, head_mask, mid_sagittal
from refbench.plugin import param
from refbench.slice_storage import Storage
from refbench.types import AnonymizedHead, Head, Images, Mask, Voxels

PAPER_STEP_VOXELS = 5

_SAMPLE = 50_000  # voxels that tell roughly where a percentile is

Plane = Literal["sagittal", "axial", "coronal"]
AXES: Mapping[Plane, tuple[int, int, int]] = {"sagittal": (0, 1, 2), "axial": (2, 1, 0), "coronal": (1, 0, 2)}
"""The axis that a plane's slices follow, and those along their rows and columns."""


class SliceOptions(BaseModel):
    """How slices are cut. Everything is found from the released volume alone, as an attacker would have to."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    count: int = param(21, "slices per head", ge=1, le=512)
    size: int = param(256, "height and width of a slice", unit="pixels", ge=16, le=1024, multiple_of=4)
    plane: Plane = param("sagittal", "how the head is cut; coronal slices have no front half")
    placement: Literal["face", "paper"] = param(
        "face",
        "`face`: evenly over the face's width (height, depth); `paper`: sagittal, round(nx/2) and every fifth voxel",
    )
    spacing_mm: float | None = param(None, "distance of slices; the face's size decides if not given", unit="mm", gt=0)
    pixel_mm: float | None = param(None, "edge of a pixel; the head's own if not given", unit="mm", gt=0)
    scale: Literal["released", "original"] = param(
        "released", "whose percentile becomes 1; the paper took the original's"
    )
    percentile: float = param(99.5, "intensity percentile that becomes 1", unit="%", gt=50, le=100)
    bits: Literal[8] | None = param(None, "8: quantise to 256 levels, as the paper's PNG files did")
    storage: Storage = param(
        "float32",
        "how a pixel of 0-1 is stored; at most 0.00025 (float16), 0.000008 (uint16) or 0.002 (uint8) is lost",
    )

    @model_validator(mode="after")
    def _the_papers_plane(self) -> Self:
        if self.placement == "paper" and self.plane != "sagittal":
            raise ValueError(f"the paper cut sagittal slices: `placement: paper` goes with no {self.plane} ones")
        return self


@dataclass(frozen=True)
class CutSlices:
    """Slices of one head, float32 or bool [count, h, w], from left to right, from below to above or from back to front.

    Row 0 is the top, of axial slices the subject's right; column 0 is in front of the face, of coronal slices the
    subject's right.
    """

    original: Images
    anonymized: Images
    changed: Mask
    face: Mask
    geometry: dict[str, Any]


def cut(head: Head, anonymized: AnonymizedHead, face: Mask, options: SliceOptions) -> CutSlices:
    """Cut `options.count` slices, pad or crop them to a square, scale them to 0-1.

    Args:
        head: the original.
        anonymized: what was released of it.
        face: bool (x, y, z), where the face is.
        options: see `SliceOptions`.

    Raises:
        DataError: nothing is left of the head that slices could be placed on.
    """
    released = anonymized.head
    columns, window = place(released, options)
    source = head.voxels if options.scale == "original" else released.voxels
    white = upper_percentile(source, options.percentile)
    if white <= 0:
        raise DataError(f"the {options.percentile} percentile of the {options.scale} volume is {white:g}, not above 0")

    axes = AXES[options.plane]

    def images(voxels: NDArray[Any]) -> Images:
        scaled = np.clip(window.cut(voxels.transpose(axes)[columns], order=1) / white, 0, 1)
        quantised = np.round(scaled * 255) / 255 if options.bits else scaled
        return np.asarray(quantised, dtype=np.float32)

    def masks(voxels: Mask) -> Mask:
        return np.asarray(window.cut(voxels.transpose(axes)[columns].astype(np.float32), order=0) > 0.5)

    geometry = {"columns": columns.tolist(), "pixel_mm": window.pixel_mm, "white": white}
    return CutSlices(images(head.voxels), images(released.voxels), masks(anonymized.changed), masks(face), geometry)


@dataclass(frozen=True)
class Window:
    """A square in the plane of the slices. Pixels are square too, so nothing is ever stretched."""

    size: int
    pixel_mm: float
    voxel_mm: tuple[float, float]
    start: tuple[int, int]

    def cut(self, planes: NDArray[Any], order: int) -> NDArray[np.float32]:
        """Resample, pad or crop, and turn planes (sagittal: [n, y, z]) to images [n, size, size]."""
        planes = planes.astype(np.float32, copy=False)
        zoom = np.array([edge / self.pixel_mm for edge in self.voxel_mm])
        if not np.allclose(zoom, 1, atol=0.01):
            planes = _resample(planes, zoom, order)
        for axis in (1, 2):
            planes = _fit(planes, axis, self.start[axis - 1], self.size)
        return np.ascontiguousarray(planes.transpose(0, 2, 1)[:, ::-1, ::-1])


def place(released: Head, options: SliceOptions) -> tuple[NDArray[np.int64], Window]:
    """Find where the slices of a head lie: voxel indices [count] (sagittal: along x), and the window in their plane.

    The head itself is sought only where something depends on it: the paper's slices of a volume that fits into the
    window lie where they lie.
    """
    axes = AXES[options.plane]
    edges = released.voxel_mm[list(axes)]
    length, *sides = (released.voxels.shape[axis] for axis in axes)
    pixel_mm = float(options.pixel_mm or min(edges[1:]))
    zooms = edges[1:] / pixel_mm
    fits = all(round(side * zoom) <= options.size for side, zoom in zip(sides, zooms, strict=True))
    steps = np.arange(options.count) - (options.count - 1) / 2
    mask: Mask | None
    if options.placement == "paper":
        mask = None if fits else _head(released)
        columns = round(length / 2) + PAPER_STEP_VOXELS * steps
    else:
        mask = _head(released)
        low, high = _face(mask, options.plane)
        spacing = (high - low + 1) / options.count
        if options.spacing_mm is not None:
            spacing = options.spacing_mm / edges[0]
        middle = mid_sagittal(mask, released.voxel_mm) if options.plane == "sagittal" else (low + high) / 2
        columns = middle + spacing * steps
    # Halves are rounded up, all of them, so that slices stay evenly spaced.
    columns = np.clip(np.floor(columns + 0.5).astype(np.int64), 0, length - 1)
    across, up = (
        _window_start(released, mask, axis, zoom, options.size) for axis, zoom in zip(axes[1:], zooms, strict=True)
    )
    return columns, Window(options.size, pixel_mm, (float(edges[1]), float(edges[2])), (across, up))


def _head(released: Head) -> Mask:
    mask = head_mask(released.voxels, released.voxel_mm)
    if not mask.any():
        raise DataError("no head is left in the released volume; slices cannot be placed")
    return mask


def _face(mask: Mask, plane: Plane) -> tuple[int, int]:
    """The first and the last voxel, along the axis that slices follow, of the front third of the head."""
    if plane == "coronal":
        along_y = np.flatnonzero(mask.any(axis=(0, 2)))
        return int(along_y[-1] - len(along_y) // 3), int(along_y[-1])
    return face_width(mask.transpose(AXES[plane]))  # its height, where x and z have changed places


def upper_percentile(voxels: Voxels, percent: float) -> float:
    """What `numpy.percentile` gives, to the bit, for a high percentile of many values in a quarter of its time.

    Only values above a bound are put in order; a sample of them sets it, on the safe side.

    Args:
        voxels: float32, finite, any shape but an empty one.
        percent: 0-100.
    """
    values = voxels.reshape(-1)
    position = (len(values) - 1) * (percent / 100)
    below, above = math.floor(position), math.ceil(position)
    sample = np.sort(values[:: max(1, len(values) // _SAMPLE)])
    high = values[values >= sample[max(0, int(len(sample) * (2 * percent / 100 - 1)) - 1)]]
    skipped = len(values) - len(high)
    if skipped > below:  # the sample is unlike the whole
        high, skipped = values, 0
    ordered = np.partition(high, [below - skipped, above - skipped])
    low, top = ordered[below - skipped], ordered[above - skipped]
    share = position - below
    return float(low + (top - low) * share if share < 0.5 else top - (top - low) * (1 - share))


def _window_start(released: Head, mask: Mask | None, axis: int, zoom: float, size: int) -> int:
    """First pixel of the window along one axis: the volume's middle when it fits, else the head's."""
    length: int = round(released.voxels.shape[axis] * zoom)
    if length <= size:
        return -((size - length) // 2)
    assert mask is not None, "in a volume that does not fit the head has been sought"
    others = tuple(other for other in range(3) if other != axis)
    inside = np.flatnonzero(mask.any(axis=others))
    middle = zoom * (inside[0] + inside[-1] + 1) / 2
    return int(np.clip(round(middle - size / 2), 0, length - size))


def _fit(planes: NDArray[np.float32], axis: int, start: int, size: int) -> NDArray[np.float32]:
    length = planes.shape[axis]
    before, after = max(0, -start), max(0, start + size - length)
    padding = [(0, 0)] * planes.ndim
    padding[axis] = (before, after)
    begin = max(0, start)
    inside = [slice(None)] * planes.ndim
    inside[axis] = slice(begin, begin + size - before - after)
    return np.pad(planes[tuple(inside)], padding)


def _resample(planes: NDArray[np.float32], zoom: NDArray[np.float64], order: int) -> NDArray[np.float32]:
    from scipy import ndimage

    shape = (len(planes), *(round(n * z) for n, z in zip(planes.shape[1:], zoom, strict=True)))
    # Pixel centres: index i of the result lies at (i + 0.5) / zoom - 0.5 of the source.
    resampled: NDArray[np.float32] = ndimage.affine_transform(
        planes, np.array([1, *(1 / zoom)]), np.array([0, *(0.5 / zoom - 0.5)]), shape, order=order, mode="nearest"
    )
    return resampled
