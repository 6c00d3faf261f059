"""The inside of the skull: fluid, a folded cortex, white matter, deep grey matter, ventricles, cerebellum and stem."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from refbench.datasets.phantom_person import Person
from refbench.datasets.phantom_shapes import Canvas, capsule, ellipsoid, join, meet
from refbench.datasets.phantom_tissue import Contrast
from refbench.types import Mask, Voxels

STEP_MM = 4.0
CORNER_MM = (-78.0, -108.0, -60.0)
COUNT = (40, 51, 39)
FOLD_CELL_MM = 3.2
STEM_MM = ((-26.0, -60.0, -86.0), (26.0, 8.0, 10.0))
HEMISPHERE_CENTRE = (26.0, -18.0, 12.0)


@dataclass(frozen=True)
class Folds:
    """Where a person's sulci are.

    Attributes:
        distance: mm to the nearest sulcus, its sign telling the sides apart, on a grid of STEP_MM from CORNER_MM.
        phase: shifts the winding of the fissure between the hemispheres, radians.
    """

    distance: NDArray[np.float32]
    phase: float

    @classmethod
    def of(cls, person: Person) -> Folds:
        """Draw sulci as the zero crossings of noise that hardly changes along the way from a hemisphere's centre.

        So they are sheets that run inwards from the surface, as sulci do, and a band of constant thickness on both
        of their walls and on the crowns between them is the cortical ribbon.
        """
        rng = np.random.default_rng(person.fold_seed)
        noise = gaussian_filter(rng.normal(size=(48, 48, 48)).astype(np.float32), 1.5, mode="wrap")
        x, y, z = (c + STEP_MM * np.arange(n) for c, n in zip(CORNER_MM, COUNT, strict=True))
        px = np.abs(x)[:, None, None] - HEMISPHERE_CENTRE[0] + 0 * y[:, None] + 0 * z
        py, pz = (y - HEMISPHERE_CENTRE[1])[:, None] + 0 * px, z - HEMISPHERE_CENTRE[2] + 0 * px
        radius = np.sqrt(px**2 + (0.75 * py) ** 2 + pz**2) + 4.0
        pull = 0.62 * 46.0 / radius + 0.38
        side = np.where(x >= 0, 20.0, 0.0)[:, None, None]  # the two hemispheres do not mirror each other
        place = [px * pull / FOLD_CELL_MM + side, py * pull / FOLD_CELL_MM, pz * pull / FOLD_CELL_MM]
        field = map_coordinates(noise, place, order=3, mode="grid-wrap")
        steepness = np.sqrt(sum(g**2 for g in np.gradient(field, STEP_MM))) + 0.15 * field.std() / FOLD_CELL_MM
        return cls((field / steepness).astype(np.float32), float(rng.uniform(0, 2 * np.pi)))

    def midline(self, at: Canvas) -> Voxels:
        """Where the fissure between the hemispheres lies, mm along x: it winds a little, as the falx does."""
        aside = math.copysign(3.4, math.sin(self.phase))
        winding: Voxels = np.float32(aside) + np.float32(1.6) * np.sin(at.y / 13 + np.float32(self.phase)) * np.sin(
            at.z / 17 + 1
        )
        return winding

    def sample(self, at: Canvas, within: Mask) -> Voxels:
        """Distance to the nearest sulcus, mm; 99 where `within` is False, which saves most of the time."""
        place = [
            (p[within] - np.float32(c)) / np.float32(STEP_MM)
            for p, c in zip((at.x, at.y, at.z), CORNER_MM, strict=True)
        ]
        sampled = np.full_like(at.x, 99)
        sampled[within] = np.abs(map_coordinates(self.distance, place, output=np.float32, order=1, mode="nearest"))
        return sampled


def cavity_distance(person: Person, cranium: Voxels, at: Canvas) -> Voxels:
    """Distance to the inner table of the skull (mm, negative inside), given the distance to the cranium's outline."""
    vault = cranium + np.float32(person.scalp + person.skull)
    side = np.abs(at.x)
    floor = np.float32(-15.0) + np.float32(0.06) * side + np.float32(0.05) * np.minimum(at.y, 0)
    upper = meet(vault, floor - at.z, 6.0)
    k = person.face.head_width / 152
    temporal = _pair(at, (38 * k, -3, -19), (28 * k, 41, 27))
    posterior = ellipsoid(at, (0, -51, -28), (55 * k, 45, 36))
    return join(upper, meet(join(temporal, posterior, 8.0), vault, 4.0), 10.0)


def paint_brain(person: Person, folds: Folds, contrast: Contrast, cavity: Voxels, at: Canvas) -> Voxels:
    """Paint everything within the inner table; return the distance to the brain's outer hull (mm)."""
    worn = person.atrophy
    side = np.abs(at.x)
    hull = cavity + np.float32(2.0 + 1.5 * worn)
    tentorium = np.float32(-3.0) - np.float32(0.30) * side - np.float32(0.22) * np.maximum(-55 - at.y, 0)
    front = np.float32(-16.0) - np.float32(0.45) * np.maximum(side - 12, 0)  # along the ridge of the petrous bone
    below = meet(at.z - tentorium, at.y - front, 4.0)
    cerebrum = np.maximum(hull, np.float32(1.0) - below)
    cerebellum = join(_pair(at, (24, -57, -32), (36, 37, 30)), ellipsoid(at, (0, -62, -34), (16, 30, 30)), 6.0)
    cerebellum = np.maximum(np.maximum(cerebellum, hull), below + np.float32(1.0))
    at.paint(cavity, contrast.fluid)
    _paint_cerebellum(contrast, cerebellum, at)
    _paint_cerebrum(person, folds, contrast, cerebrum, at)
    brain: Voxels = np.minimum(cerebrum, cerebellum)
    middle = at.crop(*STEM_MM)
    if middle is not None:
        stem = _stem(middle)
        middle.paint(stem, 0.94 * contrast.white)
        where = at.window(*STEM_MM)
        brain[where] = np.minimum(brain[where], stem)
    _paint_centre(person, contrast, at)
    return brain


def _pair(at: Canvas, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Voxels:
    """An ellipsoid on each side of the midline."""
    u, v, w = (np.abs(at.x) - np.float32(centre[0]), at.y - np.float32(centre[1]), at.z - np.float32(centre[2]))
    a, b, c = (np.float32(1 / r) for r in radii)
    q = np.sqrt((u * a) ** 2 + (v * b) ** 2 + (w * c) ** 2)
    slope = np.sqrt((u * a * a) ** 2 + (v * b * b) ** 2 + (w * c * c) ** 2 + np.float32(1e-9))
    distance: Voxels = q * (q - 1) / slope
    return distance


def _stem(at: Canvas) -> Voxels:
    midbrain = capsule(at, (0, -16, -8), (0, -24, -28), 11.0)
    pons = ellipsoid(at, (0, -20, -32), (16, 12, 14))
    medulla = capsule(at, (0, -28, -40), (0, -37, -72), 7.0)
    return join(join(midbrain, pons, 6.0), medulla, 6.0)


def _paint_cerebrum(person: Person, folds: Folds, contrast: Contrast, cerebrum: Voxels, at: Canvas) -> None:
    """Fluid in sulci and between the hemispheres, cortex along every wall, white matter within."""
    worn = np.float32(person.atrophy)
    side = np.abs(at.x - folds.midline(at))
    sulcus = folds.sample(at, cerebrum < at.edge_mm)
    depth = np.maximum(-np.maximum(cerebrum, np.float32(0.8) - side), 0)
    closing = np.maximum(depth - np.float32(14), 0) * np.float32(0.5)  # a sulcus ends some way in
    narrow = np.float32(0.55) + np.float32(0.9) * worn - depth * np.float32(0.03)
    wall = narrow - sulcus - closing
    sylvian = _sylvian(at)
    outer = np.maximum(cerebrum, np.maximum(np.float32(0.6) - side, -sylvian))
    pia = np.maximum(outer, wall)
    at.paint(pia, contrast.grey)
    cortex = np.float32(2.7) - np.float32(0.4) * worn
    at.paint(meet(outer + cortex, wall + cortex, 1.5), contrast.white)


def _sylvian(at: Canvas) -> Voxels:
    """The cleft above the temporal lobe, with the insula at its bottom: a thin sheet that rises towards the back."""
    side = np.abs(at.x)
    slope = at.z - np.float32(-6.0) + np.float32(0.22) * at.y
    sheet = np.sqrt((slope / np.float32(1.6)) ** 2 + (np.maximum(np.abs(at.y + 3) - 22, 0) / 2) ** 2)
    cleft: Voxels = np.maximum(sheet - 1, np.float32(38) - side)
    return cleft


def _paint_cerebellum(contrast: Contrast, cerebellum: Voxels, at: Canvas) -> None:
    """Folia as fine shells round the deep white matter."""
    part = at.crop((-58, -96, -68), (58, -20, 6))
    if part is None:
        return
    shape = cerebellum[at.window((-58, -96, -68), (58, -20, 6))]
    centre_y, centre_z = part.y + 44, part.z + 34
    angle = np.arctan2(centre_z, -centre_y)
    folium = np.sin(np.float32(17) * angle + np.float32(0.12) * np.abs(part.x))
    part.paint(shape, contrast.grey)
    core = np.maximum(shape + 4 + 5 * np.abs(folium), -20 - shape)
    part.paint(core, contrast.white)
    part.paint(np.maximum(shape, np.abs(folium) * 5 - np.float32(0.5) + np.maximum(-shape - 4, 0)), contrast.fluid)


def _paint_centre(person: Person, contrast: Contrast, at: Canvas) -> None:
    """Corpus callosum, basal ganglia, thalamus, lateral, third and fourth ventricle."""
    deep = 0.55 * contrast.grey + 0.45 * contrast.white
    wide = 1.0 + 0.9 * person.atrophy
    middle = at.crop((-48, -62, -32), (48, 52, 44))
    if middle is None:
        return
    core = _pair(middle, (22, -8, 8), (17, 34, 17))  # no cortex reaches into the deep white matter
    middle.paint(core, contrast.white)
    middle.paint(_pair(middle, (26, 4, 2), (6.5, 15, 10)), deep)
    middle.paint(_pair(middle, (18, -2, 0), (5, 8, 6)), 0.3 * contrast.grey + 0.7 * contrast.white)
    middle.paint(_pair(middle, (9, -18, 7), (9, 14, 8)), deep)
    middle.paint(_pair(middle, (13, 14, 10), (4.5, 10, 9)), deep)
    body = np.abs(middle.x)
    arch = np.sqrt(((middle.y + 4) / 38) ** 2 + ((middle.z + 2) / 28) ** 2)
    band = np.abs(arch - 1) * 30 - (3.2 + 1.2 * ((middle.y + 4) / 36) ** 2)
    callosum = np.maximum(band + np.float32(0.016) * body * body, -4 - middle.z)
    horns = np.sqrt(
        ((np.abs(arch - 0.80) * 30) / (3.0 * wide)) ** 2
        + ((body - 9 - 0.004 * (middle.y + 2) ** 2) / (5.0 * wide)) ** 2
    )
    lateral = np.maximum((horns - 1) * 3.0 * wide, -2 - middle.z)
    middle.paint(_pair(middle, (25, -40, 2), (4.2 * wide, 12, 6.5)), contrast.fluid)
    middle.paint(lateral, contrast.fluid)
    middle.paint(callosum, contrast.white)
    middle.blob((0, -12, 0), (1.6 * wide, 12, 9), contrast.fluid)
    at.blob((0, -36, -34), (7 * wide**0.5, 4.5, 8), contrast.fluid)
