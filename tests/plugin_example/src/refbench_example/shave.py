"""Removes the foremost part of the head."""

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.plugin import param
from refbench.types import Head


class Shave(Anonymizer):
    """Sets the foremost part of the volume to 0."""

    depth_mm: float = param(40.0, "how much of the front goes", unit="mm", gt=0)

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head:
        voxels = np.array(head.voxels)
        voxels[:, -round(self.depth_mm / head.voxel_mm[1]) :] = 0
        return head.with_voxels(voxels)
