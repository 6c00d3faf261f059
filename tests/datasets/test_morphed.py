import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from refbench.datasets import morphing
from refbench.datasets.morphed import Morphed
from refbench.datasets.morphing import Face, Landmarks, flow, mobility, morph
from refbench.errors import DataError
from refbench.types import Head

LANDMARKS = Landmarks(centre=np.array([88.0, 114, 150]), half_axes=np.array([75.0, 98, 75]), front=230)


def head_of_ellipsoids(edge: float = 4.0) -> Head:
    """Skull, jaw and nose, and a checkered brain, in a volume of 180 x 240 x 240 mm."""
    shape = (int(180 / edge), int(240 / edge), int(240 / edge))
    x, y, z = np.indices(shape) * edge

    def inside(centre: tuple[float, ...], half_axes: tuple[float, ...]) -> Any:
        return sum(((p - c) / a) ** 2 for p, c, a in zip((x, y, z), centre, half_axes, strict=True)) < 1

    head = (
        inside((90, 115, 150), (75, 98, 75)) | inside((90, 150, 90), (55, 65, 75)) | inside((90, 213, 95), (9, 15, 18))
    )
    voxels = 300.0 * head + 100 * (inside((90, 115, 150), (65, 85, 65)) & ((x // 16 + y // 16 + z // 16) % 2 == 0))
    affine = np.diag([edge, edge, edge, 1])
    affine[:3, 3] = (-90, -120, -130)
    return Head(voxels.astype(np.float32), affine)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    head = head_of_ellipsoids()
    for number, name in enumerate(("a", "b", "c")):
        nib.save(nib.Nifti1Image(head.voxels + np.float32(number), head.affine), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions without pose and noise."""
    for name in ("TURN_DEGREES", "SHIFT_MM", "NOISE"):
        monkeypatch.setattr(morphing, name, 0.0)


def random_face(person: int = 1, strength_mm: float = 3.0) -> Face:
    return Face.random(LANDMARKS, strength_mm, np.random.default_rng(person))


def grid_of_points(step: float) -> np.ndarray:
    axes = [np.arange(*ends, step, dtype=float) for ends in ((-84, 84), (-110, 140), (-210, 80))]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def test_people_are_dealt_to_sources_in_turn(sources: Path) -> None:
    scans = Morphed(path=sources, people=4, sessions=2, seed=5, strength_mm=2, voxel_mm=3).scans()
    assert [(scan.subject, scan.session, scan.files[0].name[0]) for scan in scans] == [
        ("M001", "1", "a"),
        ("M001", "2", "a"),
        ("M002", "1", "b"),
        ("M002", "2", "b"),
        ("M003", "1", "c"),
        ("M003", "2", "c"),
        ("M004", "1", "a"),
        ("M004", "2", "a"),
    ]
    assert scans[3].recipe == {"person": 2, "session": 2, "seed": 5, "strength_mm": 2, "voxel_mm": 3}


def test_sources_are_sites_where_enough_people_share_one(sources: Path) -> None:
    assert {scan.site for scan in Morphed(path=sources, people=11).scans()} == {"morphed"}
    assert [scan.site for scan in Morphed(path=sources, people=12).scans()] == ["a", "b", "c"] * 4


def test_a_larger_cohort_begins_with_the_same_people(sources: Path) -> None:
    few, many = (Morphed(path=sources, people=people).scans() for people in (2, 11))
    assert many[:2] == few


def test_the_recipe_and_the_file_decide_everything(sources: Path, tmp_path: Path) -> None:
    scan = Morphed(path=sources, people=2, seed=3).scans()[1]
    (tmp_path / "moved.nii.gz").write_bytes(scan.files[0].read_bytes())
    head = Morphed(path=sources, people=2, seed=3).load(scan)
    again = Morphed(path="elsewhere", seed=99, strength_mm=8).load(replace(scan, files=(tmp_path / "moved.nii.gz",)))
    np.testing.assert_array_equal(again.voxels, head.voxels)
    assert (head.subject, head.session, head.site) == ("M002", "1", "morphed")
    assert head.voxels.dtype == np.float32
    assert np.isfinite(head.voxels).all()


@pytest.mark.usefixtures("still")
def test_a_person_has_the_same_face_in_every_session(sources: Path) -> None:
    dataset = Morphed(path=sources, glob="a*", people=2, sessions=2)
    first, second, other, _ = (dataset.load(scan).voxels for scan in dataset.scans())
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 100


def test_sessions_differ_a_little(sources: Path) -> None:
    dataset = Morphed(path=sources, sessions=2, strength_mm=0)
    first, second = (dataset.load(scan).voxels for scan in dataset.scans()[:2])
    assert 0.9 < np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.999


@pytest.mark.parametrize(("seeds", "people"), [((0, 0), (1, 2)), ((0, 1), (1, 1))])
def test_another_number_or_seed_is_another_person(
    sources: Path, seeds: tuple[int, int], people: tuple[int, int]
) -> None:
    a, b = (
        Morphed(path=sources, glob="a*", people=2, seed=seed).scans()[person - 1]
        for seed, person in zip(seeds, people, strict=True)
    )
    dataset = Morphed(path=sources)
    assert np.abs(dataset.load(a).voxels - dataset.load(b).voxels).max() > 100


@pytest.mark.usefixtures("still")
def test_without_strength_the_source_comes_back(sources: Path) -> None:
    dataset = Morphed(path=sources, strength_mm=0)
    source, head = head_of_ellipsoids(), dataset.load(dataset.scans()[0])
    length = source.voxels.shape[1]
    np.testing.assert_allclose(head.voxels[:, :length], source.voxels, atol=1e-2)
    np.testing.assert_allclose(head.affine, source.affine)
    assert not head.voxels[:, length:].any()


@pytest.mark.parametrize(("front", "length"), [(200, 60), (224, 60), (225, 61), (236, 63)])
def test_there_is_room_for_a_larger_nose(front: float, length: int) -> None:
    head, landmarks = head_of_ellipsoids(), replace(LANDMARKS, front=front)
    result = morph(head, random_face(), landmarks, np.random.default_rng(0), None)
    assert result.voxels.shape == (45, length, 60)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("voxel_mm", [2.9, 3.5, 4.0])
def test_voxel_size_changes_neither_place_nor_size(sources: Path, voxel_mm: float) -> None:
    dataset = Morphed(path=sources, voxel_mm=voxel_mm, strength_mm=0)
    source, head = head_of_ellipsoids(), dataset.load(dataset.scans()[0])
    np.testing.assert_allclose(head.voxel_mm, voxel_mm)

    def centre_and_volume(of: Head) -> np.ndarray:
        index = np.indices(of.voxels.shape).reshape(3, -1)
        weights = of.voxels.ravel().astype(float)
        centre = of.affine[:3, :3] @ (index @ weights / weights.sum()) + of.affine[:3, 3]
        return np.append(centre, weights.sum() * np.prod(of.voxel_mm) / 1e8)

    np.testing.assert_allclose(centre_and_volume(head), centre_and_volume(source), atol=0.3)


def test_landmarks_of_a_head_of_known_shape() -> None:
    landmarks = Landmarks.of(head_of_ellipsoids(2.0))
    np.testing.assert_allclose(landmarks.centre, (90, 115, 148), atol=6)
    np.testing.assert_allclose(landmarks.half_axes, (75, 98, 75), atol=6)
    assert landmarks.front == pytest.approx(226, abs=3)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 8))
def test_deformations_never_fold(person: int, strength_mm: float) -> None:
    step = 4.0
    points = grid_of_points(step)
    displacement = random_face(person, strength_mm).at(points.reshape(3, -1)).reshape(points.shape)
    gradient = np.stack(np.gradient(displacement, step, axis=(1, 2, 3)), axis=1)
    jacobian = np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3))
    assert jacobian.min() > 0


def test_flowing_back_undoes_the_deformation() -> None:
    velocity = morphing._velocity(LANDMARKS, 3.0, np.random.default_rng(7))
    there, back = Face(flow(velocity)), Face(flow(-velocity))
    points = grid_of_points(6).reshape(3, -1)
    moved = points + there.at(points)
    returned = moved + back.at(moved)
    assert np.abs(there.at(points)).max() > 3
    assert np.abs(returned - points).max() < 0.5
    assert np.sqrt(np.mean((returned - points) ** 2)) < 0.05


def test_brain_back_top_and_neck_stay_in_place() -> None:
    points = grid_of_points(6).reshape(3, -1)
    in_brain = ((points / LANDMARKS.half_axes[:, None]) ** 2).sum(axis=0) < 0.87**2
    behind, neck, top = points[1] < -12, points[2] < -206, points[2] > 64
    displacement = np.abs(random_face(strength_mm=8).at(points))
    for part in (in_brain, behind, neck, top):
        assert part.any()
        assert displacement[:, part].max() < 0.2
    nose = np.array([[0.0], [105], [-60]])
    assert mobility(nose, LANDMARKS) == pytest.approx(1)


def test_strength_is_the_spread_over_people_and_neighbours_are_strangers() -> None:
    points = np.array([[0.0, 110, -65], [0, 90, -130], [40, 80, -70], [-45, 70, -100], [0, 100, -90]]).T
    people = np.stack([random_face(person, 3.0).at(points) for person in range(30)])
    assert np.sqrt((people.std(axis=0) ** 2).mean()) == pytest.approx(3.0, rel=0.2)
    steps = people[1:] - people[:-1]
    assert np.sqrt((steps**2).mean()) == pytest.approx(np.sqrt(2) * people.std(axis=0).mean(), rel=0.2)


@pytest.mark.parametrize("wrong", [{"people": 0}, {"strength_mm": 9}, {"voxel_mm": 0}, {"sessions": 0}, {"seed": -1}])
def test_parameters_are_checked_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Morphed(path="x", **wrong)


def test_sources_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        Morphed(path=tmp_path / "gone").scans()
    (tmp_path / "a.nii").touch()
    dataset = Morphed(path=tmp_path)
    with pytest.raises(DataError, match=r"a\.nii: not a NIfTI"):
        dataset.load(dataset.scans()[0])


def test_real_heads_become_other_people_with_the_same_brain() -> None:
    folder = Path(os.environ.get("REFBENCH_HEADS", "../shared/heads"))
    if not folder.is_dir():
        pytest.skip(f"real heads are not at {folder} (set REFBENCH_HEADS)")
    dataset = Morphed(path=folder, glob="head_a*", people=2, voxel_mm=3)
    heads = [dataset.load(scan) for scan in dataset.scans()]
    assert [head.voxels.shape for head in heads] == [heads[0].voxels.shape] * 2
    landmarks = [Landmarks.of(head) for head in heads]
    np.testing.assert_allclose(landmarks[0].half_axes, landmarks[1].half_axes, atol=7)
