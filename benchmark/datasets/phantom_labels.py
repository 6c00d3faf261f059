"""What a phantom knows of itself: masks from the same geometry that draws it."""

from __future__ import annotations

import numpy as np

from refbench.datasets.phantom_facial import EYE_RADII, eyeballs
from refbench.datasets.phantom_shapes import Canvas, Point, ellipsoid
from refbench.datasets.phantom_surface import Outline, Surface
from refbench.types import Mask, Voxels

FACE_MM = 6.0
LIPS_MM = 8.0
LIDS_MM = (15.0, 9.0)
"""Half the width and half the height of what counts as eyelids."""


def labels_of(surface: Surface, outline: Outline, hull: Voxels, skin_mm: float, at: Canvas) -> dict[str, Mask]:
    """Label a block of voxels; what each label covers stands in `Phantom`.

    Args:
        surface: the person.
        outline: the person's outside in this block.
        hull: distance to the brain's outer hull, mm, negative inside.
        skin_mm: how deep the skin reaches.
        at: the block.

    Returns:
        bool of the block's shape for each of `phantom.LABELS`; all lie inside the head.
    """
    face, skin = surface.person.face, outline.skin
    brain, inside = hull < 0, skin < 0
    soft = inside & ~brain
    frontal = (at.y > 50) & (np.abs(at.x) < 0.42 * face.face_width)
    level = (at.z < face.nasion_z + 8) & (at.z > face.menton_z - 2)
    return {
        "brain": brain,
        "face": soft & frontal & level & (skin > -np.float32(FACE_MM)),
        "skin": soft & (skin > -np.float32(skin_mm)),
        "ears": outline.ears,
        "eyes": _eyes(surface, soft, at),
        "nose": _nose(surface, skin, at),
        "mouth": _mouth(surface, skin, at),
    }


def _eyes(surface: Surface, soft: Mask, at: Canvas) -> Mask:
    eyes = np.zeros_like(soft)
    for centre in eyeballs(surface):
        box = _around(centre, (LIDS_MM[0], 30.0, EYE_RADII[2]))
        part = at.crop(*box)
        if part is not None:
            where = at.window(*box)
            across, along = (part.x - np.float32(centre[0])) / LIDS_MM[0], (part.z - np.float32(centre[2])) / LIDS_MM[1]
            lids = (across**2 + along**2 < 1) & (part.y > centre[1])
            eyes[where] |= soft[where] & (lids | (ellipsoid(part, centre, EYE_RADII) < 0))
    return eyes


def _nose(surface: Surface, skin: Voxels, at: Canvas) -> Mask:
    face = surface.person.face
    nose = np.zeros(skin.shape, np.bool_)
    box = (-30.0, 50.0, face.subnasale_z), (30.0, 140.0, face.nasion_z)
    part = at.crop(*box)
    if part is not None:
        where = at.window(*box)
        between = (part.z > box[0][2]) & (part.z < box[1][2]) & (part.y > box[0][1])
        depth = surface.relief.nose_depth(part.x, part.z)
        nose[where] = between & (skin[where] < 0) & (skin[where] > -depth)
    return nose


def _mouth(surface: Surface, skin: Voxels, at: Canvas) -> Mask:
    face = surface.person.face
    mouth = np.zeros(skin.shape, np.bool_)
    half, middle = face.mouth_width / 2 + 2, face.mouth_z - 1
    box = (-half, 50.0, middle - 10), (half, 140.0, middle + 10)
    part = at.crop(*box)
    if part is not None:
        where = at.window(*box)
        lips = ((part.x / np.float32(half)) ** 2 + ((part.z - np.float32(middle)) / 10) ** 2 < 1) & (part.y > 50)
        mouth[where] = lips & (skin[where] < 0) & (skin[where] > -np.float32(LIPS_MM))
    return mouth


def _around(centre: Point, reach: Point) -> tuple[Point, Point]:
    (x, y, z), (a, b, c) = centre, reach
    return (x - a, y - b, z - c), (x + a, y + b, z + c)
