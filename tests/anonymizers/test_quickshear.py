from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refbench.anonymizers.quickshear import Quickshear, beyond, shear_plane
from refbench.anonymizers.registration import warp
from refbench.anonymizers.template import template_brain
from refbench.errors import DataError
from refbench.types import Affine, AnonymizedHead, Head, Mask


def points_mm(shape: tuple[int, ...], affine: Affine) -> np.ndarray:
    """The voxel centres: float64 (x, y, z, 3)."""
    return np.stack(np.indices(shape), axis=-1) @ affine[:3, :3].T + affine[:3, 3]


def ellipsoid(shape: tuple[int, ...], affine: Affine, radii: tuple[float, float, float], pitch: float = 0) -> Mask:
    """An ellipsoid of these radii in mm about the origin, nodding by `pitch` degrees."""
    turned = points_mm(shape, affine) @ Rotation.from_euler("x", pitch, degrees=True).as_matrix()
    inside: Mask = ((turned / radii) ** 2).sum(axis=-1) < 1
    return inside


def centred(shape: tuple[int, int, int], voxel_mm: tuple[float, float, float], turn: Rotation | None = None) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = (turn.as_matrix() if turn else np.eye(3)) * voxel_mm
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def shorn_by_the_program(brain: Mask, affine: Affine, buffer_voxels: float) -> Mask:
    program = pytest.importorskip("quickshear")
    ones = nib.Nifti1Image(np.ones(brain.shape, dtype=np.uint8), affine)
    done = program.quickshear(ones, nib.Nifti1Image(brain.astype(np.uint8), affine), buffer_voxels)
    return np.asarray(done.dataobj) == 0


@pytest.mark.filterwarnings("ignore:.*2-dimensional vectors:DeprecationWarning")
@settings(max_examples=10, deadline=None)
@given(
    edge_mm=st.sampled_from([0.7, 1.0, 2.0]),
    radii=st.tuples(st.integers(8, 15), st.integers(12, 22), st.integers(8, 20)),
    pitch=st.integers(-30, 30),
    buffer=st.integers(0, 12),
)
def test_on_cubes_of_voxels_the_cut_is_the_program_s(
    edge_mm: float, radii: tuple[int, int, int], pitch: float, buffer: int
) -> None:
    shape = (48, 48, 48)  # on others the program goes wrong
    affine = centred(shape, (edge_mm,) * 3)
    brain = ellipsoid(shape, affine, tuple(edge_mm * radius for radius in radii), pitch)  # type: ignore[arg-type]
    theirs = shorn_by_the_program(brain, affine, buffer)
    head = Head(np.ones(shape, dtype=np.float32), affine)
    ours = beyond(shear_plane(brain, affine), buffer * edge_mm, head)
    # A cut is given by its height in every column.
    assert np.abs(ours.sum(axis=2) - theirs.sum(axis=2)).max() <= 1


@pytest.mark.filterwarnings("ignore:.*2-dimensional vectors:DeprecationWarning")
def test_on_flat_voxels_the_program_misses_part_of_the_cut() -> None:
    shape, affine = (30, 60, 24), np.diag([1.0, 1.0, 2.5, 1.0])
    brain = np.zeros(shape, dtype=bool)
    brain[5:25, 3:30, 12:20] = True
    released = Quickshear(buffer_mm=10).anonymize(
        Head(np.ones(shape, dtype=np.float32), affine, brain=brain), np.random.default_rng(0)
    )
    assert isinstance(released, Head)
    ours, theirs = released.voxels == 0, shorn_by_the_program(brain, affine, 4)
    assert not (ours | theirs)[brain].any()
    # From the front it goes back as many columns as there are slices, and leaves the rest of the cut.
    assert theirs[:, -24:, :8].all()
    assert not theirs[:, :-24].any()
    assert ours[:, 31:, :8].all()


@settings(max_examples=10, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-30, 30)] * 3),
    voxel_mm=st.tuples(*[st.floats(1.0, 3.0)] * 3),
)
def test_on_any_grid_the_plane_holds_the_left_right_axis_and_touches_the_brain(
    angles: tuple[float, float, float], voxel_mm: tuple[float, float, float]
) -> None:
    shape = (48, 60, 48)
    radii = (16.0, 21.0, 15.0)
    affine = centred(shape, voxel_mm, Rotation.from_euler("xyz", angles, degrees=True))
    brain = ellipsoid(shape, affine, radii)
    plane = shear_plane(brain, affine)
    coarse = max(voxel_mm)
    assert plane.front == pytest.approx(21, abs=2 * coarse)
    assert plane.rise < 0
    above = points_mm(shape, affine)[brain] @ [0, plane.rise, 1] - plane.height - plane.rise * plane.front
    across_mm = above / np.hypot(1, plane.rise)
    assert 0 < across_mm.min() < 2 * coarse, "no brain lies beyond it, and none could be nearer"
    head = Head(np.ones(shape, dtype=np.float32), affine)
    np.testing.assert_array_equal(
        beyond(plane, 3, head),
        points_mm(shape, affine) @ [0, plane.rise, 1] < plane.height + plane.rise * plane.front - 3,
    )


def test_a_moved_head_gets_its_plane_moved() -> None:
    shape = (40, 48, 40)
    affine = centred(shape, (1.5, 1.5, 1.5))
    brain = ellipsoid(shape, affine, (20, 25, 18))
    moved = affine.copy()
    moved[:3, 3] += [5, -30, 12.25]
    before, after = shear_plane(brain, affine), shear_plane(brain, moved)
    np.testing.assert_allclose(np.subtract(after, before), [-30, 12.25, 0], atol=1e-6)


def test_a_larger_buffer_cuts_less(template: Head) -> None:
    cut = []
    for buffer_mm in (0, 10, 20):
        released = Quickshear(buffer_mm=buffer_mm, brain="template").anonymize(template, np.random.default_rng(0))
        assert isinstance(released, Head)
        cut.append((released.voxels != template.voxels).sum())
    assert cut[0] > cut[1] > cut[2] > 0


def test_the_face_goes_and_the_brain_stays(template: Head) -> None:
    before = template.voxels.copy()
    template.voxels.setflags(write=False)
    anonymizer = Quickshear(brain="template")
    released = anonymizer.anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    changed = released.voxels != before
    brain = warp(template_brain(), template) > 0.5
    assert not changed[brain].any()
    assert (released.voxels[changed] == 0).all()
    np.testing.assert_array_equal(template.voxels, before)
    nose = np.s_[40:48, -12:, 22:40]
    assert (released.voxels[nose] == 0).all()
    assert anonymizer.needs() == {"registration"}
    assert Quickshear().needs() == {"brain"}


def test_a_brain_at_the_bottom_of_the_volume_says_no_face(template: Head) -> None:
    brain = np.zeros(template.voxels.shape, dtype=bool)
    brain[20:60, 20:, :60] = True
    result = Quickshear().anonymize(replace(template, brain=brain), np.random.default_rng(0))
    assert isinstance(result, AnonymizedHead)
    assert result.outcome == "no face found"


def test_an_empty_brain_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        shear_plane(np.zeros((10, 10, 10), dtype=bool), np.eye(4))


def test_a_flat_brain_has_a_plane_all_the_same() -> None:
    brain = np.zeros((10, 10, 10), dtype=bool)
    brain[:, 5] = True
    assert shear_plane(brain, np.eye(4)).rise < 0
