"""Where a filter works on a head, and the base of the anonymizers that filter a region."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.brain import grown
from refbench.anonymizers.registration import bounding_box, face_region, registration_versions, warp
from refbench.anonymizers.template import Atlas, template_brain
from refbench.geometry import head_mask
from refbench.plugin import param
from refbench.types import AnonymizedHead, Head, Mask, Voxels

Where = Literal["face", "head_surface", "whole"]
Box = tuple[slice, slice, slice]

EDGE_MM = 4.0
"""A region fades in over this depth inside its edge."""

LAYER_MM = 6.0
"""The surface layer reaches this far below the skin, and this far into the air in front of it."""

BRAIN_MARGIN_MM = 4.0
"""The surface layer keeps this far from the template's brain, in the template's millimetres."""

_COARSE_MM = 2.0


class RegionFilter(Anonymizer):
    """Filters a region of the head; where the region's weight is 0, no bit changes."""

    region: Where = param("face", "where it works: face, head_surface (skin and air near it) or whole")

    def needs(self) -> frozenset[Need]:
        """The face template's registration, unless the whole volume is filtered."""
        return frozenset() if self.region == "whole" else frozenset({"registration"})

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Mix the head with its filtered self, by the weight of the region.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.registration.register`; DataError for a constant volume.
        """
        weight = self.weight(head)
        if not weight.any():
            return AnonymizedHead.compare(head, head, "no face found", "the region to change lies outside the volume")
        box = bounding_box(weight > 0, np.ceil(self.reach_mm() / edges_mm(head)).astype(int))
        voxels = np.array(head.voxels)
        voxels[box] = mix(head.voxels[box], self.filtered(head, weight, box, rng), weight[box])
        return head.with_voxels(voxels)

    def tool_versions(self) -> Mapping[str, str]:
        """Of what decides the region."""
        return {} if self.region == "whole" else registration_versions()

    def weight(self, head: Head) -> NDArray[np.float32]:
        """How much of the filter each voxel takes: float32 (x, y, z), 0-1."""
        return region_weight(head, self.region)

    def reach_mm(self) -> float:
        """How far from a voxel the filter looks; `filtered` gets a box that is wider by it."""
        return 0.0

    @abstractmethod
    def filtered(self, head: Head, weight: NDArray[np.float32], box: Box, rng: np.random.Generator) -> Voxels:
        """The filter's result in a box of the head: float32 of the shape of `head.voxels[box]`."""


def region_weight(head: Head, where: Where) -> NDArray[np.float32]:
    """Where a filter works on a head.

    `face`: `face_region`, air in front included; it keeps away from the template's brain.
    `head_surface`: `surface_layer`. `whole`: everything, the brain too.

    Returns:
        float32 (x, y, z), 0-1; face and surface fade in over `EDGE_MM` inside their edges.

    Raises:
        PluginError, DataError: as `refbench.anonymizers.registration.register`, when the head has no registration yet
            and the region needs it; DataError for a constant volume.
    """
    if where == "whole":
        return np.ones(head.voxels.shape, dtype=np.float32)
    return surface_layer(head) if where == "head_surface" else soft_edge(face_region(head), edges_mm(head))


def surface_layer(head: Head) -> NDArray[np.float32]:
    """The skin all round the head, `LAYER_MM` deep, and the air up to `LAYER_MM` away from it.

    Only the outer skin: airways and sinuses that tissue encloses in their axial slice have none. It keeps
    `BRAIN_MARGIN_MM` away from the template's brain. Distances are taken on a grid of about 2 mm.

    Returns:
        float32 (x, y, z), 0-1: 1 at the skin, fading over the outer `EDGE_MM` to 0 on both sides.

    Raises:
        as `region_weight`.
    """
    voxel_mm = edges_mm(head)
    step = np.maximum(1, np.round(_COARSE_MM / voxel_mm)).astype(int)
    mask = head_mask(head.voxels, voxel_mm)[:: step[0], :: step[1], :: step[2]]
    from_skin = np.abs(_signed_distance_mm(_filled(mask), voxel_mm * step))
    weight = np.clip((LAYER_MM - from_skin) / EDGE_MM, 0, 1).astype(np.float32)
    for axis in np.flatnonzero(step > 1):
        weight = _refined(weight, int(axis), int(step[axis]), head.voxels.shape[axis])
    weight[warp(_guarded_brain(), head) > 0] = 0
    return weight


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


def mix(voxels: Voxels, filtered: Voxels, weight: NDArray[np.float32]) -> Voxels:
    """Mix a volume with its filtered self: weight 0 keeps a voxel bit by bit, 1 takes the filtered one as it is.

    Args:
        voxels: float32, any shape.
        filtered: the same shape.
        weight: the same shape, 0-1.
    """
    # A sum of shares, not a step from the one to the other, whose rounding would leave traces of the voxel.
    return np.where(weight > 0, (1 - weight) * voxels + weight * filtered, voxels)


def edges_mm(head: Head) -> NDArray[np.float64]:
    """Edge lengths of a voxel, (3,), to a ten-thousandth of a mm.

    Where half a voxel decides how many voxels some mm are, the single precision of a file's affine must not.
    """
    edges: NDArray[np.float64] = np.round(head.voxel_mm, 4)
    return edges


def _filled(mask: Mask) -> Mask:
    """The head without holes, axial slice by slice: airways leave the volume at its bottom."""
    from scipy import ndimage

    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[:, 1, 1] = in_plane[1, :, 1] = True
    filled: Mask = ndimage.binary_fill_holes(mask, structure=in_plane)
    return filled


def _refined(values: NDArray[np.float32], axis: int, step: int, count: int) -> NDArray[np.float32]:
    """Linear interpolation along an axis to `count` values, `step` for each; beyond the last one it goes on."""
    whole, part = np.divmod(np.arange(count), step)
    below = values.take(whole, axis)
    rise = values.take(np.minimum(whole + 1, values.shape[axis] - 1), axis)
    rise -= below
    rise *= np.expand_dims((part / step).astype(np.float32), tuple({0, 1, 2} - {axis}))
    below += rise
    return below


def _signed_distance_mm(mask: Mask, voxel_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the mask's surface, negative inside; far away where there is no surface."""
    from scipy import ndimage

    if mask.all() or not mask.any():
        return np.full(mask.shape, np.inf)
    outside, inside = (ndimage.distance_transform_edt(side, sampling=voxel_mm) for side in (~mask, mask))
    # The surface lies half a voxel before the first voxel of the other side.
    half = voxel_mm.mean() / 2
    signed: NDArray[np.float64] = np.where(mask, half - inside, outside - half)
    return signed


@lru_cache(maxsize=1)
def _guarded_brain() -> Atlas:
    """The template's brain, grown by `BRAIN_MARGIN_MM`."""
    brain = template_brain()
    brain_mm = np.sqrt((brain.affine[:3, :3] ** 2).sum(axis=0))
    return Atlas(grown(brain.voxels > 0.5, brain_mm, BRAIN_MARGIN_MM).astype(np.float32), brain.affine)
