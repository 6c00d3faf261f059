"""The phantom cohort: persistent people, consistent labels, sites that differ."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from refbench.datasets.base import Scan
from refbench.datasets.phantom import IXI_SUBJECTS, LABELS, Phantom, face_parameters, site_of
from refbench.datasets.phantom_person import draw_person
from refbench.types import Head, Mask

SCALE = 0.3


@cache
def cohort() -> tuple[Scan, ...]:
    return tuple(Phantom(subjects=24, sessions=3, scale=SCALE).scans())


@cache
def head(subject: int, session: int = 1) -> Head:
    scan = next(s for s in cohort() if s.subject == f"P{subject:03d}" and s.session == str(session))
    return Phantom().load(scan)


def skin_depth(head: Head) -> np.ndarray:
    """Where the truth label of the skin begins, seen from the front: mm from the commissure's plane, nan beside it."""
    skin = head.labels["skin"]
    first = skin[:, ::-1, :].argmax(axis=1)
    y = skin.shape[1] - 1 - first
    depth = head.affine[1, 3] + y * head.voxel_mm[1]
    seen: np.ndarray = np.where(skin.any(axis=1), depth, np.nan)
    return seen


def face_points(head: Head) -> np.ndarray:
    """World mm of the outermost voxels of the face label, (n, 3)."""
    rim = head.labels["face"] & ndimage.binary_dilation(~(head.labels["skin"] | head.labels["face"]))
    return np.argwhere(rim) @ head.affine[:3, :3].T + head.affine[:3, 3]


def test_the_same_recipe_makes_the_same_voxels() -> None:
    scan = cohort()[0]
    first, second = Phantom().load(scan), Phantom(seed=99, scale=0.2).load(scan)
    np.testing.assert_array_equal(first.voxels, second.voxels)
    np.testing.assert_array_equal(first.affine, second.affine)


@given(small=st.integers(17, 40), more=st.integers(0, 80), seed=st.integers(0, 5), sessions=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_a_larger_cohort_changes_nobody(small: int, more: int, seed: int, sessions: int) -> None:
    few = Phantom(subjects=small, sessions=sessions, seed=seed).scans()
    assert Phantom(subjects=small + more, sessions=sessions, seed=seed).scans()[: len(few)] == few
    assert [s for s in Phantom(subjects=small, sessions=3, seed=seed).scans() if int(s.session) <= sessions] == few


def test_seeds_draw_other_people() -> None:
    one, other = (Phantom(seed=seed).scans()[0].recipe for seed in (0, 1))
    assert face_parameters(one) != face_parameters(other)


def test_truth_is_the_same_in_every_session_and_differs_between_people() -> None:
    by_person: dict[str, list[dict[str, float]]] = {}
    for scan in cohort():
        by_person.setdefault(scan.subject, []).append(face_parameters(scan.recipe))
    assert all(faces.count(faces[0]) == len(faces) for faces in by_person.values())
    assert len({faces[0]["nose_projection"] for faces in by_person.values()}) == len(by_person)
    assert {len(faces) for faces in by_person.values()} == {2, 3}


def test_the_order_of_loading_changes_nothing() -> None:
    scans = Phantom(subjects=18, sessions=2, scale=0.2).scans()
    alone = next(scan for scan in scans if scan.subject == "P017")
    before = Phantom().load(alone)
    for scan in reversed(scans[-2:]):
        Phantom().load(scan)
    after = Phantom().load(alone)
    np.testing.assert_array_equal(before.voxels, after.voxels)
    assert all(np.array_equal(before.labels[name], after.labels[name]) for name in LABELS)


def test_age_and_sex_show() -> None:
    people = [draw_person(0, number) for number in range(1, 301)]
    age = np.array([person.age for person in people])
    assert (age.min(), age.max()) == (pytest.approx(20, abs=5), pytest.approx(86, abs=6))
    assert np.corrcoef(age, [person.atrophy for person in people])[0, 1] > 0.9
    assert np.corrcoef(age, [person.face.nasolabial_fold for person in people])[0, 1] > 0.5
    assert np.corrcoef(age, [person.face.lip_fullness for person in people])[0, 1] < -0.4
    tall = {sex: np.mean([p.face.face_height for p in people if p.sex == sex]) for sex in ("F", "M")}
    assert 4 < tall["M"] - tall["F"] < 9
    assert 0.35 < np.mean([person.sex == "M" for person in people]) < 0.55


def test_measures_move_together() -> None:
    faces = [face_parameters(s.recipe) for s in Phantom(subjects=300).scans()]
    columns = {name: np.array([f[name] for f in faces]) for name in faces[0]}
    assert np.corrcoef(columns["face_width"], columns["jaw_width"])[0, 1] > 0.6
    assert np.corrcoef(columns["prognathism"], columns["lip_protrusion"])[0, 1] > 0.6
    assert 105 < columns["face_height"].mean() < 120
    assert 130 < columns["face_width"].mean() < 140


def test_sites_have_the_ratio_of_ixi() -> None:
    counts = Counter(site_of(n) for n in range(1, 582))
    for site, wanted in IXI_SUBJECTS.items():
        assert abs(counts[site] - wanted) <= 2
    assert all({site_of(n) for n in range(first, first + 10)} == set(IXI_SUBJECTS) for first in (1, 11, 21))


@pytest.mark.parametrize(("scale", "shape"), [(1.0, (150, 256, 256)), (0.5, (75, 128, 128)), (0.25, (38, 64, 64))])
def test_the_grid_keeps_the_field_of_view(scale: float, shape: tuple[int, int, int]) -> None:
    from refbench.datasets.phantom_scanner import SCANNERS, grid_shape

    assert grid_shape(SCANNERS["Guys"], scale) == shape
    assert SCANNERS["IOP"].shape == (146, 256, 256)


@pytest.mark.parametrize("subject", [1, 2, 8])
def test_a_head_keeps_its_contract(subject: int) -> None:
    it = head(subject)
    assert it.voxels.dtype == np.float32
    assert np.isfinite(it.voxels).all()
    assert it.voxels.min() >= 0
    assert 100 < np.percentile(it.voxels, 99.5) < it.voxels.max() < 5000
    assert set(it.labels) == set(LABELS) == Phantom().label_names()
    assert all(m.dtype == np.bool_ and m.shape == it.voxels.shape for m in it.labels.values())
    extent = it.voxel_mm * it.voxels.shape
    np.testing.assert_allclose(extent[1:], 240, atol=1e-6)
    assert it.voxel_mm == pytest.approx([1.2 / SCALE, 0.9375 / SCALE, 0.9375 / SCALE], rel=0.02)


@pytest.mark.parametrize("subject", [1, 2, 8, 13])
def test_labels_agree_with_each_other_and_the_image(subject: int) -> None:
    it = head(subject)
    brain, face, skin = (it.labels[name] for name in ("brain", "face", "skin"))
    assert not (brain & (face | skin)).any()
    assert 0.85e6 < brain.sum() * it.voxel_mm.prod() < 1.9e6  # mm3
    # the skin closes the head: nothing of the brain is reached from the air without crossing it
    air = ndimage.label(~skin)[0]
    assert not brain[air == air[tuple(np.argwhere(~skin)[0])]].any()
    # thin: no voxel lies deeper under the air than a few mm
    depth = ndimage.distance_transform_edt(solid(it), sampling=it.voxel_mm)
    assert np.percentile(depth[skin], 95) < 1.6 * it.voxel_mm.max()
    assert it.voxels[brain].mean() > 4 * it.voxels[air_of(it)].mean()
    assert np.bincount(ndimage.label(brain)[0][brain]).max() > 0.995 * brain.sum()
    assert (skin & face).sum() > 0.25 * face.sum()


@pytest.mark.parametrize("subject", [1, 2, 8])
def test_parts_of_the_face_are_where_they_belong(subject: int) -> None:
    it = head(subject)
    head_itself = solid(it)
    for name in ("ears", "eyes", "nose", "mouth"):
        assert it.labels[name].any()
        assert not (it.labels[name] & ~head_itself).any(), name
        assert not (it.labels[name] & it.labels["brain"]).any(), name
    centre = {name: np.argwhere(mask).mean(axis=0) * it.voxel_mm for name, mask in it.labels.items()}
    assert centre["eyes"][2] > centre["nose"][2] > centre["mouth"][2]
    assert centre["nose"][1] > centre["eyes"][1] + 8  # the nose stands out
    assert centre["ears"][1] < centre["eyes"][1] - 60
    litres = {name: mask.sum() * it.voxel_mm.prod() / 1e6 for name, mask in it.labels.items()}
    assert 0.015 < litres["eyes"] < 0.06  # two eyeballs of 7.5 ml, and their lids
    assert 0.004 < litres["nose"] < 0.03
    assert 0.004 < litres["mouth"] < 0.03
    for name in ("ears", "eyes"):
        sizes = [int(half.sum()) for half in halves(it, name)]
        assert min(sizes) > 0.7 * max(sizes), name
    for name in ("eyes", "nose", "mouth"):  # each is seen from the front: its skin belongs to it
        first = head_itself.shape[1] - 1 - head_itself[:, ::-1, :].argmax(axis=1)
        x, z = np.nonzero(head_itself.any(axis=1))
        seen = it.labels[name][x, first[x, z], z].sum() * it.voxel_mm[0] * it.voxel_mm[2]
        assert seen > 300, name  # mm2


def halves(head: Head, name: str) -> tuple[Mask, Mask]:
    """The left and the right half of a label, apart at the middle of the face."""
    middle = round(float(np.argwhere(head.labels["face"])[:, 0].mean()))
    return head.labels[name][:middle], head.labels[name][middle:]


def solid(head: Head) -> Mask:
    """The head without the air around it (openings closed)."""
    outside = ndimage.label(~head.labels["skin"])[0]
    corner = outside[0, -1, -1]
    return outside != corner


def air_of(head: Head) -> Mask:
    return ~ndimage.binary_dilation(solid(head), iterations=2)


@pytest.mark.parametrize("subject", [1, 2, 8])
def test_the_order_is_right_front_up(subject: int) -> None:
    it = head(subject)
    world = {
        name: (np.argwhere(m) @ it.affine[:3, :3].T + it.affine[:3, 3]).mean(axis=0) for name, m in it.labels.items()
    }
    assert np.abs(world["brain"]).max() < 35  # the origin is in the middle of the brain
    assert world["face"][1] - world["brain"][1] > 60
    assert world["brain"][2] - world["face"][2] > 40
    # The nose is the most forward of all and stands at the midline; the top of the head carries no face.
    depth = skin_depth(it)
    tip = np.unravel_index(np.nanargmax(depth), depth.shape)
    assert abs(tip[0] - it.voxels.shape[0] / 2) < 0.12 * it.voxels.shape[0]
    assert not it.labels["face"][:, :, it.voxels.shape[2] * 2 // 3 :].any()
    assert not it.labels["face"][:, : it.voxels.shape[1] // 2].any()


def test_left_and_right_are_not_mirrored() -> None:
    from refbench.datasets.phantom_person import draw_person
    from refbench.datasets.phantom_relief import X_MM, relief_of

    face = draw_person(0, 2).face
    relief = relief_of(face).height
    towards = np.sign(face.nose_bend)
    nose = relief[:, int((face.subnasale_z + 25 + 156) / 0.75)]
    middle = (np.abs(X_MM) < 20) & (X_MM != 0)
    assert np.sign((nose * X_MM)[middle].sum()) == towards


def test_sites_differ_in_noise_contrast_and_tissue() -> None:
    noise, ratio, level = {}, {}, {}
    for subject in (1, 2, 8):
        it = head(subject)
        air, brain, skin = air_of(it), it.labels["brain"], it.labels["skin"]
        white = np.percentile(it.voxels[brain], 80)
        noise[it.site] = float(it.voxels[air].std() / white)
        ratio[it.site] = float(np.median(it.voxels[skin]) / white)
        level[it.site] = float(white)
    assert set(noise) == {"Guys", "HH", "IOP"}
    assert noise["HH"] < noise["Guys"] < noise["IOP"]
    assert min(abs(a - b) for a, b in pairwise(sorted(ratio.values()))) > 0.01
    assert level["IOP"] < level["Guys"] < level["HH"]


def test_noise_is_rician() -> None:
    it = head(2)
    air = it.voxels[air_of(it)]
    assert air.mean() / air.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.03)  # Rayleigh in air


def test_two_sessions_look_more_alike_than_two_people() -> None:
    """Mean distance between face surfaces after they are brought to the same centre, rotation left as it is."""
    from scipy.spatial import cKDTree

    def between(a: Head, b: Head) -> float:
        p, q = face_points(a), face_points(b)
        p, q = p - p.mean(axis=0), q - q.mean(axis=0)
        for _ in range(12):  # iterated closest points, rigid
            near = q[cKDTree(q).query(p)[1]]
            centre_p, centre_q = p.mean(axis=0), near.mean(axis=0)
            u, _s, vt = np.linalg.svd((p - centre_p).T @ (near - centre_q))
            turn = vt.T @ np.diag([1, 1, np.linalg.det(vt.T @ u.T)]) @ u.T
            p = (p - centre_p) @ turn.T + centre_q
        return float(cKDTree(q).query(p)[0].mean() + cKDTree(p).query(q)[0].mean())

    returned = [int(s.subject[1:]) for s in cohort() if s.session == "2" and s.site != "IOP"][:5]
    same = [between(head(n), head(n, 2)) for n in returned]
    other = [between(head(a), head(b)) for a, b in pairwise(returned)]
    assert np.mean(same) < 0.9 * np.mean(other)


def test_a_session_moves_the_head_and_draws_other_noise() -> None:
    number = next(int(s.subject[1:]) for s in cohort() if s.session == "2")
    first, second = head(number), head(number, 2)
    assert not np.allclose(first.affine, second.affine)
    assert not np.array_equal(first.voxels, second.voxels)
    volumes = [h.labels["brain"].sum() for h in (first, second)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.02)


def test_some_noses_are_cut_by_the_edge_most_often_at_iop() -> None:
    cohort = Phantom(subjects=80, scale=0.2)
    cut = {}
    for site in IXI_SUBJECTS:
        heads = [cohort.load(scan) for scan in cohort.scans() if scan.site == site][:8]
        cut[site] = sum(bool(h.labels["face"][:, -1].any()) for h in heads)
    assert 0 < cut["IOP"] < 8
    assert cut["IOP"] > max(cut["Guys"], cut["HH"])


def test_importing_the_plugin_brings_no_heavy_package() -> None:
    code = (
        "import sys, refbench.datasets.phantom; print([m for m in ('scipy', 'torch', 'nibabel') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
