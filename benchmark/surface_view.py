"""A head as one would see it: shaded pictures of its skin, before black.

Orthographic, in numpy and scipy alone: rays run along one axis of the volume until they meet the skin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refbench.geometry import skin_threshold
from refbench.types import Mask, Voxels

View = Literal["front", "left", "right"]
"""Where the camera stands: before the face, or at the person's own left or right side."""

Image = NDArray[np.float32]

LIGHT = (-0.73, -0.55, -0.40)
"""Where the light stands, seen from the head: (away from the camera, down the picture, to its right)."""

AMBIENT = 0.12
SMOOTHING_MM, SMOOTHING_VOXELS = 1.0, 0.75
"""The larger of both is the standard deviation of the Gaussian that takes noise and the steps of voxels away."""

SKIN = 0.25
"""Where skin begins between air (0) and what is four times as far above it as the threshold, or brighter (1).

At 0.5 the fog would rise so fast that coarse voxels show as rings, as on wood.
"""

_MARGIN_MM = 4.0
_FLAT = 1e-3


def shaded(
    voxels: Voxels,
    voxel_mm: Sequence[float] | NDArray[np.float64],
    view: View = "front",
    threshold: float | None = None,
    pixel_mm: float = 1.0,
) -> Image:
    """Draw the skin of a head, lit from above to the left of the camera.

    The picture covers the whole volume, so that those of a head and of its release lie on each other. Only the
    largest piece brighter than the threshold is drawn; what the volume's edge cuts through is seen as flat skin.

    Args:
        voxels: float32 (x, y, z) in RAS+ order: x to the right, y to the front, z up. It is not changed.
        voxel_mm: edge lengths of a voxel along x, y and z in mm.
        view: `front`: the person's right is at the left of the picture, as when facing them. `left`: the nose is at
            the left of the picture. `right`: it is at its right.
        threshold: the intensity at which skin begins. A release must be drawn with its original's, as its own moves
            with what was taken away. None: the volume's own `skin_threshold`.
        pixel_mm: edge length of a pixel in mm.

    Returns:
        float32 (rows, columns), 0-1; row 0 is the top of the head. All 0 if nothing is brighter than the threshold.

    Raises:
        DataError: no threshold is given and the volume is constant.
    """
    level = skin_threshold(voxels) if threshold is None else threshold
    seen = _from_camera(voxels, view)
    spacing = np.asarray(voxel_mm, dtype=np.float64)[[1, 2, 0] if view == "front" else [0, 2, 1]]
    size = np.maximum(1, np.round(np.array(seen.shape[1:]) * spacing[1:] / pixel_mm)).astype(int)
    picture = np.zeros(size, dtype=np.float32)
    tissue = seen > level
    if not tissue.any():
        return picture
    fog, start = _fog(seen, _largest_piece(tissue), level, spacing, size, pixel_mm)
    brightness = _lit(fog, spacing / pixel_mm)
    rows, columns = brightness.shape
    picture[start[0] : start[0] + rows, start[1] : start[1] + columns] = brightness
    return picture


def _from_camera(volume: NDArray[Any], view: View) -> NDArray[Any]:
    """The volume with axes (away from the camera, down the picture, to its right); a view, nothing is copied."""
    if view == "front":
        return volume.transpose(1, 2, 0)[::-1, ::-1, ::-1]
    sideways = volume.transpose(0, 2, 1)[:, ::-1, ::-1]
    return sideways if view == "left" else sideways[::-1, :, ::-1]


def _largest_piece(tissue: Mask) -> Mask:
    from scipy import ndimage

    labels, _ = ndimage.label(tissue)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    piece: Mask = labels == sizes.argmax()
    return piece


def _fog(
    seen: Voxels, head: Mask, level: float, spacing: NDArray[np.float64], size: NDArray[np.int_], pixel_mm: float
) -> tuple[Voxels, list[int]]:
    """The head as a fog, 0 in air to 1 inside, `SKIN` at the skin; and the row and column of the picture it begins at.

    Across the rays it has a value for every pixel, along them one for every voxel.
    """
    from scipy import ndimage

    # A rim of partial volume belongs to the skin, however dark; noise further out does not.
    near = ndimage.binary_dilation(head)
    inside = [np.flatnonzero(near.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    margin = np.ceil(_MARGIN_MM / spacing).astype(int)
    corner = [max(0, int(found[0] - more)) for found, more in zip(inside, margin, strict=True)]
    box = tuple(slice(low, found[-1] + 1 + more) for low, found, more in zip(corner, inside, margin, strict=True))
    fog = np.where(near[box], np.clip(SKIN * (1 + (seen[box] - level) / _contrast(seen, level)), 0, 1), 0)
    # Beyond the volume the head goes on: its edge is no skin.
    sigma = np.maximum(SMOOTHING_MM / spacing, SMOOTHING_VOXELS)
    fog = ndimage.gaussian_filter(fog.astype(np.float32), sigma, mode="nearest", truncate=3.0)
    start = []
    for axis in (1, 2):
        # Pixel centres: pixel i lies at (i + 0.5) x pixel / edge - 0.5 of the volume's voxels.
        places = (np.arange(size[axis - 1]) + 0.5) * pixel_mm / spacing[axis] - 0.5 - corner[axis]
        chosen = np.flatnonzero((places > -1) & (places < fog.shape[axis]))
        start.append(int(chosen[0]))
        fog = _interpolated(fog, places[chosen], axis)
    return fog, start


def _contrast(volume: Voxels, level: float) -> float:
    """How far the threshold lies above the air."""
    some = volume[::2, ::2, ::2]
    air = some[some <= level]
    contrast = level - float(np.median(air)) if air.size else 0.0
    return max(contrast, _FLAT * (float(volume.max()) - level))


def _interpolated(volume: Voxels, places: NDArray[np.float64], axis: int) -> Voxels:
    """Values at `places` along one axis, linear between voxels."""
    last = volume.shape[axis] - 1
    places = np.clip(places, 0, last)
    low = np.minimum(places.astype(int), max(last - 1, 0))
    weight = (places - low).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
    below, above = volume.take(low, axis=axis), volume.take(np.minimum(low + 1, last), axis=axis)
    mixed: Voxels = below + weight * (above - below)
    return mixed


def _lit(fog: Voxels, edges: NDArray[np.float64]) -> Image:
    """Brightness where a ray first meets the skin, 0 where it meets none: float32 (rows, columns).

    `edges`: of a voxel along the ray, down and to the right, in pixels.
    """
    solid = fog >= SKIN
    hit = solid.any(axis=0)
    rows, columns = np.nonzero(hit)
    first = solid.argmax(axis=0)[rows, columns]
    before = np.maximum(first - 1, 0)
    outer, inner = fog[before, rows, columns], fog[first, rows, columns]
    # How far behind `before` the skin lies, 0-1; a ray that starts inside meets it at once.
    part = np.where(first > before, (SKIN - outer) / np.maximum(inner - outer, 1e-6), 0)
    # Between voxels the fog is linear: its slope is smooth only if measured over a voxel or more.
    reach = np.maximum(1, np.ceil(edges / 2 - 1e-6)).astype(int)
    reach[0] = 1
    step = np.array([edges[0], 1, 1])
    slopes = []
    for axis in range(3):
        here, there = (_slope(fog, (place, rows, columns), axis, int(reach[axis])) for place in (before, first))
        slopes.append((here + part * (there - here)) / step[axis])
    outward = -np.stack(slopes)
    length = np.sqrt((outward**2).sum(axis=0))
    light = np.array(LIGHT) / np.linalg.norm(LIGHT)
    # Where the volume's edge cuts the head there is no slope: the cut faces the camera.
    facing = np.where(length < _FLAT, -light[0], light @ outward / np.maximum(length, _FLAT))
    picture = np.zeros(hit.shape, dtype=np.float32)
    picture[rows, columns] = AMBIENT + (1 - AMBIENT) * np.clip(facing, 0, 1)
    return picture


def _slope(fog: Voxels, at: tuple[NDArray[np.int_], ...], axis: int, reach: int) -> Voxels:
    """The central difference of the fog along an axis, per step, at some of its places."""
    ahead, behind = list(at), list(at)
    ahead[axis] = np.minimum(at[axis] + reach, fog.shape[axis] - 1)
    behind[axis] = np.maximum(at[axis] - reach, 0)
    slope: Voxels = (fog[tuple(ahead)] - fog[tuple(behind)]) / np.float32(2 * reach)
    return slope
