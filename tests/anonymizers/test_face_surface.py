"""The facial skin: where it lies, what belongs to it, and whether there is a face at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_heads import NOSE_MM, RADIUS_MM, grid, synthetic_head

from refbench.anonymizers.face_surface import SKIN_PARTS, FacialSkin, facial_skin
from refbench.anonymizers.outer_surface import areas, outer_surface, sampled
from refbench.anonymizers.registration import face_region
from refbench.errors import DataError
from refbench.types import Affine, Head, Mask

ALL = (slice(None), slice(None), slice(None))
BALL_MM2 = 4 * np.pi * RADIUS_MM**2


def ball(voxel_mm: tuple[float, float, float], air: float = 0.0, tissue: float = 100.0) -> tuple[Head, float]:
    """A head without a nose, and the intensity in the middle of its edge."""
    head = synthetic_head(voxel_mm, air, tissue, lambda points, _: np.linalg.norm(points, axis=0) - RADIUS_MM)
    return head, (air + tissue) / 2


@pytest.fixture(scope="module")
def whole() -> FacialSkin:
    head = synthetic_head()
    return facial_skin(head, head.labels)


@pytest.mark.parametrize("voxel_mm", [(2.0, 2.0, 2.0), (3.0, 1.5, 1.5), (2.0, 2.5, 3.0)])
@pytest.mark.parametrize(("air", "tissue"), [(0.0, 100.0), (300.0, 900.0), (-500.0, -100.0)])
def test_the_surface_of_a_ball_lies_where_it_is(
    voxel_mm: tuple[float, float, float], air: float, tissue: float
) -> None:
    head, level = ball(voxel_mm, air, tissue)
    surface = outer_surface(head.voxels, head.affine, ALL, level)
    off = np.linalg.norm(surface.mean(axis=1), axis=1) - RADIUS_MM
    assert np.abs(off).max() < 0.5
    assert areas(surface).sum() == pytest.approx(BALL_MM2, rel=0.02)


def test_cavities_behind_narrow_openings_are_not_outside() -> None:
    def hollow(points: np.ndarray, sdf: np.ndarray) -> np.ndarray:
        cave = 16 - np.linalg.norm(points - np.reshape([0, 28, 0], (3, 1, 1, 1)), axis=0)
        passage = np.where(points[1] > 28, 3 - np.hypot(points[0], points[2]), -50)
        return np.maximum(np.linalg.norm(points, axis=0) - RADIUS_MM, np.maximum(cave, passage))

    head = synthetic_head(change=hollow)
    surface = outer_surface(head.voxels, head.affine, ALL, 50)
    assert areas(surface).sum() == pytest.approx(BALL_MM2, rel=0.03)
    assert np.linalg.norm(surface.mean(axis=1), axis=1).min() > RADIUS_MM - 14


def test_specks_in_the_air_are_no_skin() -> None:
    head, level = ball((2.0, 2.0, 2.0))
    voxels = head.voxels.copy()
    rng = np.random.default_rng(0)
    air = np.argwhere(voxels == 0)
    x, y, z = air[rng.choice(len(air), 500, replace=False)].T
    voxels[x, y, z] = 300
    clean, specked = (areas(outer_surface(volume, head.affine, ALL, level)).sum() for volume in (head.voxels, voxels))
    assert specked == pytest.approx(clean, rel=0.02)


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_a_volume_of_nothing_but_air_or_tissue_has_no_surface(value: float) -> None:
    assert outer_surface(np.full((20, 20, 20), value, np.float32), np.eye(4), ALL, 50).shape == (0, 3, 3)


def test_samples_lie_on_the_triangles_and_close_together() -> None:
    triangle = np.array([[[0, 0, 5], [6, 0, 5], [0, 6, 5]]], np.float32)
    points = sampled(triangle, 0.5)
    assert np.allclose(points[:, 2], 5)
    assert (points[:, :2] >= 0).all()
    assert (points[:, :2].sum(axis=1) <= 6).all()
    assert np.allclose(points.mean(axis=0), triangle.mean(axis=(0, 1)), atol=1e-4)
    assert min(np.linalg.norm(points - [1.7, 2.2, 5], axis=1)) < 0.5


def test_labelled_skin_has_its_parts_and_its_area(whole: FacialSkin) -> None:
    assert {SKIN_PARTS[part] for part in np.unique(whole.part)} == {"nose", "face"}
    nose = whole.part == SKIN_PARTS.index("nose")
    # The nose is a ball that stands half out of the head: about half its surface, and a voxel more around it.
    assert whole.area[nose].sum() == pytest.approx(2 * np.pi * NOSE_MM**2, rel=0.3)
    assert (whole.points[nose][:, 1] > RADIUS_MM - 4).all()
    assert whole.found > 0.98
    assert whole.has_face
    assert whole.cut == 0
    assert not whole.touches_edge


def test_a_labelled_face_that_was_removed_is_not_found() -> None:
    head = synthetic_head()
    gone = head.with_voxels(np.where(head.labels["face"], 0, head.voxels))
    assert not facial_skin(gone, head.labels).has_face


def test_an_empty_label_is_an_error_a_user_can_act_on() -> None:
    head = synthetic_head()
    with pytest.raises(DataError, match="synthetic is empty"):
        facial_skin(head, {"face": np.zeros(head.voxels.shape, bool)})


def test_the_edge_of_the_volume_is_no_skin() -> None:
    head = synthetic_head()
    points, _ = grid()
    last = int(np.flatnonzero(points[1, 0, :, 0] < RADIUS_MM + 5)[-1])

    def cropped(mask: Mask) -> Mask:
        return mask[:, : last + 1]

    cut = replace(head, voxels=head.voxels[:, : last + 1], labels={k: cropped(v) for k, v in head.labels.items()})
    skin = facial_skin(cut, cut.labels)
    assert skin.touches_edge
    assert skin.points[:, 1].max() < RADIUS_MM + 3


def test_it_survives_being_written_and_read(whole: FacialSkin, tmp_path: Path) -> None:
    whole.save(tmp_path / "skin.npz")
    read = FacialSkin.load(tmp_path / "skin.npz")
    for field in fields(FacialSkin):
        before, after = getattr(whole, field.name), getattr(read, field.name)
        assert type(before) is type(after), field.name
        assert np.array_equal(before, after), field.name


def test_the_template_has_a_face_with_all_parts(template: Head) -> None:
    skin = facial_skin(template)
    assert skin.found > 0.85
    assert skin.cut == 0
    area = [skin.area[skin.part == part].sum() for part in range(4)]
    assert min(area) > 1500
    ears = skin.points[skin.part == SKIN_PARTS.index("ears")]
    assert (ears[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.1)


def test_the_template_without_its_face_has_none(template: Head) -> None:
    voxels = np.where(face_region(template) > 0.5, 0, template.voxels).astype(np.float32)
    assert not facial_skin(template.with_voxels(voxels)).has_face


def test_parts_outside_the_volume_are_missing_and_counted(template: Head) -> None:
    lower = 45
    affine = template.affine.copy()
    affine[:3, 3] += affine[:3, 2] * lower
    cut = replace(template, voxels=template.voxels[:, :, lower:], affine=affine)
    skin = facial_skin(cut)
    assert not (skin.part == SKIN_PARTS.index("mouth")).any()
    assert 0.5 < skin.cut < 0.95
    assert skin.touches_edge
    assert skin.has_face


def test_a_volume_beside_the_face_has_none(template: Head) -> None:
    skin = facial_skin(replace(template, voxels=template.voxels[:, :40]))
    assert skin.found == 0
    assert skin.cut == 1
    assert not skin.has_face


@pytest.mark.parametrize("degrees", [0, 17, 30])
def test_skin_does_not_depend_on_the_axes(template: Head, degrees: float) -> None:
    angle = np.radians(degrees)
    turn: Affine = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = template.voxels.shape[0] - 1
    turned = replace(template, affine=turn @ template.affine @ flip, registration=turn, voxels=template.voxels[::-1])
    skin, straight = facial_skin(turned), facial_skin(template)
    assert skin.found == pytest.approx(straight.found, abs=0.01)
    for part in range(4):
        assert skin.area[skin.part == part].sum() == pytest.approx(straight.area[straight.part == part].sum(), rel=0.03)


@pytest.mark.slow
def test_real_heads_have_a_face_until_it_is_removed(real_head: Callable[[str], Head]) -> None:
    head = real_head("a")
    assert facial_skin(head).found > 0.6
    removed = head.with_voxels(np.where(face_region(head) > 0.5, 0, head.voxels).astype(np.float32))
    assert facial_skin(removed).found < 0.4
