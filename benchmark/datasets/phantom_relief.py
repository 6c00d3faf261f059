"""The relief of a face: how far nose, lips, eyes, brow, cheeks and chin stand out of a smooth head, over x and z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from refbench.datasets.phantom_person import Face
from refbench.types import Voxels

Map = NDArray[np.float32]

STEP_MM = 0.75
X_MM = np.arange(-81, 81.1, STEP_MM, dtype=np.float32)
Z_MM = np.arange(-156, 33.1, STEP_MM, dtype=np.float32)


@dataclass(frozen=True)
class Relief:
    """Height (mm, towards the front), the cosine of its slope and the nose's share of the height, over X_MM x Z_MM."""

    height: Map
    cosine: Map
    nose: Map

    def sample(self, x: Voxels, z: Voxels) -> tuple[Voxels, Voxels]:
        """Height and cosine at the given mm, linear between the map's points; the border's value outside."""
        return _sampled(self.height, x, z), _sampled(self.cosine, x, z)

    def nose_depth(self, x: Voxels, z: Voxels) -> Voxels:
        """How deep the nose is under its skin, mm, as the skin's distance counts: to the face as it is without it."""
        depth: Voxels = _sampled(self.nose, x, z) * _sampled(self.cosine, x, z)
        return depth


def relief_of(face: Face) -> Relief:
    """Raise one face's relief out of its measures."""
    x, z = np.meshgrid(X_MM, Z_MM, indexing="ij")
    side = np.abs(x)
    height = _brow_and_eyes(face, side, z) + _cheeks(face, side, z) + _mouth(face, side, z) + _chin(face, side, z)
    nose = _nose(face, x, z)
    height = height + nose
    slope_x, slope_z = np.gradient(height, STEP_MM)
    cosine = 1 / np.sqrt(1 + slope_x**2 + slope_z**2)
    return Relief(height.astype(np.float32), cosine.astype(np.float32), nose.astype(np.float32))


def _sampled(values: Map, x: Voxels, z: Voxels) -> Voxels:
    place = [(x - X_MM[0]) / np.float32(STEP_MM), (z - Z_MM[0]) / np.float32(STEP_MM)]
    sampled: Voxels = map_coordinates(values, place, output=np.float32, order=1, mode="nearest")
    return sampled


def _bump(u: Map, v: Map, centre: tuple[float, float], spread: tuple[float, float]) -> Map:
    """A Gaussian hill of height 1."""
    hill: Map = np.exp(-0.5 * (((u - centre[0]) / spread[0]) ** 2 + ((v - centre[1]) / spread[1]) ** 2))
    return hill


def _brow_and_eyes(face: Face, side: Map, z: Map) -> Map:
    eye = (face.eye_spacing / 2, face.nasion_z - 5.0)
    brow_z = eye[1] + 16 + 0.04 * (side - eye[0]) - 0.006 * (side - eye[0]) ** 2
    brow = face.brow_ridge * np.exp(-0.5 * ((z - brow_z) / 5) ** 2) * np.exp(-0.5 * ((side - 26) / 20) ** 2)
    glabella = 0.5 * face.brow_ridge * _bump(side, z, (0, face.nasion_z + 12), (10, 7))
    socket = face.eye_depth * _bump(side, z, (eye[0] - 1, eye[1] + 1), (15, 9.5))
    inner_corner = 2.5 * _bump(side, z, (eye[0] - 15, eye[1]), (4.5, 5))
    lids = face.eyelid_bulge * _bump(side, z, (eye[0] + 0.5, eye[1] - 0.5), (9.5, 7))
    across = np.clip(1 - ((side - eye[0]) / 16) ** 2, 0, 1)
    slit = 2.2 * across * np.exp(-0.5 * ((z - eye[1] + 2.5 * across - 0.5) / 1.3) ** 2)
    crease = 1.4 * np.sqrt(across) * np.exp(-0.5 * ((z - eye[1] - 6.0 * across) / 1.8) ** 2)
    bag = 0.35 * face.nasolabial_fold * across * np.exp(-0.5 * ((z - eye[1] + 11 * np.sqrt(across)) / 2) ** 2)
    relief: Map = brow + glabella - socket - inner_corner + lids - slit - crease - bag
    return relief


def _cheeks(face: Face, side: Map, z: Map) -> Map:
    mouth_x = face.mouth_width / 2
    bone = face.cheekbone * _bump(side, z, (46, face.nasion_z - 24), (14, 11))
    flesh = face.cheek_fullness * _bump(side, z, (38, face.subnasale_z - 4), (15, 16))
    down = np.clip((face.subnasale_z + 6 - z) / (face.subnasale_z + 6 - face.mouth_z + 6), 0, 1)
    fold_x = face.nose_width / 2 + 3 + (mouth_x + 7 - face.nose_width / 2 - 3) * down
    between = np.exp(-0.5 * ((z - (face.subnasale_z + face.mouth_z) / 2) / 13) ** 2)
    fold = face.nasolabial_fold * between * np.exp(-0.5 * ((side - fold_x) / 3.2) ** 2)
    relief: Map = bone + flesh - fold
    return relief


def _mouth(face: Face, side: Map, z: Map) -> Map:
    half = face.mouth_width / 2
    line = face.mouth_z - 1.5 * (side / half) ** 2
    across = np.clip(1 - (side / (half + 3)) ** 2, 0, 1)
    muzzle = 8.5 * _bump(side, z, (0, face.mouth_z + 6), (24, 24))
    muzzle = muzzle + (0.4 * face.prognathism + face.lip_protrusion) * _bump(side, z, (0, face.mouth_z), (19, 13))
    bow = 1.4 * np.exp(-0.5 * ((side - 5.5) / 4) ** 2)
    upper = face.lip_fullness * 0.8 * across * np.exp(-0.5 * ((z - line - 4.2 - 0.5 * bow) / 3.6) ** 2)
    lower = face.lip_fullness * 0.85 * across * np.exp(-0.5 * ((z - line + 5.2) / 4.4) ** 2)
    gap = 3.2 * np.sqrt(across) * np.exp(-0.5 * ((z - line) / 1.7) ** 2)
    corner = 1.6 * _bump(side, z, (half + 1, face.mouth_z - 1.5), (3.5, 4))
    groove = (face.subnasale_z + face.mouth_z) / 2 + 1
    philtrum = 0.9 * _bump(side, z, (0, groove), (2.4, 5.5)) - 0.5 * _bump(side, z, (5.5, groove), (2, 5.5))
    relief: Map = muzzle + upper + lower - gap - corner - philtrum
    return relief


def _chin(face: Face, side: Map, z: Map) -> Map:
    chin_z = face.menton_z + face.chin_height
    pad = face.chin_projection * _bump(side, z, (0, chin_z), (face.chin_width / 2.4, 9.5))
    fold_z = (face.mouth_z + chin_z) / 2 - 1.5
    fold = 2.4 * np.exp(-0.5 * ((z - fold_z) / 4.5) ** 2) * np.exp(-0.5 * (side / (face.mouth_width * 0.36)) ** 2)
    jaw = 0.6 * face.prognathism * _bump(side, z, (0, chin_z), (28, 22))
    relief: Map = pad - fold + jaw
    return relief


def _nose(face: Face, x: Map, z: Map) -> Map:
    top, base = face.nasion_z + 3, face.subnasale_z
    tip_z = base + 10.5 + 1.2 * face.nose_turn_up
    along = np.clip((top - z) / (top - tip_z), 0, 1)  # 0 at the root, 1 at the tip and below
    ridge_x = face.nose_bend * np.sin(np.pi * np.clip((top - z) / (top - base), 0, 1))
    off = np.abs(x - ridge_x)
    bridge = 1.0 + face.nose_bridge_depth
    dorsum = bridge * np.clip((face.nasion_z + 14 - z) / 18, 0, 1) ** 1.5
    dorsum = dorsum + (face.nose_projection - bridge) * along * (1.15 - 0.15 * along)
    dorsum = dorsum + face.nose_hump * np.exp(-0.5 * ((along - 0.45) / 0.16) ** 2)
    half_width = face.nose_bridge_width / 2 + (face.nose_width / 3.0 - face.nose_bridge_width / 2) * along**1.6
    ridge = dorsum * np.exp(-0.6 * (off / half_width) ** (2.1 + 0.9 * along**2))
    wings = 0.45 * face.nose_projection * _bump(off, z, (face.nose_width / 2 - 6, base + 7), (4.6, 5.5))
    underside = base + 4.5 + 0.16 * (tip_z - base - 4.5) * np.clip(1 - off / 9, 0, 1) + 0.04 * off
    body = gaussian_filter(np.maximum(ridge, wings) * (z > underside), 2.3 / STEP_MM)
    tip = 1.2 * _bump(off, z, (0, tip_z + 1), (6, 5))
    crease = 1.2 * _bump(off, z, (face.nose_width / 2 + 2.5, base + 7), (2.2, 6.0))
    relief: Map = body + tip - crease
    return relief
