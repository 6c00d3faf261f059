"""Gaussian blur of the face: what the founding paper's attack reverses most easily."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.registration import bounding_box, face_region, registration_versions
from refbench.plugin import param
from refbench.types import AnonymizedHead, Head

EDGE_MM = 4.0
"""The blur fades in over this depth inside the face region."""

_REACH = 4.0
"""The Gaussian is cut off at this many standard deviations."""


class Blur(Anonymizer):
    """Gaussian blur of the face, air in front of it included."""

    needs_registration: ClassVar[bool] = True

    strength_mm: float = param(4.0, "standard deviation of the Gaussian", unit="mm", gt=0, le=50)

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Blur the face region; skin bleeds into the air in front of it. Outside the region no bit changes.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.registration.register`.
        """
        weight = soft_edge(face_region(head), head.voxel_mm)
        if not weight.any():
            return AnonymizedHead.compare(head, head, "no face found", "the face region lies outside the volume")
        return head.with_voxels(blur_where(head.voxels, weight, self.strength_mm / head.voxel_mm))

    def tool_versions(self) -> Mapping[str, str]:
        """Of niimath and pydeface."""
        return registration_versions()


def soft_edge(region: NDArray[np.float32], voxel_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Fade a region in over `EDGE_MM` inside its edge, so that nothing outside it gains weight.

    Args:
        region: float32 (x, y, z), 0-1.
        voxel_mm: edge lengths of a voxel, (3,).

    Returns:
        float32 of the same shape, 0-1: 0 where `region` is at most 0.5.
    """
    from scipy import ndimage

    inside = (region > 0.5).astype(np.float32)
    size = 2 * np.round(EDGE_MM / voxel_mm).astype(int) + 1
    mean = ndimage.uniform_filter(inside, size.tolist(), mode="nearest")
    # Half of a window centred on a flat edge lies inside: the ramp starts there.
    weight: NDArray[np.float32] = np.clip(2 * mean - 1, 0, 1) * inside
    return weight


def blur_where(
    voxels: NDArray[np.float32], weight: NDArray[np.float32], sigma_voxels: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Mix a volume with its Gaussian blur: 0 keeps a voxel bit by bit, 1 takes the blurred one.

    Beyond the volume's edge its outermost voxels go on.

    Args:
        voxels: float32 (x, y, z).
        weight: the same shape, 0-1, not all 0.
        sigma_voxels: standard deviation along x, y and z in voxels, (3,).
    """
    from scipy import ndimage

    box = bounding_box(weight > 0, np.ceil(_REACH * sigma_voxels).astype(int) + 1)
    near, share = voxels[box], weight[box]
    blurred = ndimage.gaussian_filter(near, sigma_voxels.tolist(), mode="nearest", truncate=_REACH)
    result = voxels.copy()
    result[box] = np.where(share > 0, near + share * (blurred - near), near)
    return result
