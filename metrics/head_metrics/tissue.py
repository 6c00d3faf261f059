"""Fluid, grey and white matter of a brain, by its intensities alone: simple, the same before and after.

The brain is evened first: a coil makes one side brighter than the other. Then two thresholds part three classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.types import Head, Mask

FLUID, GREY, WHITE = 0, 1, 2

EVENING_MM = 20.0
"""Standard deviation of the Gaussian that white matter is averaged with: wider than a lobe's white matter is thick."""

EVENING_ROUNDS = 4
"""How often the brain is evened and divided anew; after the second, thresholds hardly move."""

_COARSE_MM = 4.0
_BINS = 256
_MOST_ROUNDS = 50


@dataclass(frozen=True)
class Tissues:
    """The three tissues of one brain.

    Attributes:
        intensity: float64 [n], of every voxel of the brain in the array's order, evened; the scanner's scale.
        kind: int8 [n], `FLUID`, `GREY` or `WHITE`.
        voxel_ml: volume of a voxel.
    """

    intensity: NDArray[np.float64]
    kind: NDArray[np.int8]
    voxel_ml: float

    def volume_ml(self, kind: int) -> float:
        """The volume of one of them."""
        return float(np.count_nonzero(self.kind == kind)) * self.voxel_ml

    def of(self, kind: int) -> NDArray[np.float64]:
        """The evened intensities of one of them."""
        values: NDArray[np.float64] = self.intensity[self.kind == kind]
        return values


def find_tissues(head: Head, brain: Mask) -> Tissues:
    """Divide a brain into three classes of intensity.

    Thresholds are Otsu's for three classes (Otsu 1979, section V), refined off the histogram's bins so that a few
    voxels more or less never move them by a whole bin. The intensities are divided by the local brightness of white
    matter: its average under a Gaussian of `EVENING_MM`; both are found in turn.

    Args:
        head: T1-weighted, any scale: fluid is dark and white matter bright.
        brain: bool of the voxels' shape.

    Raises:
        DataError: the brain is empty, has fewer than three different intensities, or white matter that is not bright.
    """
    values = head.voxels[brain].astype(np.float64)
    low, high = _thresholds(values, head.subject)
    evened = values
    for _ in range(EVENING_ROUNDS):
        evened = values / _local_brightness(values, evened > high, brain, head.voxel_mm)
        low, high = _thresholds(evened, head.subject)
    kind = np.digitize(evened, [low, high]).astype(np.int8)
    return Tissues(evened, kind, float(np.prod(head.voxel_mm)) / 1000)


def _thresholds(values: NDArray[np.float64], subject: str) -> tuple[float, float]:
    """The two thresholds with the largest variance between three classes.

    Raises:
        DataError: there are no three classes, or even the brightest is below 0.
    """
    from skimage.filters import threshold_multiotsu

    ceiling = float(np.percentile(values, 99.9)) if len(values) else 0.0
    values = np.minimum(values, ceiling)  # a few bright vessels would coarsen the bins
    counts, edges = np.histogram(values, bins=_BINS)
    if np.count_nonzero(counts) < 3:
        raise DataError(f"the brain of {subject or 'this head'} has no three tissues: empty or constant. Look at it.")
    centres = (edges[:-1] + edges[1:]) / 2
    thresholds = threshold_multiotsu(hist=(counts, centres), classes=3)  # type: ignore[no-untyped-call]
    ordered = np.sort(values)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    # Otsu's classes are those of k-means along one axis: thresholds lie midway between their neighbours' means.
    for _ in range(_MOST_ROUNDS):
        cut = np.concatenate([[0], np.searchsorted(ordered, thresholds), [len(ordered)]])
        means = np.diff(sums[cut]) / np.maximum(np.diff(cut), 1)
        better = (means[:-1] + means[1:]) / 2
        if np.allclose(better, thresholds, rtol=1e-6, atol=0):
            break
        thresholds = better
    if thresholds[1] <= 0:
        raise DataError(f"the brain of {subject or 'this head'} is darker than 0: it has no three tissues. Rescale it.")
    return float(thresholds[0]), float(thresholds[1])


def _local_brightness(
    values: NDArray[np.float64], white: Mask, brain: Mask, voxel_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How bright white matter is around each voxel of the brain, as a share of its mean: float64 [n], around 1."""
    from scipy import ndimage
    from skimage.measure import block_reduce

    box = ndimage.find_objects(brain.astype(np.uint8))[0]
    block = tuple(np.maximum(1, np.round(_COARSE_MM / voxel_mm)).astype(int))
    amount, brightness = np.zeros(brain.shape, np.float32), np.zeros(brain.shape, np.float32)
    amount[brain] = white
    brightness[brain] = np.where(white, values, 0)
    smooth = EVENING_MM / (voxel_mm * block)
    around, total = (
        ndimage.gaussian_filter(block_reduce(map_[box], block, np.sum), smooth, mode="constant")  # type: ignore[no-untyped-call]
        for map_ in (amount, brightness)
    )
    level = float(values[white].mean())
    # Beyond the reach of all white matter its mean is the best guess.
    share = np.divide(total, around * level, out=np.ones_like(total), where=around > 1e-6)
    places = np.argwhere(brain[box]).T / np.reshape(block, (3, 1)) - (0.5 - 0.5 / np.reshape(block, (3, 1)))
    local: NDArray[np.float64] = ndimage.map_coordinates(share.astype(np.float64), places, order=1, mode="nearest")
    return local
