"""Slices that an attacker made, put back into the head that they were cut from."""

from __future__ import annotations

import numpy as np
import pytest

from refbench.datasets.phantom import Phantom
from refbench.slicing import AXES, CutSlices, Plane, SliceOptions, cut
from refbench.stacking import stacked
from refbench.types import AnonymizedHead, Head, Mask


def _face(head: Head) -> Mask:
    return head.labels["face"]


def _release(head: Head) -> AnonymizedHead:
    voxels = np.array(head.voxels)
    voxels[_face(head)] = 0
    return AnonymizedHead.compare(head, head.with_voxels(voxels))


def _cut(head: Head, options: SliceOptions) -> tuple[AnonymizedHead, CutSlices]:
    release = _release(head)
    return release, cut(head, release, _face(head), options)


def _every_slice(head: Head, plane: Plane = "sagittal", **options: object) -> SliceOptions:
    voxel = float(head.voxel_mm[AXES[plane][0]])
    return SliceOptions.model_validate(
        {
            "count": 2 * max(head.voxels.shape),
            "spacing_mm": voxel,
            "size": 96,
            "percentile": 100,
            "plane": plane,
            **options,
        }
    )


def test_what_an_attacker_gives_back_in_full_is_the_original(head: Head) -> None:
    options = _every_slice(head)
    release, slices = _cut(head, options)
    again = stacked(release.head, slices.anonymized, slices.original, slices.geometry["white"], options)
    white = slices.geometry["white"]
    darker = head.voxels < white
    assert np.abs(again.voxels - head.voxels)[darker].max() < 1e-3 * white


@pytest.mark.parametrize(
    ("plane", "pixel_mm"), [("axial", None), ("coronal", None), ("sagittal", 3.5)]
)  # pixels of another size than the voxels: each way of interpolation takes a little
def test_slices_of_other_planes_and_pixels_find_their_places(head: Head, plane: Plane, pixel_mm: float | None) -> None:
    options = _every_slice(head, plane, pixel_mm=pixel_mm)
    release, slices = _cut(head, options)
    white = slices.geometry["white"]
    again = stacked(release.head, slices.anonymized, slices.original, white, options)
    before = np.abs(np.minimum(head.voxels, white) - release.head.voxels)[release.changed].mean()
    after = np.abs(np.minimum(head.voxels, white) - again.voxels)[release.changed].mean()
    assert after < 0.25 * before


def test_where_nothing_was_changed_the_release_stays_to_the_bit(head: Head) -> None:
    options = SliceOptions(count=5, size=48, spacing_mm=8)
    release, slices = _cut(head, options)
    made = slices.anonymized.copy()
    made[:, :24] += 0.1
    again = stacked(release.head, slices.anonymized, made, slices.geometry["white"], options)
    same = again.voxels == release.head.voxels
    assert not same.all()
    assert same[: slices.geometry["columns"][0]].all()
    assert same[slices.geometry["columns"][-1] + 1 :].all()
    untouched = stacked(release.head, slices.anonymized, slices.anonymized, slices.geometry["white"], options)
    assert untouched is release.head


def test_between_slices_what_was_changed_is_interpolated(head: Head) -> None:
    voxel = float(head.voxel_mm[0])
    options = SliceOptions(count=3, size=96, spacing_mm=4 * voxel)
    release, slices = _cut(head, options)
    made = slices.anonymized.copy()
    made[1] += 0.5
    white = slices.geometry["white"]
    added = stacked(release.head, slices.anonymized, made, white, options).voxels - release.head.voxels
    middle = slices.geometry["columns"][1]
    peak = added[middle].max()
    assert peak == pytest.approx(0.5 * white, rel=1e-3)
    assert [added[middle + step].max() / peak for step in (-4, -2, 2, 4)] == pytest.approx([0, 0.5, 0.5, 0], abs=1e-3)


@pytest.fixture(scope="module")
def head() -> Head:
    phantom = Phantom(subjects=1, scale=0.2)
    return phantom.load(phantom.scans()[0])
