"""The inside of the face: bone, sinuses, nasal cavity, orbits, mouth, teeth and jaw."""

from __future__ import annotations

import numpy as np

from refbench.datasets.phantom_shapes import Canvas, Point, ramp
from refbench.datasets.phantom_surface import Surface
from refbench.datasets.phantom_tissue import Contrast
from refbench.types import Voxels

EYE_RADII = (12.2, 12.0, 12.2)
LID_MM = 3.0


def paint_jaws(surface: Surface, contrast: Contrast, at: Canvas) -> None:
    """Tongue, palate, teeth, mandible and masseter."""
    face = surface.person.face
    lip = surface.front_at(0, face.mouth_z + 5)
    chin = surface.front_at(0, face.menton_z + face.chin_height)
    reach = lip - 12  # front of the teeth
    half = 0.5 * face.mouth_width + 2
    tooth_gap = face.mouth_z
    middle_y = 38.0
    at.blob((0, middle_y + 2, tooth_gap - 6), (24, reach - middle_y - 4, 20), 1.05 * contrast.muscle)
    palate = tooth_gap + 16
    at.blob((0, middle_y + 8, palate), (24, reach - middle_y - 6, 2.2), contrast.bone)
    at.blob((0, middle_y + 2, palate - 4.5), (20, reach - middle_y - 10, 1.6), 0.0)
    for z, height, radius in ((tooth_gap + 6, 7.5, 1.0), (tooth_gap - 6, 7.0, 0.96)):
        _arc(
            at, middle_y, (half * radius, (reach - middle_y) * radius), (z, height, 3.6), contrast.bone, front_only=4.0
        )
    for z, height in ((palate + 1, 6.0),):
        _arc(at, middle_y, (half, reach - middle_y - 1), (z, height, 4.5), 0.75 * contrast.marrow, front_only=6.0)
    low = face.menton_z + face.chin_height + 0.5
    forward = chin - 12 - middle_y
    width = face.jaw_width / 2 - 13
    _arc(at, middle_y, (width, forward), (low, 11.0, 6.0), contrast.bone, front_only=-4.0)
    _arc(at, middle_y, (width, forward), (low, 8.5, 3.6), contrast.marrow, front_only=-4.0)
    for sign in (-1.0, 1.0):
        angle, joint = (sign * width, 26.0, low + 4), (sign * (face.face_width / 2 - 17), 4.0, face.nasion_z - 22)
        at.rod(angle, joint, 5.5, contrast.bone)
        at.rod(angle, joint, 3.0, contrast.marrow)
        masseter = (sign * (width + 10), 30.0, low + 4), (sign * (face.face_width / 2 - 12), 36.0, face.nasion_z - 30)
        at.rod(*masseter, 7.0, 1.05 * contrast.muscle)


def _arc(
    at: Canvas,
    middle_y: float,
    radii: tuple[float, float],
    band: tuple[float, float, float],
    intensity: float,
    front_only: float,
) -> None:
    """Paint a horseshoe: the front of an elliptic ring around (0, middle_y), of a height and a thickness (mm)."""
    z, half_height, half_thick = band
    part = at.crop(
        (-radii[0] - 8, middle_y + front_only - 8, z - half_height - 4),
        (radii[0] + 8, middle_y + radii[1] + 8, z + half_height + 4),
    )
    if part is None:
        return
    u, v = part.x / np.float32(radii[0]), (part.y - np.float32(middle_y)) / np.float32(radii[1])
    q = np.sqrt(u * u + v * v + np.float32(1e-6))
    slope = np.sqrt((u / np.float32(radii[0])) ** 2 + (v / np.float32(radii[1])) ** 2) + np.float32(1e-6)
    across, along = q * (q - 1) / slope / np.float32(half_thick), (part.z - np.float32(z)) / np.float32(half_height)
    ring = (np.sqrt(across * across + along * along + np.float32(1e-6)) - 1) * np.float32(half_thick)
    behind = np.float32(middle_y + front_only) - part.y
    part.paint(np.maximum(ring, behind), intensity)


def paint_nose(surface: Surface, contrast: Contrast, skin: Voxels, at: Canvas) -> None:
    """Cartilage, nostrils, nasal cavity with septum and turbinates, and the sinuses; `skin` as in Outline."""
    face = surface.person.face
    back_of_nose = surface.front_at(0, face.nasion_z + 6)
    base, root = face.subnasale_z, face.nasion_z
    middle = (base + root) / 2
    inside = at.window((-30, 60, base - 6), (30, 130, root))
    nose = at.crop((-30, 60, base - 6), (30, 130, root))
    if nose is not None:  # cartilage and muscle rather than fat
        ahead = ramp(nose.y, back_of_nose - 2, back_of_nose + 5)
        nose.paint(np.maximum(skin[inside] + np.float32(2.5), (np.float32(0.5) - ahead) * 8), 1.1 * contrast.muscle)
    cavity_front = back_of_nose - 6
    at.blob((0, cavity_front - 26, middle - 2), (15, 28, 0.42 * face.nose_height), 0.05)
    at.blob((0, cavity_front - 22, root - 3), (11, 22, 9), 0.08)
    at.blob((0, 30, root - 10), (13, 11, 10), 0.03)
    for sign in (-1.0, 1.0):
        at.blob((sign * 8.5, cavity_front - 26, middle - 8), (4, 22, 5.5), 0.85 * contrast.muscle)
        at.blob((sign * 8, cavity_front - 28, middle + 5), (3, 17, 4.5), 0.8 * contrast.muscle)
        at.blob((sign * 30, 51, middle - 3), (12.5, 15, 16), contrast.bone, shrink=-1.2)
        at.blob((sign * 30, 51, middle - 3), (12.5, 15, 16), 0.02)
        at.blob((sign * 9, surface.front_at(9, root + 17) - 12, root + 19), (9, 4.5, 10), 0.03)
        tip_y = surface.front_at(0, base + 10)
        at.rod(
            (sign * 0.19 * face.nose_width, tip_y - 11, base - 1),
            (sign * 6, tip_y - 17, base + 9),
            0.085 * face.nose_width,
            0.02,
        )
        at.rod((sign * 6, tip_y - 17, base + 9), (sign * 5, cavity_front - 8, middle - 4), 2.4, 0.04)
    septum = at.crop((-3, 10, base), (3, 104, root))
    if septum is not None:
        sheet = np.maximum(np.abs(septum.x) - np.float32(1.2), np.float32(24) - septum.y)
        septum.paint(np.maximum(sheet, septum.y - np.float32(cavity_front)), 0.7 * contrast.muscle)


def eyeballs(surface: Surface) -> list[Point]:
    """Centres of the left and the right eyeball, mm."""
    face = surface.person.face
    z = face.nasion_z - 5.0
    sides = (-face.eye_spacing / 2, face.eye_spacing / 2)
    return [(x, surface.front_at(x, z) - LID_MM - EYE_RADII[1], z) for x in sides]


def paint_orbits(surface: Surface, contrast: Contrast, at: Canvas) -> None:
    """Bone, fat, optic nerve, muscles and eyeball with its lens."""
    for x, y, z in eyeballs(surface):
        front = y + EYE_RADII[1]
        centre = (x, y, z)
        at.blob((x * 0.94, front - 19, z), (18, 25, 17), contrast.bone, shrink=-1.5)
        at.blob((x * 0.94, front - 19, z), (18, 25, 17), 0.95 * contrast.fat)
        at.rod((x * 0.95, front - 22, z), (x * 0.55, front - 44, z), 2.2, contrast.white * 0.85)
        for dx, dz in ((0.0, 9.0), (0.0, -9.0), (9.0, 0.0), (-9.0, 0.0)):
            at.rod((x + dx, front - 20, z + dz), (x * 0.6, front - 43, z + 0.2 * dz), 1.7, contrast.muscle)
        at.blob(centre, EYE_RADII, 0.9 * contrast.muscle)
        at.blob(centre, EYE_RADII, contrast.vitreous, shrink=1.2)
        at.blob((x, front - 3.6, z), (4.8, 2.2, 4.8), 0.8 * contrast.muscle)
