"""The whole head, painted from the outside in, and the labels that are known because it was made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refbench.datasets.phantom import LABELS
from refbench.datasets.phantom_brain import Folds, cavity_distance, paint_brain
from refbench.datasets.phantom_facial import paint_jaws, paint_nose, paint_orbits
from refbench.datasets.phantom_labels import labels_of
from refbench.datasets.phantom_neck import paint_neck
from refbench.datasets.phantom_person import Person
from refbench.datasets.phantom_shapes import Canvas, ramp
from refbench.datasets.phantom_surface import Surface
from refbench.datasets.phantom_tissue import Contrast
from refbench.types import Affine, Mask, Voxels

SKIN_MM = 2.2
BRAINCASE_MM = ((-88.0, -112.0, -86.0), (88.0, 96.0, 96.0))
SLAB_VOXELS = 400_000


@dataclass(frozen=True)
class Anatomy:
    """A head before a scanner saw it.

    Attributes:
        intensity: float32 (x, y, z), white matter about 1, air 0.
        labels: bool of the same shape, by the names of `LABELS`.
    """

    intensity: Voxels
    labels: dict[str, Mask]


def paint_person(surface: Surface, contrast: Contrast, mm_of_index: Affine, shape: tuple[int, int, int]) -> Anatomy:
    """Paint a person on a grid.

    Args:
        surface: the person.
        contrast: the scanner's tissue intensities.
        mm_of_index: (4, 4), voxel index to mm of the person's own frame (right, front, up of the commissure).
        shape: voxels along x, y, z.
    """
    folds = Folds.of(surface.person)
    # A label thinner than a voxel would have holes.
    skin_mm = max(SKIN_MM, 1.1 * float(np.sqrt((mm_of_index[:3, :3] ** 2).sum(axis=0)).max()))
    intensity = np.empty(shape, np.float32)
    labels = {name: np.empty(shape, np.bool_) for name in LABELS}
    # Slabs small enough for the processor's cache make this several times faster than whole volumes.
    thickness = max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], thickness):
        stop = min(start + thickness, shape[0])
        at = Canvas.cover(mm_of_index, start, (stop - start, shape[1], shape[2]))
        parts = _paint_slab(surface, folds, contrast, at, skin_mm)
        intensity[start:stop] = at.image
        for name, mask in parts.items():
            labels[name][start:stop] = mask
    return Anatomy(intensity, labels)


def _paint_slab(surface: Surface, folds: Folds, contrast: Contrast, at: Canvas, skin_mm: float) -> dict[str, Mask]:
    person = surface.person
    outline = surface.outline(at)
    skin = outline.skin
    below = ramp(-at.z, 5, 60)  # 0 over the vault, 1 at the lower face and the neck
    fat = np.float32(person.scalp) + below * np.float32(1.5 + 1.2 * person.face.soft_tissue)
    at.paint(skin, contrast.muscle)
    paint_neck(contrast, at)
    paint_jaws(surface, contrast, at)
    at.paint(-(skin + fat), contrast.fat)
    at.paint(-(skin + np.float32(SKIN_MM)), contrast.skin)
    at.paint(-skin, 0.0)
    paint_nose(surface, contrast, skin, at)
    paint_orbits(surface, contrast, at)
    hull = np.full_like(skin, np.inf)
    head = at.crop(*BRAINCASE_MM)
    if head is not None:
        where = at.window(*BRAINCASE_MM)
        cavity = cavity_distance(person, outline.cranium[where], head)
        outer = np.maximum(cavity - np.float32(person.skull), skin[where] + 4)
        _paint_skull(person, contrast, outer, cavity, head)
        hull[where] = paint_brain(person, folds, contrast, cavity, head)
    return labels_of(surface, outline, hull, skin_mm, at)


def _paint_skull(person: Person, contrast: Contrast, outer: Voxels, cavity: Voxels, at: Canvas) -> None:
    """Two dark tables with a line of marrow between them."""
    at.paint(outer, contrast.bone)
    line = np.abs(cavity - np.float32(0.5 * person.skull)) - np.float32(0.17 * person.skull)
    at.paint(np.maximum(line, outer + 1), contrast.marrow)
