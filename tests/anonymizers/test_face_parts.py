"""The boxes of nose, eyes, mouth and ears, and the way from a head's millimetres to them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refbench.anonymizers.face_parts import PART_NAMES, PARTS, parts_of, to_template_voxels
from refbench.anonymizers.template import template_face_mask
from refbench.types import Affine

MIDDLE = 88.0
"""The plane of symmetry, x in voxels of the template's 1 mm grid."""


def in_mm(*voxels: tuple[float, float, float]) -> NDArray[np.float64]:
    affine = template_face_mask().affine
    return np.array(voxels) @ affine[:3, :3].T + affine[:3, 3]


def names(points: NDArray[np.float64], registration: Affine) -> list[str]:
    return [PART_NAMES[part] if part >= 0 else "" for part in parts_of(points, registration)]


def turned(degrees: float, shift: float, scale: float) -> Affine:
    angle = np.radians(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= scale
    affine[:3, 3] = [shift, -shift, 2 * shift]
    return affine


def test_landmarks_lie_in_their_parts() -> None:
    landmarks = in_mm((88, 235, 50), (55, 205, 92), (120, 205, 92), (88, 222, 20), (10, 110, 70), (168, 110, 70))
    assert names(landmarks, np.eye(4)) == ["nose", "eyes", "eyes", "mouth", "ears", "ears"]


def test_the_back_of_the_head_and_its_crown_belong_to_no_part() -> None:
    assert names(in_mm((88, 20, 90), (88, 120, 200), (88, 150, 40)), np.eye(4)) == ["", "", ""]


def test_parts_are_open_towards_the_outside() -> None:
    assert names(in_mm((88, 600, 50), (-300, 110, 70), (500, 110, 70)), np.eye(4)) == ["nose", "ears", "ears"]


@given(st.tuples(st.floats(0, 87.5), st.floats(0, 255), st.floats(0, 255)))
def test_left_and_right_are_the_same(voxel: tuple[float, float, float]) -> None:
    mirrored = (2 * MIDDLE - voxel[0], voxel[1], voxel[2])
    # A box holds its lower faces and not its upper ones, so a point right on a face may differ.
    if not any(abs(voxel[0] - edge) < 1e-6 for box in PARTS for edge in (box.low[0], box.high[0])):
        first, second = parts_of(in_mm(voxel, mirrored), np.eye(4))
        assert first == second


@settings(max_examples=30)
@given(st.floats(-30, 30), st.floats(-40, 40), st.floats(0.8, 1.2))
def test_parts_follow_the_registration(degrees: float, shift: float, scale: float) -> None:
    points = in_mm((88.3, 235.2, 50.1), (55.3, 205.2, 92.4), (88.3, 222.2, 20.1), (10.3, 110.2, 70.1), (88, 20, 90))
    registration = turned(degrees, shift, scale)
    moved = points @ registration[:3, :3].T + registration[:3, 3]
    assert names(moved, registration) == names(points, np.eye(4))
    assert np.allclose(to_template_voxels(moved, registration), to_template_voxels(points, np.eye(4)), atol=1e-6)
