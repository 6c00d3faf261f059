"""Whether an anonymization worked, on heads whose skin is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from synthetic_heads import BRAIN_MM, distance, front, grid, picture, synthetic_head

from refbench.anonymizers.face_surface import FacialSkin, facial_skin
from refbench.anonymizers.registration import face_region
from refbench.anonymizers.verdict import Verdict, judge, skin_left
from refbench.types import AnonymizedHead, Head, Outcome, Voxels

HEAD = synthetic_head()
SKIN = facial_skin(HEAD, HEAD.labels)


def verdict(voxels: Voxels, outcome: Outcome = "ok", note: str = "", skin: FacialSkin = SKIN) -> Verdict:
    released = AnonymizedHead.compare(HEAD, HEAD.with_voxels(voxels.astype(np.float32)), outcome, note)
    return judge(HEAD, skin, HEAD.labels["brain"], "dataset", released)


def removed() -> Voxels:
    points, _ = grid()
    return np.where(front(points, 4), 0, HEAD.voxels).astype(np.float32)


def with_brain_changed(voxels: Voxels, depth_mm: float) -> Voxels:
    """One voxel of the brain changed, so far below the brain's surface at its front."""
    points, _ = grid()
    at = np.linalg.norm(points - np.reshape([0, BRAIN_MM - depth_mm, 0], (3, 1, 1, 1)), axis=0).argmin()
    changed = voxels.copy()
    changed.flat[at] += 5
    return changed


def moved(head: Head, by_mm: float) -> Voxels:
    """The head with its skin everywhere further out, to a fraction of a voxel."""
    points, _ = grid(tuple(head.voxel_mm))
    return picture(distance(points) - by_mm)


def test_what_is_released_unchanged_is_all_there() -> None:
    outcome, note, figures = verdict(HEAD.voxels)
    assert outcome == "face left"
    assert note == "face left: nose 100 %, face 100 % of the skin within 1 mm"
    assert figures.skin_left == figures.nose_left == figures.face_left == 1
    assert figures.eyes_left is None
    assert figures.mouth_left is None
    assert figures.ears_left is None
    assert figures.changed == figures.changed_voxels == figures.brain_changed == 0


def test_a_removed_face_is_ok() -> None:
    outcome, note, figures = verdict(removed())
    assert (outcome, note) == ("ok", "")
    assert figures.skin_left is not None
    assert figures.skin_left < 0.02
    assert figures.changed_voxels == (removed() != HEAD.voxels).sum()
    assert figures.changed == pytest.approx(figures.changed_voxels / HEAD.voxels.size)


@settings(max_examples=12, deadline=None)
@given(st.floats(-0.6, 0.6))
def test_skin_moved_by_less_than_a_millimetre_is_left(by_mm: float) -> None:
    assert skin_left(SKIN, HEAD.with_voxels(moved(HEAD, by_mm))).mean() > 0.95


@settings(max_examples=12, deadline=None)
@given(st.floats(1.4, 5), st.sampled_from([-1, 1]))
def test_skin_moved_further_is_not(by_mm: float, way: int) -> None:
    assert skin_left(SKIN, HEAD.with_voxels(moved(HEAD, way * by_mm))).mean() < 0.03


@pytest.mark.parametrize("voxel_mm", [(3.0, 2.0, 2.0), (2.0, 2.0, 3.0), (1.5, 3.0, 2.5)])
def test_millimetres_count_not_voxels(voxel_mm: tuple[float, float, float]) -> None:
    head = synthetic_head(voxel_mm)
    skin = facial_skin(head, head.labels)
    assert skin_left(skin, head.with_voxels(moved(head, 0.5))).mean() > 0.95
    assert skin_left(skin, head.with_voxels(moved(head, 3))).mean() < 0.05


@pytest.mark.parametrize(("air", "tissue"), [(200.0, 700.0), (-400.0, 0.0)])
def test_the_scale_and_the_background_do_not_matter(air: float, tissue: float) -> None:
    head = synthetic_head(air=air, tissue=tissue)
    skin = facial_skin(head, head.labels)
    points, _ = grid()
    half = front(points, 4) & (points[0] > 0)
    shares = []
    for original, its_skin, level in ((HEAD, SKIN, 0.0), (head, skin, air)):
        left = skin_left(its_skin, original.with_voxels(np.where(half, level, original.voxels).astype(np.float32)))
        shares.append(its_skin.area[left].sum() / its_skin.area.sum())
    assert shares[0] == pytest.approx(shares[1], abs=0.02)
    assert shares[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flipped_grid_gives_the_same_share(axis: int) -> None:
    points, _ = grid()
    partly = np.where(front(points) & (points[0] > 10), 0, HEAD.voxels).astype(np.float32)
    straight = verdict(partly).figures
    flip = np.eye(4)
    flip[axis, axis], flip[axis, 3] = -1, HEAD.voxels.shape[axis] - 1
    head = replace(
        HEAD,
        voxels=np.flip(HEAD.voxels, axis),
        affine=HEAD.affine @ flip,
        labels={name: np.flip(label, axis) for name, label in HEAD.labels.items()},
    )
    released = AnonymizedHead.compare(head, head.with_voxels(np.flip(partly, axis)))
    flipped = judge(head, facial_skin(head, head.labels), head.labels["brain"], "dataset", released).figures
    assert flipped.skin_left == pytest.approx(straight.skin_left, abs=0.01)
    assert flipped.nose_left == pytest.approx(straight.nose_left, abs=0.01)


def test_skin_behind_a_mask_is_not_seen() -> None:
    points, _ = grid()
    shell = picture(np.where(front(points, 8), distance(points) - 8, distance(points)))
    figures = verdict(shell).figures
    assert figures.skin_left is not None
    assert figures.skin_left < 0.1


def test_specks_where_the_skin_was_do_not_count() -> None:
    rng = np.random.default_rng(0)
    specked = removed()
    face = np.argwhere(HEAD.labels["face"])
    x, y, z = face[rng.choice(len(face), 40, replace=False)].T
    specked[x, y, z] = 100
    figures = verdict(specked).figures
    assert figures.skin_left is not None
    assert figures.skin_left < 0.05


def test_the_more_blur_the_less_is_left() -> None:
    points, _ = grid()
    shares = [
        verdict(
            np.where(front(points, 8), ndimage.gaussian_filter(HEAD.voxels, sigma / 2), HEAD.voxels)
        ).figures.skin_left
        for sigma in (1, 2, 4, 8)
    ]
    kept = [share for share in shares if share is not None]
    assert len(kept) == 4
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > 0.9
    assert kept[-1] < 0.2


def test_a_label_of_the_brain_counts_to_the_last_voxel() -> None:
    outcome, note, figures = verdict(with_brain_changed(removed(), depth_mm=1))
    assert outcome == "brain cut"
    assert figures.brain_changed == 1
    assert note == f"brain cut: 1 of {figures.brain_voxels} brain voxels changed"


@pytest.mark.parametrize(("depth_mm", "changed"), [(1, 0), (7, 1)])
def test_the_rim_of_an_estimated_brain_may_change(depth_mm: float, changed: int) -> None:
    released = AnonymizedHead.compare(HEAD, HEAD.with_voxels(with_brain_changed(removed(), depth_mm)))
    outcome, _, figures = judge(HEAD, SKIN, HEAD.labels["brain"], "deepbet", released)
    assert figures.brain_changed == changed
    assert outcome == ("brain cut" if changed else "ok")


def test_of_two_findings_the_worse_is_the_outcome_and_both_are_said() -> None:
    outcome, note, _ = verdict(with_brain_changed(HEAD.voxels, depth_mm=20))
    assert outcome == "brain cut"
    assert note.startswith("brain cut: 1 of ")
    assert "; face left: nose 100 %" in note


@pytest.mark.parametrize(
    ("claim", "voxels", "expected"),
    [
        ("failed", removed, "failed"),
        ("face left", removed, "face left"),
        ("no face found", removed, "no face found"),
        ("no face found", lambda: HEAD.voxels, "face left"),
        ("face left", lambda: with_brain_changed(removed(), 20), "brain cut"),
    ],
)
def test_a_claim_stands_unless_the_figures_are_worse(
    claim: Outcome, voxels: Callable[[], Voxels], expected: Outcome
) -> None:
    outcome, note, _ = verdict(voxels(), claim, "the tool said so")
    assert outcome == expected
    assert f"{claim}: the tool said so" in note


def test_what_had_no_face_before_is_not_called_anonymized() -> None:
    outcome, note, figures = verdict(removed(), skin=replace(SKIN, found=0.12))
    assert (outcome, note) == ("no face found", "no face found: only 12 % of a face's skin is there")
    assert figures.face_found == 0.12


def test_a_release_without_any_tissue_has_no_skin_left() -> None:
    assert verdict(np.zeros_like(HEAD.voxels)).figures.skin_left == 0


def test_figures_are_plain_numbers() -> None:
    figures = verdict(removed()).figures
    assert json.loads(json.dumps(figures.as_dict())) == figures.as_dict()


@pytest.mark.slow
def test_a_real_face_fades_with_the_blur(real_head: Callable[[str], Head], registered: Callable[[Head], Head]) -> None:
    head = registered(real_head("a"))
    skin, face = facial_skin(head), face_region(head) > 0.5
    nobody = np.zeros(head.voxels.shape, bool)

    def parts(voxels: Voxels) -> list[float]:
        released = AnonymizedHead.compare(head, head.with_voxels(voxels.astype(np.float32)))
        figures = judge(head, skin, nobody, "deepbet", released).figures
        return [figures.nose_left or 0, figures.eyes_left or 0, figures.mouth_left or 0]

    rows = [
        parts(np.where(face, ndimage.gaussian_filter(head.voxels, mm / head.voxel_mm), head.voxels)) for mm in (2, 4, 8)
    ]
    assert parts(head.voxels) == [1, 1, 1]
    assert (np.diff(rows, axis=0) < 0).all()
    assert max(parts(np.where(face, 0, head.voxels))) < 0.02
