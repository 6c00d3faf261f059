"""Coating: one grey over the skin, as thick in the air as below it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.regions import Box, RegionFilter, region_weight, surface_layer
from refbench.plugin import param
from refbench.types import Head, Voxels


class Coating(RegionFilter):
    """Fills the skin, and the air near it, with their mean intensity.

    The coat follows the skin: large features still show in its outer surface.
    """

    region: Literal["face", "head_surface"] = param("face", "which skin: the face's, or all round the head_surface")

    def weight(self, head: Head) -> NDArray[np.float32]:
        """The surface layer, by default within the face: float32 (x, y, z), 0-1."""
        layer = surface_layer(head)
        return layer if self.region == "head_surface" else layer * region_weight(head, "face")

    def filtered(self, head: Head, weight: NDArray[np.float32], box: Box, rng: np.random.Generator) -> Voxels:
        """The layer's mean, everywhere in the box."""
        near = head.voxels[box]
        return np.full(near.shape, np.average(near, weights=weight[box]), dtype=np.float32)
