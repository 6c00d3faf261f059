"""The skin of the face of an original head: a surface in mm, found to a fraction of a voxel, with its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.face_parts import PART_NAMES, parts_of, to_template_voxels
from refbench.anonymizers.outer_surface import Box, areas, outer_surface
from refbench.anonymizers.registration import bounding_box, register
from refbench.anonymizers.template import template_face_mask, template_head
from refbench.errors import DataError
from refbench.geometry import otsu_threshold, skin_threshold
from refbench.types import Affine, Head, Mask

SKIN_PARTS = (*PART_NAMES, "face")
"""What a point of the skin may belong to; `face` where a data set labels the face as a whole."""

FACE_PARTS = ("nose", "eyes", "mouth")
"""The parts that tell whether there is a face at all, and whether it was left."""

FOUND_MM = 10.0
"""How far a person's skin may lie from the registered template's."""

FOUND_AT_LEAST = 0.65
"""A head with less than this share of the template's skin near its own has no face.

The middle of a gap. Of 24 people of IXI and three other real heads, 0.81 to 1.00 is found (phantoms: 0.80 to 0.93);
of the same heads registered anew after removal 0.04 to 0.14 under `template_face`, 0.32 to 0.49 under pydeface's own
mask, which leaves the eyes, and 0.17 to 0.42 in front of a plane along the brain, as quickshear cuts.
"""

TOUCHES_MM2 = 25.0
"""Less skin than this at the volume's edge is a stray triangle, not a nose or a chin that is cut."""

MARGIN_MM = 14.0
"""The air around the parts that is looked at with them: wide enough for outside to be told from inside."""

# Boxes in voxels of the template's 1 mm grid around the parts of `face_parts`, with room for people larger than it.
_BOXES = (
    ((36.0, 170.0, -25.0), (140.0, 280.0, 112.0)),
    ((-20.0, 85.0, 38.0), (34.0, 145.0, 110.0)),
    ((142.0, 85.0, 38.0), (196.0, 145.0, 110.0)),
)

_LOWEST = 30.0
"""Where the template's own skin is whole: above the lips, in voxels of its 1 mm grid."""


@dataclass(frozen=True)
class FacialSkin:
    """The outer skin of one original head where it shows who it is.

    Attributes:
        points: float32 (n, 3), centres of small triangles of the skin, RAS+ mm of the head.
        area: float32 (n,), mm2 of each triangle: shares of skin are shares of area.
        part: int8 (n,), index into `SKIN_PARTS`.
        boxes: int32 (k, 3, 2), first and last voxel + 1 of the boxes that the skin was looked for in.
        threshold: the intensity at which the original's skin starts.
        found: 0-1, the share of the face template's nose, eyes and upper lip inside the volume that has this head's
            skin within `FOUND_MM`; of a labelled face, the share of its voxels that are tissue.
        cut: 0-1, the share of the template's nose, eyes and upper lip at the volume's edge or outside it; 0 for labels.
        touches_edge: whether skin of a part other than the ears, at least `TOUCHES_MM2`, lies at the volume's edge.
    """

    points: NDArray[np.float32]
    area: NDArray[np.float32]
    part: NDArray[np.int8]
    boxes: NDArray[np.int32]
    threshold: float
    found: float
    cut: float
    touches_edge: bool

    @property
    def has_face(self) -> bool:
        """Whether there is a face to hide."""
        return self.found >= FOUND_AT_LEAST

    def save(self, path: Path) -> None:
        """Write all fields to one .npz file."""
        arrays: dict[str, Any] = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> FacialSkin:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            values = {field.name: stored[field.name] for field in fields(cls)}
        return cls(**{name: value if value.ndim else value.item() for name, value in values.items()})


def facial_skin(head: Head, labels: Mapping[str, Mask] | None = None) -> FacialSkin:
    """Find the facial skin of an original head.

    Args:
        head: an original, any scale; its `registration` is used where it is there.
        labels: truth of the data set, bool of the voxels' shape. With `face` in it, skin within a voxel of `nose`,
            `eyes`, `mouth`, `ears` is taken, and of `face` unless the first three are there, and nothing is registered.

    Raises:
        DataError: the volume is constant, or the labelled face is empty.
        PluginError, DataError: as `refbench.anonymizers.registration.register`, where that is needed.
    """
    threshold = skin_threshold(head.voxels)
    if labels is not None and "face" in labels:
        return _labelled_skin(head, labels, threshold)
    to_head = head.registration if head.registration is not None else register(head)
    boxes = [box for low, high in _BOXES if (box := _box_in(head, to_head @ template_face_mask().affine, low, high))]
    pieces = [outer_surface(head.voxels, head.affine, box, threshold) for box in boxes]
    triangles = np.concatenate([np.zeros((0, 3, 3), np.float32), *pieces])
    points = triangles.mean(axis=1)
    part = parts_of(points.astype(np.float64), to_head)
    found, cut = _template_found(points, to_head, head)
    return _skin(head, triangles, part, boxes, threshold, found, cut)


def _labelled_skin(head: Head, labels: Mapping[str, Mask], threshold: float) -> FacialSkin:
    face = labels["face"]
    if not face.any():
        raise DataError(f"the label face of {head.subject or 'this head'} is empty. Check the data set.")
    in_parts = all(name in labels for name in FACE_PARTS)
    named = [name for name in SKIN_PARTS if name in labels and labels[name].any() and not (in_parts and name == "face")]
    wanted = np.logical_or.reduce([labels[name] for name in named])
    box = bounding_box(wanted, np.ceil(MARGIN_MM / head.voxel_mm).astype(int))
    triangles = outer_surface(head.voxels, head.affine, box, threshold)
    part = _labels_near(triangles.mean(axis=1), head.affine, {name: labels[name] for name in named}, box)
    found = float((head.voxels[face] > threshold).mean())
    return _skin(head, triangles, part, [box], threshold, found, 0.0)


def _skin(
    head: Head,
    triangles: NDArray[np.float32],
    part: NDArray[np.int_],
    boxes: list[Box],
    threshold: float,
    found: float,
    cut: float,
) -> FacialSkin:
    """Keep the parts' skin, less what lies at the volume's edge: there the volume ends, not the head."""
    points = triangles.mean(axis=1)
    inside = inside_volume(points, head)
    judged = np.isin(part, [SKIN_PARTS.index(name) for name in (*FACE_PARTS, "face")])
    kept = inside & (part >= 0)
    shape = head.voxels.shape
    ranges = [[edge.indices(size)[:2] for edge, size in zip(box, shape, strict=True)] for box in boxes]
    return FacialSkin(
        points[kept],
        areas(triangles[kept]),
        part[kept].astype(np.int8),
        np.array(ranges, dtype=np.int32).reshape(-1, 3, 2),
        threshold,
        found,
        cut,
        bool(areas(triangles[judged & ~inside]).sum() >= TOUCHES_MM2),
    )


def inside_volume(points: NDArray[np.floating], head: Head) -> Mask:
    """Whether points (n, 3) in mm lie in the volume, more than a voxel away from its outermost voxels' centres."""
    to_voxels = np.linalg.inv(head.affine)
    voxels = points @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    inside: Mask = ((voxels > 1) & (voxels < np.array(head.voxels.shape) - 2)).all(axis=1)
    return inside


@lru_cache(maxsize=1)
def template_skin() -> NDArray[np.float64]:
    """Points of the face template's skin on nose, eyes and mouth: float64 (n, 3), template mm, evenly spread.

    Head coils in front of some of the averaged heads have left a haze that is brighter than `skin_threshold`; Otsu's
    threshold lies above it. Below the upper lip the mean head fades, and its skin has gaps.
    """
    template = template_head()
    head = Head(template.voxels, template.affine)
    to_mm = template_face_mask().affine
    box = _box_in(head, to_mm, *_BOXES[0])
    assert box is not None
    points = outer_surface(head.voxels, head.affine, box, otsu_threshold(head.voxels)).mean(axis=1).astype(np.float64)
    face = np.isin(parts_of(points, np.eye(4)), [PART_NAMES.index(name) for name in FACE_PARTS])
    skin: NDArray[np.float64] = points[face & (to_template_voxels(points, np.eye(4))[:, 2] > _LOWEST)]
    return skin


def _template_found(points: NDArray[np.float32], to_head: Affine, head: Head) -> tuple[float, float]:
    """The share of the template's facial skin that the head's lies near, and the share that the volume lacks."""
    from scipy.spatial import cKDTree

    expected = template_skin() @ to_head[:3, :3].T + to_head[:3, 3]
    inside = inside_volume(expected, head)
    cut = 1 - float(inside.mean())
    if not (inside.any() and len(points)):
        return 0.0, cut
    distance, _ = cKDTree(points).query(expected[inside], distance_upper_bound=FOUND_MM)
    return float(np.isfinite(distance).mean()), cut


def _box_in(head: Head, to_mm: Affine, low: tuple[float, float, float], high: tuple[float, float, float]) -> Box | None:
    """The box of the head's voxels around a box of template voxels and a margin; None if the volume ends before it."""
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
    to_voxels = np.linalg.inv(head.affine) @ to_mm
    voxels = to_voxels[:3, :3] @ corners + to_voxels[:3, 3:]
    margin = MARGIN_MM / head.voxel_mm
    first = np.maximum(0, np.floor(voxels.min(axis=1) - margin)).astype(int)
    last = np.minimum(head.voxels.shape, np.ceil(voxels.max(axis=1) + margin) + 1).astype(int)
    if (last - first < 2).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return x, y, z


def _labels_near(points: NDArray[np.float32], affine: Affine, labels: Mapping[str, Mask], box: Box) -> NDArray[np.int_]:
    """The first of the labels within a voxel of each point: int (n,), an index into `SKIN_PARTS`, or -1."""
    from scipy import ndimage

    to_voxels = np.linalg.inv(affine)
    voxels = points @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    x, y, z = (np.round(voxels).astype(int) - [edge.start for edge in box]).T
    part = np.full(len(points), -1)
    for name, label in reversed(list(labels.items())):
        near = ndimage.maximum_filter(label[box], size=3)
        part[near[x, y, z]] = SKIN_PARTS.index(name)
    return part
