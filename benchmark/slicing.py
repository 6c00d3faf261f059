"""Cuts sagittal slices from a released head and, at the same places, from its original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from refbench.errors import DataError
from refbench.geometry import face_width, head_mask, mid_sagittal
from refbench.plugin import param
from refbench.types import AnonymizedHead, Head, Images, Mask

PAPER_STEP_VOXELS = 5


class SliceOptions(BaseModel):
    """How slices are cut. Everything is found from the released volume alone, as an attacker would have to."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    count: int = param(21, "sagittal slices per head", ge=1, le=512)
    size: int = param(256, "height and width of a slice", unit="pixels", ge=16, le=1024, multiple_of=4)
    placement: Literal["face", "paper"] = param(
        "face", "`face`: evenly over the width of the face; `paper`: round(nx/2) and every fifth voxel"
    )
    spacing_mm: float | None = param(None, "distance of slices; the face's width decides if not given", unit="mm", gt=0)
    pixel_mm: float | None = param(None, "edge of a pixel; the head's own if not given", unit="mm", gt=0)
    scale: Literal["released", "original"] = param(
        "released", "whose percentile becomes 1; the paper took the original's"
    )
    percentile: float = param(99.5, "intensity percentile that becomes 1", unit="%", gt=50, le=100)
    bits: Literal[8] | None = param(None, "8: quantise to 256 levels, as the paper's PNG files did")


@dataclass(frozen=True)
class CutSlices:
    """Slices of one head: float32 or bool [count, h, w]; row 0 is the top, column 0 is in front of the face."""

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
    white = float(np.percentile(source, options.percentile))
    if white <= 0:
        raise DataError(f"the {options.percentile} percentile of the {options.scale} volume is {white:g}, not above 0")

    def images(voxels: NDArray[Any]) -> Images:
        scaled = np.clip(window.cut(voxels[columns], order=1) / white, 0, 1)
        quantised = np.round(scaled * 255) / 255 if options.bits else scaled
        return np.asarray(quantised, dtype=np.float32)

    def masks(voxels: Mask) -> Mask:
        return np.asarray(window.cut(voxels[columns].astype(np.float32), order=0) > 0.5)

    geometry = {"columns": columns.tolist(), "pixel_mm": window.pixel_mm, "white": white}
    return CutSlices(images(head.voxels), images(released.voxels), masks(anonymized.changed), masks(face), geometry)


@dataclass(frozen=True)
class Window:
    """A square in the sagittal plane. Pixels are as large along y as along z, so nothing is ever stretched."""

    size: int
    pixel_mm: float
    voxel_mm: tuple[float, float]
    start: tuple[int, int]

    def cut(self, planes: NDArray[Any], order: int) -> NDArray[np.float32]:
        """Resample, pad or crop, and turn planes [n, y, z] to images [n, size, size]."""
        planes = planes.astype(np.float32, copy=False)
        zoom = np.array([edge / self.pixel_mm for edge in self.voxel_mm])
        if not np.allclose(zoom, 1, atol=0.01):
            planes = _resample(planes, zoom, order)
        for axis in (1, 2):
            planes = _fit(planes, axis, self.start[axis - 1], self.size)
        return np.ascontiguousarray(planes.transpose(0, 2, 1)[:, ::-1, ::-1])


def place(released: Head, options: SliceOptions) -> tuple[NDArray[np.int64], Window]:
    """Find where the slices of a head lie: x voxel indices [count], and the window in the sagittal plane."""
    edges = released.voxel_mm
    width = released.voxels.shape[0]
    mask = head_mask(released.voxels, edges)
    if not mask.any():
        raise DataError("no head is left in the released volume; slices cannot be placed")
    steps = np.arange(options.count) - (options.count - 1) / 2
    if options.placement == "paper":
        columns = round(width / 2) + PAPER_STEP_VOXELS * steps
    else:
        low, high = face_width(mask)
        spacing = (high - low + 1) / options.count
        if options.spacing_mm is not None:
            spacing = options.spacing_mm / edges[0]
        columns = mid_sagittal(mask, edges) + spacing * steps
    # Halves are rounded up, all of them, so that slices stay evenly spaced.
    columns = np.clip(np.floor(columns + 0.5).astype(np.int64), 0, width - 1)
    pixel_mm = float(options.pixel_mm or min(edges[1:]))
    start_y = _window_start(np.asarray(mask.any(axis=(0, 2))), edges[1] / pixel_mm, options.size)
    start_z = _window_start(np.asarray(mask.any(axis=(0, 1))), edges[2] / pixel_mm, options.size)
    return columns, Window(options.size, pixel_mm, (float(edges[1]), float(edges[2])), (start_y, start_z))


def _window_start(occupied: NDArray[np.bool_], zoom: float, size: int) -> int:
    """First pixel of the window along one axis: the volume's middle when it fits, else the head's."""
    length = round(len(occupied) * zoom)
    if length <= size:
        return -((size - length) // 2)
    inside = np.flatnonzero(occupied)
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
