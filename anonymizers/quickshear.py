"""quickshear: one plane, tangent to the brain from the front and below, shears the face off.

Source: Schimke & Hale, Quickshear Defacing for Neuroimages, HealthSec 2011; the program is github.com/nipy/quickshear.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.brain import Method, brain_of, brain_versions
from refbench.anonymizers.registration import bounding_box
from refbench.errors import DataError
from refbench.plugin import param
from refbench.types import Affine, AnonymizedHead, Head, Mask


class Quickshear(Anonymizer):
    """Sets everything in front of and below a plane along the brain's lower front to 0."""

    buffer_mm: float = param(10.0, "how far the plane is lowered from the brain, along z", unit="mm", ge=0, le=100)
    brain: Method = param("deepbet", "where the brain is: deepbet's network, or the face template's brain")

    def needs(self) -> frozenset[Need]:
        """The brain, or the registration that brings the template's brain."""
        return frozenset({"brain"} if self.brain == "deepbet" else {"registration"})

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Set what lies beyond the plane to 0. Elsewhere no bit changes.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.brain.brain_of`; DataError for an empty brain.
        """
        plane = shear_plane(brain_of(head, self.brain), head.affine)
        sheared = beyond(plane, self.buffer_mm, head)
        if not sheared.any():
            return AnonymizedHead.compare(head, head, "no face found", "the plane passes below the volume")
        return head.with_voxels(np.where(sheared, np.float32(0), head.voxels))

    def tool_versions(self) -> Mapping[str, str]:
        """Of what finds the brain."""
        return brain_versions(self.brain)


class Plane(NamedTuple):
    """A plane that holds the left-right axis: RAS+ z = `height` + `rise` * (`front` - y), in mm.

    Attributes:
        front, height: y and z of the point where it touches the brain's foremost end.
        rise: of the plane per mm to the back; negative, as the brain reaches lower behind its foremost end.
    """

    front: float
    height: float
    rise: float


def shear_plane(brain: Mask, affine: Affine) -> Plane:
    """The first edge of the lower half of the convex hull of the brain's sagittal silhouette.

    Seen along the left-right axis of the world, the edge starts at the lowest of the brain's foremost points and is the
    steepest line down from there that leaves the whole brain above it: nearly upright, as a brain is round in front.
    The silhouette is drawn as the program draws it, one voxel wider than the brain; but along the axes of the world
    with cubes of a voxel's volume, so that on flat voxels and oblique grids the plane is what it would be on cubes.

    How steep it is hangs on the foremost voxels of the mask. On another grid the same brain gets a plane that touches
    it at the same place, but may be as much steeper or flatter as the program's is after a shift by half a voxel.

    Args:
        brain: bool (x, y, z).
        affine: float64 (4, 4), voxel index to RAS+ millimetres.

    Raises:
        DataError: the brain is empty.
    """
    edge_mm = float(abs(np.linalg.det(affine[:3, :3])) ** (1 / 3))
    silhouette, corner = _silhouette(brain, affine, edge_mm)
    occupied = np.flatnonzero(silhouette.any(axis=1))
    lowest = silhouette[occupied].argmax(axis=1)
    foremost, its_height = occupied[-1], lowest[-1]
    rise = ((lowest[:-1] - its_height) / (foremost - occupied[:-1])).min()
    front, height = corner + edge_mm * np.array([foremost, its_height])
    return Plane(float(front), float(height), float(rise))


def beyond(plane: Plane, buffer_mm: float, head: Head) -> Mask:
    """Which voxels lie below a plane that is lowered by `buffer_mm`: bool (x, y, z).

    As in the program the buffer is taken along z, not across the plane: to a steep plane the brain is nearer.
    """
    # Height above the plane is linear in the voxel indices.
    above = np.array([0, plane.rise, 1])
    offset = above @ head.affine[:3, 3] - plane.height - plane.rise * plane.front + buffer_mm
    x, y, z = (
        np.arange(size) * slope for size, slope in zip(head.voxels.shape, above @ head.affine[:3, :3], strict=True)
    )
    below: Mask = (x[:, None, None] + y[:, None]) + z < -offset
    return below


def _silhouette(brain: Mask, affine: Affine, edge_mm: float) -> tuple[Mask, NDArray[np.float64]]:
    """The brain seen from the side, one cube wider all round: bool (y, z), and the mm (2,) of its first cube."""
    from scipy import ndimage

    if not brain.any():
        raise DataError("the brain is empty: there is nothing to shear along. Check the volume.")
    box = bounding_box(brain, np.zeros(3, dtype=int))
    near = np.pad(brain[box], 1).astype(np.float32)
    start = np.array([part.start - 1 for part in box])
    to_mm = affine[:3, :3]
    corners = np.stack(np.meshgrid(*[(0, size - 1) for size in near.shape]), axis=-1).reshape(-1, 3)
    corners_mm = (corners + start) @ to_mm.T + affine[:3, 3]
    origin = corners_mm.min(axis=0)
    shape = np.ceil(np.ptp(corners_mm, axis=0) / edge_mm + 1e-3).astype(int) + 1
    to_voxels = np.linalg.inv(to_mm)
    cubes = ndimage.affine_transform(
        near,
        edge_mm * to_voxels,
        to_voxels @ (origin - affine[:3, 3]) - start,
        output_shape=tuple(shape.tolist()),
        output=np.float32,
        order=1,
    )
    # More than half by a hair, as rounding must not decide about points midway between two voxels.
    silhouette = np.pad((cubes > 0.501).any(axis=0), 1)
    return ndimage.binary_dilation(silhouette), origin[1:] - edge_mm
