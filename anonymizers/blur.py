"""Gaussian blur: what the founding paper's attack reverses most easily."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.regions import Box, RegionFilter
from refbench.plugin import param
from refbench.types import Head, Voxels

_CUT = 4.0
"""The Gaussian is cut off at this many standard deviations."""


class Blur(RegionFilter):
    """Gaussian blur of the face, or of all the skin, or of everything; skin bleeds into the air in front of it."""

    strength_mm: float = param(4.0, "standard deviation of the Gaussian", unit="mm", gt=0, le=50)

    def reach_mm(self) -> float:
        """Up to where the Gaussian is computed."""
        return _CUT * self.strength_mm

    def filtered(self, head: Head, weight: NDArray[np.float32], box: Box, rng: np.random.Generator) -> Voxels:
        """The blurred box. Beyond the volume's edge its outermost voxels go on."""
        return gaussian(head.voxels[box], self.strength_mm / head.voxel_mm)


def gaussian(voxels: Voxels, sigma_voxels: NDArray[np.float64]) -> Voxels:
    """Gaussian blur; beyond the volume's edge its outermost voxels go on.

    Args:
        voxels: float32 (x, y, z).
        sigma_voxels: standard deviation along x, y and z in voxels, (3,).
    """
    from scipy import ndimage

    blurred: Voxels = ndimage.gaussian_filter(voxels, sigma_voxels.tolist(), mode="nearest", truncate=_CUT)
    return blurred
