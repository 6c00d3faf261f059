"""What mask_face does inside its layer: box filters along the curved surface, or a plain box mean.

Volumes are views from outside as in `refbench.anonymizers.surface_layer`: depth is the last axis and grows outwards.

Source: Milchenko & Marcus, Obscuring surface anatomy in volumetric imaging data, Neuroinformatics 11(1), 2013.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.surface_layer import SurfaceLayer

LATERAL_SHARE = 0.1
"""Half-width of the box along u and v, as a share of the region's size."""

DEPTH_SHARE = 0.5
"""Half-width of the box along depth, as a share of the thickness."""

LATERAL_START, DEPTH_START = 0.5, 0.05
"""Both half-widths at the lower surface, as shares of the thickness."""


def normfilter(volume: NDArray[np.float32], layer: SurfaceLayer, thickness: NDArray[np.float64]) -> NDArray[np.float32]:
    """Smooth the layer as if it were flat: strongly, but less and less towards its lower surface.

    The half-widths of the box grow from the lower surface to the middle of the layer as a quarter of a sine, so that
    the result joins the tissue below. Columns without skin do not count in a mean.

    Args:
        volume: float32 (u, v, depth).
        layer: in it.
        thickness: of the layer below the surface, in voxels along u, v and depth, (3,).

    Returns:
        float32 (u, v, depth); what lies outside the layer means nothing.
    """
    samples = 2 * int(np.ceil(thickness[2])) + 1
    block = straighten(volume, layer, samples)
    growth = np.sin(np.pi / 2 * np.minimum(1, np.linspace(0, 2, samples)))
    start = np.array([*LATERAL_START * thickness[:2], DEPTH_START * thickness[2]])
    full = np.array([*(LATERAL_SHARE * size for size in volume.shape[:2]), DEPTH_SHARE * thickness[2]])
    half = start + growth[:, None] * np.maximum(0, full - start)

    in_depth = _mean_along_depth(block, half[:, 2])
    smooth = np.empty_like(block)
    seen = layer.seen.astype(np.float32)
    for k in range(samples):
        size = _odd(half[k, :2])
        smooth[..., k] = _box(in_depth[..., k] * seen, size) / np.maximum(_box(seen, size), 1e-6)
    return bend_back(smooth, layer, volume.shape[-1])


def box_mean(volume: NDArray[np.float32], half: NDArray[np.float64]) -> NDArray[np.float32]:
    """The mean over a box of `half` voxels (3,) to each side; the volume's outermost voxels go on beyond it."""
    return _box(volume, _odd(half))


def straighten(volume: NDArray[np.float32], layer: SurfaceLayer, samples: int) -> NDArray[np.float32]:
    """Cut the layer out as a regular block, linear between voxels; the volume's outermost voxels go on beyond it.

    Args:
        volume: float32 (u, v, depth).
        layer: on the same u and v.
        samples: how many from the lower to the upper surface, both included.

    Returns:
        float32 (u, v, samples).
    """
    share = np.linspace(0, 1, samples)
    at = layer.lower[..., None] + share * (layer.upper - layer.lower)[..., None]
    return _along_depth(volume, at)


def bend_back(block: NDArray[np.float32], layer: SurfaceLayer, count: int) -> NDArray[np.float32]:
    """The inverse of `straighten`: float32 (u, v, count); outside the layer the block's outermost samples go on."""
    return _along_depth(block, layer.depth_of(count) * (block.shape[-1] - 1))


def _along_depth(values: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Linear interpolation within each column: `values` (u, v, n) at the indices `at` (u, v, m)."""
    at = np.clip(at, 0, values.shape[-1] - 1)
    below = at.astype(np.int64)
    above = np.minimum(below + 1, values.shape[-1] - 1)
    share = (at - below).astype(np.float32)
    first = np.take_along_axis(values, below, axis=-1)
    return first + share * (np.take_along_axis(values, above, axis=-1) - first)


def _mean_along_depth(block: NDArray[np.float32], half: NDArray[np.float64]) -> NDArray[np.float32]:
    """Means over `half[k]` samples, fractions too, to both sides of sample k; cut off at the block's ends."""
    count = block.shape[-1]
    edges = np.arange(count + 1)
    weights = np.empty((count, count), dtype=np.float32)
    for k, reach in enumerate(half):
        low, high = max(0.0, k - reach), min(count, k + 1 + reach)
        overlap = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
        weights[k] = overlap / overlap.sum()
    mean: NDArray[np.float32] = block @ weights.T
    return mean


def _odd(half: NDArray[np.float64]) -> list[int]:
    """The widths in voxels of a box with these half-widths."""
    widths: list[int] = (2 * np.round(half).astype(int) + 1).tolist()
    return widths


def _box(values: NDArray[np.float32], size: list[int]) -> NDArray[np.float32]:
    from scipy import ndimage

    mean: NDArray[np.float32] = ndimage.uniform_filter(values, size, mode="nearest")
    return mean
