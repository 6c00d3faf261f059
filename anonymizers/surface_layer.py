"""The curved layer around the skin that is seen from one side: a height field on a coarse mesh, thickened both ways.

All arrays here are *views from outside*: the last axis is depth and grows towards the viewer, the first two lie across.
Heights are in voxels along depth; a skin between the voxels k and k + 1 has the height k + 0.5.

Source: Milchenko & Marcus, Obscuring surface anatomy in volumetric imaging data, Neuroinformatics 11(1), 2013.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.geometry import skin_threshold
from refbench.types import Mask

PUSHES = 10
"""The upper surface moves outwards at most this often, a tenth of the thickness at a time."""

BALL_MM = 2.3
"""Radius of the ball that opens, closes and dilates the head: the published 4 over a voxel's diagonal, in mm."""

Heights = NDArray[np.float64]


class SurfaceLayer(NamedTuple):
    """A layer between two height fields.

    Attributes:
        lower, upper: float64 (u, v), heights in voxels along depth; `lower` is below `upper` everywhere.
        seen: bool (u, v), the columns in which there is a skin at all; the layer exists in these alone.
    """

    lower: Heights
    upper: Heights
    seen: Mask

    def depth_of(self, count: int) -> NDArray[np.float64]:
        """How deep in the layer the voxels lie: float64 (u, v, count), 0 at the lower surface, 1 at the upper."""
        depth: NDArray[np.float64] = (np.arange(count) - self.lower[..., None]) / (self.upper - self.lower)[..., None]
        return depth

    def inside(self, count: int) -> Mask:
        """The voxels of the layer: bool (u, v, count), with `count` voxels along depth."""
        depth = self.depth_of(count)
        mask: Mask = (depth >= 0) & (depth <= 1) & self.seen[..., None]
        return mask


def surface_layer(
    mask: Mask, voxel_mm: NDArray[np.float64], step_mm: float, thickness_mm: float
) -> SurfaceLayer | None:
    """Find the skin at the vertices of a mesh, join them by a smooth surface, and thicken it.

    Where the head, dilated, still rises above the upper surface, that is pushed out, at most by the thickness again:
    nose and ears lie inside the layer.

    Args:
        mask: bool (u, v, depth), the head as seen from outside: the vertices sit where rays first meet it.
        voxel_mm: edge lengths of a voxel along u, v and depth, (3,).
        step_mm: distance of the vertices.
        thickness_mm: of the layer below the surface, and as much above, along its normal.

    Returns:
        The layer on the grid of u and v, or None when no ray meets the head.
    """
    from scipy import ndimage

    tops = _tops(mask)
    seen = np.isfinite(tops)
    if not seen.any():
        return None
    rows, columns = (_vertices(size, edge, step_mm) for size, edge in zip(tops.shape, voxel_mm, strict=False))
    corners = np.ix_(np.round(rows).astype(int), np.round(columns).astype(int))
    height = _spread(_filled(tops, seen)[corners], tops.shape)

    ball = _ball(thickness_mm, voxel_mm)
    lower = _offset(height, ball, outwards=False)
    upper = _offset(height, ball, outwards=True)
    outer = _tops(ndimage.binary_dilation(mask, _ball_mask(BALL_MM, voxel_mm)))
    push = np.zeros((len(rows), len(columns)))
    reach = tuple(2 * int(np.ceil(step_mm / edge)) + 1 for edge in voxel_mm[:2])
    for _ in range(PUSHES):
        pushed = upper + _spread(push, tops.shape)
        near = _any_near(outer > pushed, reach)[corners]
        if not near.any():
            break
        push += near * thickness_mm / voxel_mm[2] / PUSHES
    return SurfaceLayer(lower, upper + _spread(push, tops.shape), np.isfinite(outer))


def local_head(volume: NDArray[np.float32], head: Mask, dimmest: float, voxel_mm: NDArray[np.float64]) -> Mask:
    """The head within a part of a volume, with skin that is dimmer there than elsewhere, and without specks.

    As published, the part is cut in three along its second axis and each third has a threshold of its own: the chin
    often lies where the coil hardly sees it.

    Args:
        volume: float32 (u, v, depth).
        head: bool of the same shape, by one threshold for the whole volume (`refbench.geometry.head_mask`).
        dimmest: no threshold is lower, so that noise is no skin where a third has none.
        voxel_mm: edge lengths of a voxel, (3,).

    Returns:
        bool of the same shape, one piece, opened and closed by a ball of `BALL_MM`.
    """
    from scipy import ndimage

    tissue = head.copy()
    cuts = np.linspace(0, volume.shape[1], 4).round().astype(int)
    for first, end in pairwise(cuts):
        part = np.s_[:, first:end]
        if first == end:
            continue
        try:
            threshold = skin_threshold(volume[part])
        except DataError:
            continue  # nothing but padding
        tissue[part] |= volume[part] > max(dimmest, threshold)
    ball = _ball_mask(BALL_MM, voxel_mm)
    # The volume's edge takes nothing away.
    opened = ndimage.binary_dilation(ndimage.binary_erosion(tissue, ball, border_value=1), ball)
    closed = ndimage.binary_erosion(ndimage.binary_dilation(opened, ball), ball, border_value=1)
    labels, count = ndimage.label(closed)
    if count > 1:
        closed = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    mask: Mask = closed
    return mask


def _tops(mask: Mask) -> Heights:
    """Where rays from outside meet a mask: float64 (u, v), -inf where they never do."""
    from_outside = mask[..., ::-1].argmax(axis=-1)
    return np.where(mask.any(axis=-1), mask.shape[-1] - 0.5 - from_outside, -np.inf)


def _filled(heights: Heights, seen: Mask) -> Heights:
    """Heights in every column: that of the nearest one that is seen where there is none."""
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    filled: Heights = heights[tuple(nearest)]
    return filled


def _vertices(size: int, edge_mm: float, step_mm: float) -> NDArray[np.float64]:
    """Voxel indices of the vertices along an axis, evenly spread from end to end, about `step_mm` apart."""
    count = max(2, round((size - 1) * edge_mm / step_mm) + 1)
    return np.linspace(0, size - 1, count)


def _spread(values: Heights, shape: tuple[int, ...]) -> Heights:
    """The cubic B-spline surface with the vertices as its control points, on the grid of u and v.

    It is smooth and overshoots at no cliff, as between chin and neck; a plane stays that plane up to its ends.
    """
    from scipy import ndimage

    padded = np.pad(values, 2, mode="reflect", reflect_type="odd")
    at = np.ix_(*(2 + np.linspace(0, count - 1, size) for count, size in zip(values.shape, shape, strict=True)))
    spread: Heights = ndimage.map_coordinates(padded, np.broadcast_arrays(*at), order=3, prefilter=False)
    return spread


def _ball_mask(radius_mm: float, voxel_mm: NDArray[np.float64]) -> Mask:
    """The voxels of a ball, at least one to each side along every axis."""
    reach = np.maximum(1, np.floor(radius_mm / voxel_mm)).astype(int)
    u, v, w = (np.arange(-n, n + 1) * edge for n, edge in zip(reach, np.minimum(voxel_mm, radius_mm), strict=True))
    mask: Mask = u[:, None, None] ** 2 + v[:, None] ** 2 + w**2 <= radius_mm**2 * (1 + 1e-9)
    return mask


def _ball(radius_mm: float, voxel_mm: NDArray[np.float64]) -> Heights:
    """The upper half of a ball as a height field in voxels along depth, -inf beyond its rim."""
    u, v = (np.arange(-(n := int(radius_mm // edge)), n + 1) * edge for edge in voxel_mm[:2])
    squared = radius_mm**2 - u[:, None] ** 2 - v**2
    return np.where(squared >= 0, np.sqrt(np.maximum(squared, 0)) / voxel_mm[2], -np.inf)


def _offset(height: Heights, ball: Heights, *, outwards: bool) -> Heights:
    """The height field shifted along its normals by the ball's radius: the envelope of balls on the surface."""
    from scipy import ndimage

    footprint = np.isfinite(ball)
    structure = np.where(footprint, ball, 0)
    shift = ndimage.grey_dilation if outwards else ndimage.grey_erosion
    shifted: Heights = shift(height, footprint=footprint, structure=structure, mode="nearest")
    return shifted


def _any_near(mask: Mask, size: tuple[int, ...]) -> Mask:
    """Whether anything within a window of `size` around is True."""
    from scipy import ndimage

    near: Mask = ndimage.maximum_filter(mask, size=size, mode="constant")
    return near
