"""Phantoms recorded by varied protocols: what differs between visits, and what must not."""

from __future__ import annotations

import numpy as np
import pytest

from refbench.datasets.base import Scan
from refbench.datasets.phantom import LABELS, Phantom, face_parameters
from refbench.datasets.phantom_artefacts import moved, truncated
from refbench.datasets.phantom_person import draw_person
from refbench.datasets.phantom_protocol import scanner_of, scanner_parameters
from refbench.datasets.phantom_scanner import SCANNERS

VARIED = Phantom(subjects=60, sessions=2, scale=0.2, scanners="varied")


def plain(scan: Scan) -> dict[str, object]:
    return {name: value for name, value in scan.recipe.items() if name != "scanners"}


def step() -> np.ndarray:
    image = np.zeros((6, 64, 48), np.float32)
    image[2:5, 20:44, 14:34] = 1
    return image


def test_sites_are_the_default_and_have_one_scanner_each() -> None:
    scans = Phantom(subjects=20).scans()
    assert all("scanners" not in scan.recipe for scan in scans)  # nor is any other key: what was computed stays valid
    assert all(scanner_of(scan.recipe) is SCANNERS[scan.site] for scan in scans)


def test_people_sites_and_faces_are_those_of_the_plain_cohort() -> None:
    other = Phantom(subjects=60, sessions=2, scale=0.2).scans()
    assert [(s.subject, s.site, s.session, s.facts) for s in VARIED.scans()] == [
        (s.subject, s.site, s.session, s.facts) for s in other
    ]
    assert [plain(scan) for scan in VARIED.scans()] == [dict(scan.recipe) for scan in other]
    assert all(
        face_parameters(a.recipe) == face_parameters(b.recipe) for a, b in zip(VARIED.scans(), other, strict=True)
    )


def test_every_visit_has_a_protocol_of_its_own() -> None:
    settings = [scanner_parameters(scan.recipe) for scan in VARIED.scans()]
    assert len({tuple(setting.values()) for setting in settings}) == len(settings)
    edges = np.array([[setting[f"voxel_{axis}_mm"] for axis in "xyz"] for setting in settings]) * 0.2
    assert (edges.min(axis=0) > 0.85).all()
    assert (edges.max(axis=0) < 1.6).all()
    rings, moves = (np.mean([s[name] != usual for s in settings]) for name, usual in (("k_space", 1), ("motion", 0)))
    assert 0.2 < rings < 0.5
    assert 0.2 < moves < 0.5
    for setting in settings:
        assert setting["contrast_fluid"] < setting["contrast_grey"] < setting["contrast_white"]


def test_fields_of_view_end_in_the_neck_under_the_chin_or_in_it() -> None:
    room = []
    for scan in VARIED.scans():
        face = draw_person(0, scan.recipe["person"]).face
        room.append(scanner_parameters(scan.recipe)["field_z_mm"] - face.head_height - 10 + face.menton_z)
    assert 0.05 < np.mean(np.array(room) < -3) < 0.3
    assert 0.1 < np.mean((np.array(room) >= 0) & (np.array(room) <= 5)) < 0.4
    assert 0.4 < np.mean(np.array(room) > 5) < 0.8


@pytest.mark.parametrize("number", [0, 5, 11])
def test_a_head_keeps_its_contract(number: int) -> None:
    scan = VARIED.scans()[number]
    head, again = VARIED.load(scan), VARIED.load(scan)
    np.testing.assert_array_equal(head.voxels, again.voxels)
    assert head.voxels.dtype == np.float32
    assert np.isfinite(head.voxels).all()
    assert head.voxels.min() >= 0
    assert set(head.labels) == set(LABELS)
    setting = scanner_parameters(scan.recipe)
    assert head.voxel_mm == pytest.approx([setting[f"voxel_{axis}_mm"] for axis in "xyz"])
    extent = head.voxel_mm * head.voxels.shape
    assert extent == pytest.approx([setting[f"field_{axis}_mm"] for axis in "xyz"])
    white = np.percentile(head.voxels[head.labels["brain"]], 80)
    assert white == pytest.approx(setting["white"], rel=0.35)


def test_an_edge_rings_when_k_space_ends_early() -> None:
    rung = truncated(step(), 0.7)
    assert rung.dtype == np.float32
    assert rung.max() > 1.05  # overshoot
    assert np.abs(rung[0] - 0).max() > 0.01  # and ripples in the air
    assert rung.mean() == pytest.approx(step().mean(), abs=0.02)
    np.testing.assert_allclose(truncated(step(), 1.0), step(), atol=1e-5)


def test_motion_ghosts_along_y_and_leaves_the_head_where_it_is() -> None:
    image, rng = step(), np.random.default_rng(0)
    ghosted = moved(image, (1.2, 1.0, 1.0), 1.5, rng)
    assert ghosted.dtype == np.float32
    above = ghosted[3, :, 40:]  # no ray along y from there meets the block, even moved
    beside = ghosted[3, :16, 20:30]  # in front of it
    assert beside.max() > 0.02 > 10 * above.max()
    places = np.indices(image.shape)
    for axis in range(3):
        before, after = ((places[axis] * volume).sum() / volume.sum() for volume in (image, ghosted))
        assert after == pytest.approx(before, abs=0.8)
    np.testing.assert_allclose(moved(image, (1.2, 1.0, 1.0), 0.0, rng), image, atol=1e-5)
