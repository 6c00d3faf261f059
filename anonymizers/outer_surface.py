"""The surface between a head and the air around it, as triangles in mm, to a fraction of a voxel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.types import Affine, Mask, Voxels

Box = tuple[slice, slice, slice]

COARSE_MM = 2.0
"""Outside is found on blocks of about this size."""

BALL_MM = 6.0
"""Air that a box of this half width cannot enter from outside is not outside: nostrils, ear canals, the mouth."""

SMOOTHING_MM = 1.0
"""Standard deviation of the Gaussian that keeps noise from roughening the skin; original and release both get it."""

SPECK_ML = 1.0
"""Tissue in pieces smaller than this floats in the air: noise, ghosts, what a tool forgot."""


def outer_surface(voxels: Voxels, affine: Affine, box: Box, threshold: float) -> NDArray[np.float32]:
    """Triangulate where the outer air of a part of a volume ends.

    The surface lies where the intensity, interpolated between voxels, crosses the threshold (marching cubes: Lewiner
    et al., Efficient implementation of Marching Cubes' cases with topological guarantees, J. Graphics Tools 8, 2003).
    Cavities do not count, whether closed or open through a narrow passage. The edges of the box are no surface.

    Args:
        voxels: float32 (x, y, z).
        affine: (4, 4), voxel index to mm.
        box: where to look; the air in it is outside if it is the largest piece.
        threshold: the intensity that parts tissue from air.

    Returns:
        float32 (n, 3, 3): triangles, their corners, mm. Empty where there is no air or nothing but air.
    """
    from scipy import ndimage
    from skimage.measure import marching_cubes

    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    none = np.zeros((0, 3, 3), dtype=np.float32)
    if min(voxels[box].shape) < 2:
        return none
    near = ndimage.gaussian_filter(voxels[box].astype(np.float32), SMOOTHING_MM / edges, mode="nearest")
    tissue = _without_specks(near > threshold, float(np.prod(edges)))
    outside = _outer_air(tissue, edges)
    if not (outside.any() and tissue.any()):
        return none
    # What is neither tissue nor outer air is filled; specks become air. Both keep away from the threshold by as much
    # as they were beyond it, and voxels on either side of the skin stay as they are.
    beyond = np.abs(near - np.float32(threshold))
    np.negative(beyond, out=beyond, where=outside)
    if not (beyond.min() < 0 < beyond.max()):
        return none
    corners, faces, _, _ = marching_cubes(beyond, 0.0, mask=_touched(outside))  # type: ignore[no-untyped-call]
    origin = np.array([edge.start or 0 for edge in box])
    in_mm = (corners + origin) @ affine[:3, :3].T + affine[:3, 3]
    triangles: NDArray[np.float32] = in_mm.astype(np.float32)[faces]
    return triangles


def areas(triangles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Areas of triangles (n, 3, 3), float32 (n,), in mm2."""
    across = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area: NDArray[np.float32] = (np.linalg.norm(across, axis=1) / 2).astype(np.float32)
    return area


def sampled(triangles: NDArray[np.float32], spacing_mm: float) -> NDArray[np.float32]:
    """Points spread over triangles (n, 3, 3): float32 (m, 3), none further than about `spacing_mm` from the next.

    Every triangle is cut into k x k equal ones, and their centres are taken; k follows from the longest side.
    """
    if not len(triangles):
        return np.zeros((0, 3), dtype=np.float32)
    longest = float(np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2).max())
    count = max(1, int(np.ceil(longest / spacing_mm)))
    steps = np.arange(count)
    upright = [(i + 1 / 3, j + 1 / 3) for i in steps for j in steps if i + j < count]
    inverted = [(i + 2 / 3, j + 2 / 3) for i in steps for j in steps if i + j < count - 1]
    first, second = (np.array(upright + inverted, dtype=np.float32) / count).T
    weights = np.stack([first, second, 1 - first - second], axis=1)
    points: NDArray[np.float32] = np.einsum("kc,ncd->nkd", weights, triangles).reshape(-1, 3)
    return points


def _without_specks(tissue: Mask, voxel_mm3: float) -> Mask:
    """Tissue less its pieces under `SPECK_ML`; bool of the same shape."""
    from scipy import ndimage

    labels, count = ndimage.label(tissue)
    if count < 2:
        return tissue
    large = np.bincount(labels.ravel()) * voxel_mm3 >= 1000 * SPECK_ML
    large[0] = False
    kept: Mask = large[labels]
    return kept


def _outer_air(tissue: Mask, edges: NDArray[np.float64]) -> Mask:
    """The air outside the head, up to the skin; bool of the same shape.

    The largest piece of air that is wide enough is found on coarse blocks, and grows from there to the skin at full
    resolution, but not further than the box it was narrowed by: into a nostril, it comes no deeper.
    """
    from scipy import ndimage

    block = np.maximum(1, np.round(COARSE_MM / edges)).astype(int)
    reach = np.maximum(1, np.round(BALL_MM / (edges * block))).astype(int)
    grow = [(int(n), int(n)) for n in reach]
    # Beyond the box the air goes on as it is at its edge; blocks with any tissue in them are closed.
    coarse = np.pad(_any_in_blocks(tissue, block), grow, mode="edge")
    narrow = ndimage.maximum_filter(coarse, size=tuple(2 * reach + 1))
    labels, count = ndimage.label(~narrow)
    if count == 0:
        return np.zeros_like(tissue)
    wide = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    opened = ndimage.maximum_filter(wide, size=tuple(2 * reach + 3))
    within = opened[tuple(slice(int(n), -int(n)) for n in reach)]
    for axis, size in enumerate(block):
        within = within.repeat(size, axis=axis)
    air = within[: tissue.shape[0], : tissue.shape[1], : tissue.shape[2]] & ~tissue
    labels, _ = ndimage.label(air)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    outer: Mask = labels == counts.argmax() if counts.max() else air
    return outer


def _any_in_blocks(mask: Mask, block: NDArray[np.int_]) -> Mask:
    """Whether any voxel of each block is True; the last, incomplete blocks count what they have."""
    for axis, size in enumerate(block):
        mask = np.logical_or.reduceat(mask, np.arange(0, mask.shape[axis], size), axis=axis)
    return mask


def _touched(outside: Mask) -> Mask:
    """Where marching cubes has to look: cubes of which some corner lies in the outer air, but not all."""
    from scipy import ndimage

    rim: Mask = ndimage.maximum_filter(outside, size=3)
    return rim
