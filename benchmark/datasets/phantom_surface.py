"""The skin of a phantom: cranium, face, neck and ears as one distance in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refbench.datasets.phantom_person import Face, Person
from refbench.datasets.phantom_relief import Relief, relief_of
from refbench.datasets.phantom_shapes import Canvas, join, meet, ramp, scaled_distance
from refbench.types import Mask, Voxels


@dataclass(frozen=True)
class Outline:
    """The outside of a block of voxels.

    Attributes:
        skin, cranium: signed distance to the skin and to the cranium's outline, mm, negative inside.
        ears: what the ears add to the head.
    """

    skin: Voxels
    cranium: Voxels
    ears: Mask


@dataclass(frozen=True)
class Surface:
    """Everything about a person's outside that is worked out once per scan.

    Attributes:
        relief: the map of facial features.
        levels: heights z, mm, rising; front, width: how far the smooth face reaches to the front (y) and to a side (x)
            at each of them, mm.
    """

    person: Person
    relief: Relief
    levels: Voxels
    front: Voxels
    width: Voxels

    @classmethod
    def of(cls, person: Person) -> Surface:
        """Derive the smooth face and its relief from a person's measures."""
        face = person.face
        jut = face.prognathism
        half, jaw = face.face_width / 2, face.jaw_width / 2
        knots = np.array(  # z, front y, half width
            [
                (face.menton_z - 30, 70 + jut, jaw * 0.52),
                (face.menton_z - 6, 75 + jut, jaw * 0.60),
                (face.menton_z + face.chin_height, 80.5 + 0.8 * jut, jaw * 0.74),
                (face.mouth_z - 8, 82.5 + 0.6 * jut, jaw * 0.92),
                (face.mouth_z + 6, 83 + 0.4 * jut, jaw * 1.04),
                (face.subnasale_z + 6, 82, half * 0.97),
                (face.nasion_z - 20, 81, half),
                (face.nasion_z, 80, half * 0.985),
                (face.nasion_z + 14, 81.5, half * 0.96),
                (face.nasion_z + 45, 74, half * 0.90),
            ]
        )
        levels = np.arange(-175, 40, 1.0)
        reach = (face.head_length - 189) * 0.45 + face.soft_tissue
        front, width = (np.convolve(np.interp(levels, knots[:, 0], knots[:, i]), _SOFTEN, "same") for i in (1, 2))
        return cls(person, relief_of(face), *(a[12:-12].astype(np.float32) for a in (levels, front + reach, width)))

    def outline(self, at: Canvas) -> Outline:
        """The head's skin, cranium and ears."""
        cranium = cranium_distance(self.person.face, at)
        skin = join(cranium, _neck(self.person.face, at), 30.0)
        face = at.crop((-84, -42, -170), (84, 140, 30))
        if face is not None:
            where = at.window((-84, -42, -170), (84, 140, 30))
            skin[where] = join(skin[where], self._face(face), 22.0)
        ears = np.zeros(skin.shape, np.bool_)
        for sign in (-1.0, 1.0):
            box = (
                ((-104.0, -66.0, -96.0), (-52.0, 10.0, 12.0))
                if sign < 0
                else ((52.0, -66.0, -96.0), (104.0, 10.0, 12.0))
            )
            ear = at.crop(*box)
            if ear is not None:
                where = at.window(*box)
                outside = skin[where] > 0
                skin[where] = _ear(self.person.face, ear, skin[where], sign)
                ears[where] |= outside & (skin[where] < 0)
        return Outline(skin, cranium, ears)

    def front_at(self, x: float, z: float) -> float:
        """Where the skin lies on the line along y at x and z, mm: an anchor for what lies beneath."""
        y = np.arange(40, 135, 0.5, dtype=np.float32)[None, :, None]
        index_of_mm = np.diag([1.0, 2.0, 1.0, 1.0])
        index_of_mm[:3, 3] = -x, -80.0, -z
        at = Canvas(np.full_like(y, x), y, np.full_like(y, z), np.zeros_like(y), 1.0, index_of_mm)
        outside = np.flatnonzero(self._face(at)[0, :, 0] > 0)
        return float(y[0, outside[0] if len(outside) else -1, 0])

    def _face(self, at: Canvas) -> Voxels:
        """Distance to jaw, cheeks and their relief."""
        middle = np.float32(14.0)
        front = np.interp(at.z, self.levels, self.front).astype(np.float32) - middle
        width = np.interp(at.z, self.levels, self.width).astype(np.float32)
        forward = np.maximum(at.y - middle, 0)
        u, v = (at.x / width) ** 2, (forward / front) ** 2
        q = np.sqrt(np.sqrt(u * u + v * v + np.float32(1.3) * u * v) + np.float32(1e-9))
        smooth = (q - 1) * (width * front) / np.sqrt(width * width * v + front * front * u + np.float32(1e-6))
        features = at.window((-90, 30, -180), (90, 140, 40))
        height, cosine = self.relief.sample(at.x[features], at.z[features])
        frontal = ramp(at.y[features], 30.0, 52.0)
        skin = smooth
        skin[features] = (skin[features] - height * frontal) * (1 - frontal * (1 - cosine))
        face = self.person.face
        under = face.menton_z - 5 + 0.22 * (np.float32(70 + face.prognathism) - at.y) - at.z
        lower = meet(skin, under * np.float32(0.97), 16.0)
        return meet(lower, np.maximum(np.float32(-22) - at.y, at.z - np.float32(8)), 18.0)


def cranium_distance(face: Face, at: Canvas) -> Voxels:
    """Distance to the egg of the cranium: wide behind, narrow in front, its forehead more or less steep."""
    half = (face.head_width / 2, face.head_length / 2, face.head_height - 8)
    y = at.y + np.float32(4.5)
    z = at.z - np.float32(8.0)
    y = y + np.float32(0.0022 * face.forehead_slope) * np.maximum(z, 0) * np.maximum(y, 0) / 10
    narrow = 1 - np.float32(0.0011) * (y + 22)
    return scaled_distance(
        at.x / (np.float32(half[0]) * narrow), y / np.float32(half[1]), z / np.float32(half[2]), half, squareness=0.2
    )


def _neck(face: Face, at: Canvas) -> Voxels:
    """Distance to the neck: an upright elliptic cylinder that leans a little forward."""
    half_width = np.float32(face.jaw_width * 0.53)
    half_depth = np.float32(52 + 0.12 * (face.head_length - 189))
    lean = np.float32(0.16) * (at.z + 100)
    u, v = at.x / half_width, (at.y + 28 + lean) / half_depth
    q = np.sqrt(u * u + v * v)
    side = (q - 1) * q / np.sqrt((u / half_width) ** 2 + (v / half_depth) ** 2 + np.float32(1e-9))
    return meet(side, at.z + np.float32(20), 30.0)


def _ear(face: Face, at: Canvas, skin: Voxels, sign: float) -> Voxels:
    """The skin with one ear on it: a bowl with a rolled rim, its front edge at the head."""
    flare, lean = np.deg2rad(face.ear_flare_degrees), np.deg2rad(12)
    tall, broad = face.ear_height / 2 - 3, face.ear_height * 0.27
    attach_x = face.face_width / 2 + 1.5
    px = at.x * np.float32(sign) - np.float32(attach_x)
    py, pz = at.y + 14, at.z - np.float32(face.nasion_z - 24)
    back = -(py * np.float32(np.cos(lean)) + pz * np.float32(np.sin(lean)))
    up = pz * np.float32(np.cos(lean)) - py * np.float32(np.sin(lean))
    outward = px * np.float32(np.cos(flare)) - back * np.float32(np.sin(flare))
    behind = back * np.float32(np.cos(flare)) + px * np.float32(np.sin(flare)) - np.float32(broad)
    taper = 1 + np.float32(0.009) * up  # the lobe is narrower than the top
    q = np.sqrt((behind / (np.float32(broad) * taper)) ** 2 + (up / np.float32(tall)) ** 2 + np.float32(1e-9))
    outline = (q - 1) * np.float32(min(tall, broad))
    rim = np.sqrt(outline * outline + (outward - 1.5) ** 2) - np.float32(2.4)
    bowl = np.maximum(outline, np.abs(outward + 2 - 3 * q * q) - np.float32(1.5))
    inner = np.sqrt(((q - 0.62) * np.float32(broad)) ** 2 + (outward - 0.5) ** 2) - np.float32(1.7)
    ear = join(join(rim, bowl, 2.0), np.maximum(inner, np.float32(2.0) - behind), 2.0)
    canal = np.sqrt((behind - 6) ** 2 + (up + 4) ** 2 + (outward * np.float32(0.55)) ** 2) - np.float32(4.0)
    pierced: Voxels = np.maximum(join(skin, ear, 4.0), -canal)
    return pierced


_SOFTEN = np.exp(-0.5 * (np.arange(-12, 13) / 5.0) ** 2)
_SOFTEN /= _SOFTEN.sum()
