"""Where nose, eyes, mouth and ears are: boxes in the face template, and which points of a head lie in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.template import template_face_mask
from refbench.types import Affine

_FAR = 1000.0


class Part(NamedTuple):
    """A part of the face: a box in voxels of the template's 1 mm grid (176, 256, 256), open towards the outside.

    Attributes:
        name: `nose`, `eyes`, `mouth` or `ears`; eyes and ears are two boxes each.
        low, high: corners, x to the right, y to the front, z up.
    """

    name: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]


# Read off the template's mean head, whose features are plain to see; a box is as wide as the feature.
PARTS = (
    Part("nose", (70, 195, 40), (106, _FAR, 92)),
    Part("eyes", (36, 185, 78), (70, _FAR, 108)),
    Part("eyes", (106, 185, 78), (140, _FAR, 108)),
    Part("mouth", (56, 185, -25), (120, _FAR, 40)),
    Part("ears", (-_FAR, 88, 42), (26, 138, 106)),
    Part("ears", (150, 88, 42), (_FAR, 138, 106)),
)

PART_NAMES = ("nose", "eyes", "mouth", "ears")


def to_template_voxels(points_mm: NDArray[np.float64], registration: Affine) -> NDArray[np.float64]:
    """Points of a head in voxels of the template's 1 mm grid.

    Args:
        points_mm: float64 (n, 3), RAS+ millimetres of the head.
        registration: float64 (4, 4), template millimetres to head millimetres.
    """
    to_voxels = np.linalg.inv(registration @ template_face_mask().affine)
    voxels: NDArray[np.float64] = points_mm @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    return voxels


def parts_of(points_mm: NDArray[np.float64], registration: Affine) -> NDArray[np.int_]:
    """Which part of the face each point lies in: int (n,), an index into `PART_NAMES`, or -1 for none."""
    voxels = to_template_voxels(points_mm, registration)
    part = np.full(len(voxels), -1)
    for box in PARTS:
        part[((voxels >= box.low) & (voxels < box.high)).all(axis=1)] = PART_NAMES.index(box.name)
    return part
