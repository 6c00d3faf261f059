"""When a voxel counts as changed: reconstructed heads went through slices, and slices are rounded."""

from __future__ import annotations

import numpy as np

from refbench.types import Head, Mask

ROUNDING = 0.0025
"""A difference up to this share of the original's 99.5 percentile is rounding; slices of 8 bits err by 0.002."""


def changed_voxels(original: Head, candidate: Head) -> Mask:
    """Where two heads on one grid differ by more than rounding: bool of the voxels' shape."""
    scale = float(np.percentile(original.voxels, 99.5))
    changed: Mask = np.abs(candidate.voxels - original.voxels) > ROUNDING * abs(scale)
    return changed
