"""How jagged a head is across its slices: attackers that repaint slice by slice leave steps between them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from refbench.metrics.head_metrics.base import HeadMetric, HeadPair
from refbench.metrics.head_metrics.rounding import changed_voxels
from refbench.types import Mask, Voxels

ACROSS, WITHIN = 0, (1, 2)
"""Sagittal slices lie one beside the other along x; y and z are within them."""


class Continuity(HeadMetric):
    """How rough the changed part of a head is across sagittal slices, beside the original: 1 = as smooth.

    Roughness is the mean absolute second difference of neighbouring voxels along an axis. Abramian & Eklund, "Refacing"
    (2019), name the discontinuity between slices as the price of attacking them one by one.
    """

    figures: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "jaggedness": "roughness across slices over that within them, as a multiple of the original's",
            "roughness_across": "roughness across slices, as a multiple of the original's",
            "roughness_within": "roughness within slices, as a multiple of the original's",
        }
    )
    headline: ClassVar[tuple[str, ...]] = ("jaggedness",)

    def measure(self, pair: HeadPair) -> dict[str, float]:
        """All three over the voxels that changed; 1 where none did, NaN where original or candidate is flat there."""
        region = changed_voxels(pair.original, pair.candidate)
        if not region.any():
            return dict.fromkeys(self.figures, 1.0)
        across = _multiple(pair, region, (ACROSS,))
        within = _multiple(pair, region, WITHIN)
        jaggedness = across / within if within > 0 else float("nan")
        return {"jaggedness": jaggedness, "roughness_across": across, "roughness_within": within}


def roughness(voxels: Voxels, region: Mask, axes: tuple[int, ...]) -> float:
    """Mean absolute second difference of neighbours along axes: over voxels of a region with a neighbour either side.

    Args:
        voxels: float32 (x, y, z).
        region: bool of the same shape.
        axes: of these the mean.

    Returns:
        on the scale of the voxels; NaN where the region has no such voxel.
    """
    found = []
    for axis in axes:
        steps = np.abs(np.diff(voxels.astype(np.float64), n=2, axis=axis))
        inner = np.moveaxis(np.moveaxis(region, axis, 0)[1:-1], 0, axis)
        found.append(float(steps[inner].mean()) if inner.any() else float("nan"))
    return float(np.mean(found))


def _multiple(pair: HeadPair, region: Mask, axes: tuple[int, ...]) -> float:
    original = roughness(pair.original.voxels, region, axes)
    return roughness(pair.candidate.voxels, region, axes) / original if original > 0 else float("nan")
