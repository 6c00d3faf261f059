from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from refbench import anonymizers
from refbench.anonymizers.registration import face_region, register, registration_versions, scored_face, warp
from refbench.anonymizers.template import template_brain, template_face, template_head
from refbench.errors import DataError, PluginError
from refbench.geometry import head_mask
from refbench.types import Affine, Head

Stub = Callable[[str], None]


@pytest.fixture
def niimath_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Puts a shell script in niimath's place."""

    def put(script: str) -> None:
        program = tmp_path / "niimath"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr("niimath.bin_path", program)

    return put


def _finds(matrix: Affine) -> str:
    return f"echo '{json.dumps({'fixed_to_moving': matrix.tolist()})}' > affine.json"


def test_a_failing_niimath_is_named_with_what_it_said(niimath_is: Stub, template: Head) -> None:
    niimath_is("echo 'out of luck' >&2; exit 3")
    with pytest.raises(DataError, match=r"niimath could not register template .*exit status 3.*out of luck"):
        register(template)


def test_a_niimath_that_leaves_no_file_is_an_error(niimath_is: Stub, template: Head) -> None:
    niimath_is("exit 0")
    with pytest.raises(DataError, match=r"exit status 0.*it said nothing"):
        register(template)


def test_a_missing_niimath_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Head
) -> None:
    monkeypatch.setattr("niimath.bin_path", tmp_path / "nothing-here")
    with pytest.raises(PluginError, match="pip install niimath"):
        register(template)


@pytest.mark.parametrize("scales", [(1, 1, 9), (0.1, 1, 1), (-1, 1, 1)])
def test_an_impossible_affine_is_an_error(niimath_is: Stub, template: Head, scales: tuple[float, ...]) -> None:
    niimath_is(_finds(np.diag([*scales, 1.0])))
    with pytest.raises(DataError, match="that no head has"):
        register(template)


@pytest.mark.parametrize(("voxel_mm", "expected_mm"), [(1.0, 6.0), (2.0, 6.0), (4.0, 12.0)])
def test_what_was_found_among_shrunk_millimetres_is_told_in_real_ones(
    niimath_is: Stub, voxel_mm: float, expected_mm: float
) -> None:
    found = np.diag([1.1, 0.9, 1.0, 1.0])
    found[:3, 3] = 6.0
    niimath_is(_finds(found))
    head = Head(np.ones((4, 4, 4), dtype=np.float32), np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0]))
    matrix = register(head)
    np.testing.assert_allclose(matrix[:3, :3], found[:3, :3])
    np.testing.assert_allclose(matrix[:3, 3], expected_mm)


def test_warping_onto_the_template_itself_changes_nothing(template: Head) -> None:
    brain = template_brain()
    np.testing.assert_allclose(warp(brain, template), brain.voxels, atol=1e-5)


def test_warping_follows_the_registration(template: Head) -> None:
    one_voxel_right = np.eye(4)
    one_voxel_right[:3, 3] = template.affine[:3, 0]
    moved = warp(template_brain(), replace(template, registration=one_voxel_right))
    np.testing.assert_allclose(moved[1:], template_brain().voxels[:-1], atol=1e-5)


def test_the_face_goes_on_beyond_the_templates_edges(template: Head) -> None:
    longer = np.pad(template.voxels, ((0, 0), (0, 10), (10, 0)))
    shift = np.eye(4)
    shift[2, 3] = -10
    face = face_region(replace(template, voxels=longer, affine=template.affine @ shift))
    np.testing.assert_allclose(face[:, :128, 0], face[:, :128, 10])
    np.testing.assert_allclose(face[:, -1, 10:], face[:, 127, 10:])


def test_the_face_region_is_between_0_and_1_and_spares_the_brain(template: Head) -> None:
    face = face_region(template)
    assert face.dtype == np.float32
    assert face.min() == 0
    assert face.max() == 1
    assert not ((face > 0.5) & (template_brain().voxels > 0.5)).any()


def test_the_scored_face_stays_near_the_skin(template: Head) -> None:
    head = head_mask(template.voxels, template.voxel_mm)
    face = face_region(template) > 0.5
    from_skin_mm = ndimage.distance_transform_edt(~head, sampling=template.voxel_mm)
    np.testing.assert_array_equal(scored_face(template), face & (from_skin_mm <= 5))


def test_a_volume_without_a_face_has_nothing_to_score(template: Head) -> None:
    assert not scored_face(replace(template, voxels=template.voxels[:, :60])).any()


def test_the_template_is_read_as_it_is_documented() -> None:
    assert template_head().voxels.shape == (88, 128, 128)
    assert set(np.unique(template_face().voxels)) == {0.0, 1.0}


def test_versions_name_program_and_atlas() -> None:
    assert set(registration_versions()) == {"niimath", "pydeface"}


def test_anonymizers_load_without_heavy_packages() -> None:
    modules = [file.stem for file in Path(anonymizers.__path__[0]).glob("[a-z]*.py")]
    code = "import sys, " + ", ".join(f"refbench.anonymizers.{name}" for name in modules)
    heavy = ("scipy", "torch", "nibabel", "skimage", "niimath", "pydeface", "deepbet")
    code += f"; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_head_moved_by_a_known_amount_is_found_there(real_head: Callable[[str], Head]) -> None:
    head = real_head("a")
    angle = np.deg2rad(8)
    motion = np.eye(4)
    motion[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    motion[:3, 3] = [6, -15, 10]
    expected = motion @ register(head)
    found = register(replace(head, affine=motion @ head.affine))
    face = template_face()
    points = np.argwhere(face.voxels > 0)[::10_000]
    points_mm = np.c_[points, np.ones(len(points))] @ face.affine.T
    error_mm = np.linalg.norm((points_mm @ (found - expected).T)[:, :3], axis=1)
    assert error_mm.mean() < 3
