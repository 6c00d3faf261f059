"""mask_face: smooths the skin of face and ears in a thin curved layer, and leaves all that lies deeper.

Source: Milchenko & Marcus, Obscuring surface anatomy in volumetric imaging data, Neuroinformatics 11(1), 2013, and the
authors' public sources of 2021. Written anew: the regions come from the face template, the head mask from
`refbench.geometry`, and the layer's normals from a height field along the voxel axis nearest to the outward one: on a
grid turned by 30 degrees the layer lies elsewhere at its edges, and has 0.8 to 0.9 (Dice) in common with the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.brain import Method, brain_of, brain_versions, grown
from refbench.anonymizers.normfilter import box_mean, normfilter
from refbench.anonymizers.regions import edges_mm
from refbench.anonymizers.registration import register, registration_versions
from refbench.anonymizers.surface_layer import local_head, surface_layer
from refbench.anonymizers.template import template_face_mask
from refbench.geometry import air_level, head_mask, skin_threshold
from refbench.plugin import param
from refbench.types import Affine, AnonymizedHead, Head, Mask, Voxels

STEP_MM = {"2012": 10.0, "2021": 15.0}
"""Distance of the mesh's vertices at grain 1. The authors enlarged both in answer to attacks by refacing."""

THICKNESS_MM = {"2012": 6.0, "2021": 8.0}
"""Of the layer below and above the surface at grain 1."""

GROWTH_MM = 6.0
"""Every region is grown by this much on all sides but the outward one, where it reaches the volume's edge."""

Box = tuple[slice, slice, slice]


class OutwardBox(NamedTuple):
    """A part of the surface: a box in voxels of the template's 1 mm grid, and which way is out of the head."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    axis: int
    outwards: int


# The face from temple to temple and from the chin to the brows, as deep as the cheeks go back; the ears with the side
# of the head that they stand on. What is open to the outside ends at the template's edge here.
REGIONS = (
    OutwardBox((28, 150, -25), (147, 255, 112), axis=1, outwards=1),
    OutwardBox((0, 88, 42), (50, 138, 106), axis=0, outwards=-1),
    OutwardBox((126, 88, 42), (175, 138, 106), axis=0, outwards=1),
)


class MaskFace(Anonymizer):
    """Smooths the skin of face and ears within a thin curved layer; deeper tissue stays as it is."""

    filter: Literal["normfilter", "blur", "coating"] = param(
        "normfilter", "what the layer becomes: a box filter along the surface, a box mean, or one intensity"
    )
    grain: float = param(1.0, "strength: scales mesh step and thickness of the layer", ge=0.3, le=3)
    version: Annotated[Literal["2012", "2021"], BeforeValidator(str)] = param(
        "2021", "mask_face's own defaults of that year: step and thickness of 10/6 mm or 15/8 mm"
    )
    margin_mm: float = param(4.0, "this far around the brain nothing changes", unit="mm", ge=0, le=20)
    brain: Method = param("deepbet", "how the brain is found")

    def needs(self) -> frozenset[Need]:
        """The face template's registration, and deepbet's brain unless the template's is asked for."""
        return frozenset({"registration", "brain"} if self.brain == "deepbet" else {"registration"})

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Filter the layer of the face and of both ears. Outside the layers, and around the brain, no bit changes.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.registration.register` and
                `refbench.anonymizers.brain.brain_of`; DataError for a constant volume.
        """
        head = replace(head, registration=head.registration if head.registration is not None else register(head))
        boxes = [region_box(region, head) for region in REGIONS]
        if boxes[0] is None:
            return AnonymizedHead.compare(head, head, "no face found", "the face region lies outside the volume")
        voxel_mm = edges_mm(head)
        inside_head = head_mask(head.voxels, voxel_mm)
        dimmest = (air_level(head.voxels) + skin_threshold(head.voxels)) / 2
        brain = brain_of(head, self.brain)
        result = head.voxels.copy()
        for region, box in zip(REGIONS, boxes, strict=True):
            if box is None:
                continue
            seen_mm = np.append(np.delete(voxel_mm, region.axis), voxel_mm[region.axis])
            view = from_outside(result[box], region)
            skin = local_head(
                from_outside(head.voxels[box], region), from_outside(inside_head[box], region), dimmest, seen_mm
            )
            kept = from_outside(near_brain(brain, box, voxel_mm, self.margin_mm), region)
            fade = from_outside(rim_fade(region, box, head), region)
            self._filter(view, skin, kept, fade, seen_mm)
        return head.with_voxels(result)

    def _filter(
        self, view: Voxels, skin: Mask, kept: Mask, fade: NDArray[np.float32], voxel_mm: NDArray[np.float64]
    ) -> None:
        """Filter one region, seen from outside, in place: `fade` is how much of the layer, 0-1, except `kept`."""
        thickness_mm = self.grain * THICKNESS_MM[self.version]
        layer = surface_layer(skin, voxel_mm, self.grain * STEP_MM[self.version], thickness_mm)
        if layer is None:
            return
        inside = layer.inside(view.shape[-1]) & ~kept & (fade > 0)
        if self.filter == "coating":
            view[inside] = view[inside].mean() if inside.any() else 0
            return
        thickness = thickness_mm / voxel_mm
        filtered = normfilter(view, layer, thickness) if self.filter == "normfilter" else box_mean(view, thickness)
        view[inside] += fade[inside] * (filtered[inside] - view[inside])

    def tool_versions(self) -> Mapping[str, str]:
        """Of niimath and pydeface, and of what finds the brain."""
        return registration_versions() | brain_versions(self.brain)


def region_box(region: OutwardBox, head: Head) -> Box | None:
    """The box around a grown region on the grid of a registered head, open to the outside.

    Returns:
        Three slices, or None when less than two voxels to a side of it lie in the volume: no mesh fits in there.
    """
    growth = growth_in_template(head)
    corners = np.stack(np.meshgrid(*zip(region.low - growth, region.high + growth, strict=True)), axis=-1)
    to_voxels = np.linalg.inv(to_template(head))
    at = corners.reshape(-1, 3) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    shape = head.voxels.shape
    low = np.clip(np.round(at.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.round(at.max(axis=0)) + 1, 0, shape).astype(int)
    if region.outwards > 0:
        high[region.axis] = shape[region.axis]
    else:
        low[region.axis] = 0
    if (high - low < 2).any():
        return None
    x, y, z = (slice(int(first), int(end)) for first, end in zip(low, high, strict=True))
    return x, y, z


def from_outside(volume: NDArray[Any], region: OutwardBox) -> NDArray[Any]:
    """A view of a volume (x, y, z) with the region's outward axis last, growing outwards."""
    view = np.moveaxis(volume, region.axis, -1)
    return view if region.outwards > 0 else view[..., ::-1]


def near_brain(brain: Mask, box: Box, voxel_mm: NDArray[np.float64], margin_mm: float) -> Mask:
    """Which voxels of a box are brain or within `margin_mm` of it, brain outside the box included."""
    reach = np.ceil(margin_mm / voxel_mm).astype(int)
    starts = [max(0, side.start - int(n)) for side, n in zip(box, reach, strict=True)]
    wide = tuple(slice(start, side.stop + int(n)) for start, side, n in zip(starts, box, reach, strict=True))
    inner = tuple(slice(side.start - start, side.stop - start) for start, side in zip(starts, box, strict=True))
    return grown(brain[wide], voxel_mm, margin_mm)[inner]


def rim_fade(region: OutwardBox, box: Box, head: Head) -> NDArray[np.float32]:
    """How much of the filtered intensities the voxels of a box take: float32 of its shape, 0-1, 0 beyond the region.

    It falls off in what the region was grown by, so that no seam shows; not towards the outside. The region is a box
    in the template, so that on a turned grid it is the same part of the head.
    """
    growth, to_voxels = growth_in_template(head), to_template(head)
    index = np.ogrid[box]
    fade = np.ones([side.stop - side.start for side in box], dtype=np.float32)
    for axis in range(3):
        at = sum(slope * along for slope, along in zip(to_voxels[axis, :3], index, strict=True)) + to_voxels[axis, 3]
        if axis != region.axis or region.outwards > 0:
            fade *= np.clip((at - region.low[axis]) / growth[axis] + 1, 0, 1)
        if axis != region.axis or region.outwards < 0:
            fade *= np.clip((region.high[axis] - at) / growth[axis] + 1, 0, 1)
    return fade


def to_template(head: Head) -> Affine:
    """Voxels of a registered head to voxels of the template's 1 mm grid, float64 (4, 4)."""
    assert head.registration is not None
    matrix: Affine = np.linalg.inv(head.registration @ template_face_mask().affine) @ head.affine
    return matrix


def growth_in_template(head: Head) -> NDArray[np.float64]:
    """`GROWTH_MM` of the head in voxels of the template's 1 mm grid, (3,)."""
    assert head.registration is not None
    voxel_in_head = (head.registration @ template_face_mask().affine)[:3, :3]
    growth: NDArray[np.float64] = GROWTH_MM / np.sqrt((voxel_in_head**2).sum(axis=0))
    return growth
