"""Noise over the face: unlike a blur it keeps the mean of every place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.regions import Box, RegionFilter
from refbench.geometry import SKIN_FRACTION, air_level, skin_threshold
from refbench.plugin import param
from refbench.types import Head, Voxels


class Noise(RegionFilter):
    """Adds Gaussian noise to the face, each voxel its own; what was dark may become negative."""

    strength: float = param(
        1.0, "standard deviation, in multiples of the contrast between air and Otsu's threshold", gt=0, le=100
    )

    def filtered(self, head: Head, weight: NDArray[np.float32], box: Box, rng: np.random.Generator) -> Voxels:
        """The box with noise, drawn from the generator."""
        contrast = (skin_threshold(head.voxels) - air_level(head.voxels)) / SKIN_FRACTION
        near = head.voxels[box]
        noisy: Voxels = near + np.float32(self.strength * contrast) * rng.standard_normal(near.shape, dtype=np.float32)
        return noisy
