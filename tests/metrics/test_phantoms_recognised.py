"""Phantoms who came twice: known by their faces, by nothing without them, and less the more these are blurred."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from refbench.datasets.phantom import Phantom
from refbench.metrics.identification.ranks import found_within, places
from refbench.metrics.recognizers.base import Faces
from refbench.metrics.recognizers.frame import Frame, build_frame
from refbench.metrics.recognizers.relief import face_of
from refbench.metrics.recognizers.surface import Surface
from refbench.types import Head

pytestmark = pytest.mark.slow

TRAINING, TESTED = 6, 14
Change = Callable[[Head], Head]


@pytest.fixture(scope="module")
def heads() -> tuple[list[Head], list[Head]]:
    """First and second visits."""
    phantom = Phantom(subjects=TRAINING + TESTED, sessions=2, scale=0.35)
    scans = phantom.scans()
    first, second = ([phantom.load(scan) for scan in scans if scan.session == visit] for visit in ("1", "2"))
    return first, second


@pytest.fixture(scope="module")
def frame(heads: tuple[list[Head], list[Head]]) -> Frame:
    return build_frame(heads[0][:TRAINING])


@pytest.fixture(scope="module")
def gallery(heads: tuple[list[Head], list[Head]], frame: Frame) -> Faces:
    return _faces(heads[0][TRAINING:], frame)


def _faces(heads: list[Head], frame: Frame) -> Faces:
    return Faces.of([face_of(head, frame) for head in heads])


def _rank_1(probes: list[Head], frame: Frame, gallery: Faces) -> float:
    matcher = Surface().fit(gallery, np.arange(len(gallery)), np.random.default_rng(0))
    similarity = matcher.similarity(_faces(probes, frame), gallery)
    return float(found_within(1, places(similarity, np.arange(len(gallery)))).mean())


def _hidden_region(head: Head) -> NDArray[np.bool_]:
    region: NDArray[np.bool_] = ndimage.binary_dilation(head.labels["face"], iterations=4)
    return region


def _blurred(strength_mm: float) -> Change:
    def change(head: Head) -> Head:
        region = _hidden_region(head)
        smooth = ndimage.gaussian_filter(head.voxels, strength_mm / head.voxel_mm)
        return head.with_voxels(np.where(region, smooth, head.voxels))

    return change


def _blank(head: Head) -> Head:
    return head.with_voxels(np.where(_hidden_region(head), np.float32(0), head.voxels))


def test_originals_of_another_visit_are_known(
    heads: tuple[list[Head], list[Head]], frame: Frame, gallery: Faces
) -> None:
    assert _rank_1(heads[1][TRAINING:], frame, gallery) >= 0.95


def test_without_a_face_they_are_known_by_chance_and_less_the_more_it_is_blurred(
    heads: tuple[list[Head], list[Head]], frame: Frame, gallery: Faces
) -> None:
    changes = (lambda head: head, _blurred(4), _blurred(10), _blank)
    rates = [_rank_1([change(head) for head in heads[1][TRAINING:]], frame, gallery) for change in changes]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]
    # The 95 % bound of what guessing gives: 4 of 14.
    assert rates[-1] <= 4 / TESTED


def test_another_brain_changes_no_similarity(
    heads: tuple[list[Head], list[Head]], frame: Frame, gallery: Faces
) -> None:
    probes = heads[1][TRAINING : TRAINING + 2]
    swapped = [_with_brain_of(probes[0], probes[1]), _with_brain_of(probes[1], probes[0])]
    matcher = Surface().fit(gallery, np.arange(len(gallery)), np.random.default_rng(0))
    before, after = (matcher.similarity(_faces(these, frame), gallery) for these in (probes, swapped))
    assert any((one.voxels != other.voxels).any() for one, other in zip(probes, swapped, strict=True))
    np.testing.assert_array_equal(before, after)


def _with_brain_of(head: Head, other: Head) -> Head:
    brain = head.labels["brain"]
    inside = other.voxels[other.labels["brain"]]
    voxels = np.array(head.voxels)
    voxels[brain] = np.resize(inside, np.count_nonzero(brain))
    return replace(head, voxels=voxels)
