"""Where the head is in a volume: pure functions on arrays that all parts share.

Volumes are in RAS+ order: x to the right, y to the front, z up. scipy is imported inside the functions, so that
plug-ins which import this module still load in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.types import Mask, Voxels

SKIN_FRACTION = 0.4
"""Skin starts at this fraction of the way from air to Otsu's threshold, as muscle and cartilage are dark."""

_COARSE_MM = 4.0
_CLOSING_MM = 8.0


def otsu_threshold(values: NDArray[np.float32], bins: int = 256) -> float:
    """The threshold that separates dark from bright best: largest variance between the two classes.

    Values above the 99.9 percentile count as the percentile, so that a few bright vessels do not coarsen the bins.

    Args:
        values: intensities, any shape.
        bins: of the histogram.

    Raises:
        DataError: all values are the same.

    Source: Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 9(1), 1979.
    """
    low, high = float(values.min()), float(np.percentile(values, 99.9))
    if not high > low:
        raise DataError("the volume is constant: there is no head in it. Check the file, or leave the scan out.")
    counts, edges = np.histogram(np.minimum(values, high), bins=bins, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    dark = np.cumsum(counts)[:-1].astype(np.float64)
    bright = dark[-1] + counts[-1] - dark
    dark_sum = np.cumsum(counts * centres)[:-1]
    bright_sum = (counts * centres).sum() - dark_sum
    between = dark * bright * (dark_sum / np.maximum(dark, 1) - bright_sum / np.maximum(bright, 1)) ** 2
    return float(edges[1:-1][between.argmax()])


def air_level(voxels: Voxels) -> float:
    """The intensity of the air around a head: the median of all voxels below Otsu's threshold.

    Args:
        voxels: float32 (x, y, z).

    Raises:
        DataError: the volume is constant.
    """
    return _levels(voxels)[0]


def skin_threshold(voxels: Voxels) -> float:
    """The intensity above which a voxel is tissue rather than air, on the scanner's own scale.

    `SKIN_FRACTION` of the way from the air's level to Otsu's threshold, so that a background that is not zero moves it.

    Args:
        voxels: float32 (x, y, z).

    Raises:
        DataError: the volume is constant.
    """
    air, otsu = _levels(voxels)
    return air + SKIN_FRACTION * (otsu - air)


def head_mask(voxels: Voxels, voxel_mm: Sequence[float] | NDArray[np.float64]) -> Mask:
    """The head with everything inside it: tissue brighter than the skin threshold, largest piece, holes filled.

    The piece and its holes (sinuses, airways, bone) are found on a grid of about 4 mm; the skin itself keeps the
    volume's own resolution.

    Args:
        voxels: float32 (x, y, z) in RAS+ order, any scale, any background level.
        voxel_mm: edge lengths of a voxel along x, y and z in mm.

    Returns:
        bool (x, y, z), True in the head.

    Raises:
        DataError: the volume is constant.
    """
    from scipy import ndimage

    tissue = voxels > skin_threshold(voxels)
    edges = np.asarray(voxel_mm, dtype=np.float64)
    block = np.maximum(1, np.floor(_COARSE_MM / edges + 1e-3)).astype(int)
    coarse = _block_fraction(tissue, block) > 0.5
    labels, count = ndimage.label(coarse)
    if count > 1:
        coarse = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    near = ndimage.binary_dilation(coarse)
    # Axial slices are filled one by one: airways and the spinal canal leave the volume at its bottom.
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[:, 1, 1] = in_plane[1, :, 1] = True
    rounds = np.maximum(1, np.round(_CLOSING_MM / (edges * block))).astype(int)
    closed = _closing(coarse, rounds)
    filled = ndimage.binary_fill_holes(closed, structure=in_plane)
    # One coarse voxel is taken off, so that what was filled never reaches beyond the skin.
    inner = ndimage.binary_erosion(filled, border_value=1)
    mask: Mask = (tissue & _repeat(near, block, tissue.shape)) | _repeat(inner, block, tissue.shape)
    return mask


def mid_sagittal(mask: Mask, voxel_mm: Sequence[float] | NDArray[np.float64]) -> float:
    """The x voxel index of the plane about which the head is most symmetric, to a fraction of a voxel.

    The plane is perpendicular to x; a turned head gets the best plane of that kind.

    Args:
        mask: bool (x, y, z), the head.
        voxel_mm: edge lengths of a voxel in mm; only decides how many rows are looked at.

    Raises:
        DataError: the mask is empty.
    """
    if not mask.any():
        raise DataError("the head mask is empty: there is no plane of symmetry. Check the volume.")
    edges = np.asarray(voxel_mm, dtype=np.float64)
    step = np.maximum(1, np.floor(_COARSE_MM / edges + 1e-3)).astype(int)
    rows = mask[:, :: step[1], :: step[2]].reshape(len(mask), -1)
    rows = rows[:, rows.any(axis=0)].astype(np.float32)
    # A row's overlap with its mirror image, for every mirror at once, is its convolution with itself.
    spectrum = np.fft.rfft(rows, n=2 * len(rows), axis=0)
    overlap = np.fft.irfft((spectrum**2).sum(axis=1), n=2 * len(rows))
    best = int(overlap[1:-1].argmax()) + 1
    before, here, after = overlap[best - 1 : best + 2]
    curvature = before - 2 * here + after
    shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return float(best + shift) / 2


def face_width(mask: Mask) -> tuple[int, int]:
    """The first and the last x voxel index of the face: the sideways extent of the front third of the head.

    The ears lie behind the front third and do not count.

    Args:
        mask: bool (x, y, z), the head.

    Raises:
        DataError: the mask is empty.
    """
    if not mask.any():
        raise DataError("the head mask is empty: there is no face to measure. Check the volume.")
    along_y = np.flatnonzero(mask.any(axis=(0, 2)))
    front = mask[:, along_y[-1] - len(along_y) // 3 : along_y[-1] + 1]
    amount = front.sum(axis=(1, 2))
    # A handful of stray voxels, as noise leaves them, is not a cheek.
    across = np.flatnonzero(amount > 0.02 * amount.max())
    return int(across[0]), int(across[-1])


def _levels(voxels: Voxels) -> tuple[float, float]:
    """The air's level and Otsu's threshold, from about half a million voxels."""
    step = max(1, round((voxels.size / 500_000) ** (1 / 3)))
    sample = voxels[::step, ::step, ::step]
    threshold = otsu_threshold(sample)
    return float(np.median(sample[sample <= threshold])), threshold


def _block_fraction(mask: Mask, block: NDArray[np.int_]) -> NDArray[np.float32]:
    """Share of True voxels in blocks of the given shape; the last, incomplete blocks are padded with False."""
    padding = [(0, int(-size % edge)) for size, edge in zip(mask.shape, block, strict=True)]
    padded = np.pad(mask, padding)
    sums = padded
    for axis, edge in enumerate(block):
        shape = (*sums.shape[:axis], sums.shape[axis] // edge, edge, *sums.shape[axis + 1 :])
        sums = sums.reshape(shape).sum(axis=axis + 1, dtype=np.int32)
    fraction: NDArray[np.float32] = (sums / np.prod(block)).astype(np.float32)
    return fraction


def _repeat(mask: Mask, block: NDArray[np.int_], shape: tuple[int, ...]) -> Mask:
    """Undo `_block_fraction`'s change of grid: every voxel becomes a block, cut to `shape`."""
    for axis, edge in enumerate(block):
        mask = mask.repeat(edge, axis=axis)
    return mask[: shape[0], : shape[1], : shape[2]]


def _closing(mask: Mask, rounds: NDArray[np.int_]) -> Mask:
    """Morphological closing with a box of `rounds` voxels to each side; the volume's edge closes nothing."""
    from scipy import ndimage

    padded = np.pad(mask, [(int(n), int(n)) for n in rounds])
    closed = ndimage.binary_closing(padded, structure=np.ones(2 * rounds + 1, dtype=bool))
    inside: Mask = closed[tuple(slice(int(n), -int(n)) for n in rounds)]
    return inside
