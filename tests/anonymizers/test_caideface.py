"""caideface: on a made-up template, and with the real one where its wheel lies."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from refbench.anonymizers import caideface
from refbench.anonymizers.brain import grown
from refbench.anonymizers.caideface import FACE_MASK, TEMPLATE, Caideface, read_volumes, register_brain
from refbench.anonymizers.registration import scored_face
from refbench.anonymizers.template import template_brain, template_face_mask
from refbench.errors import DataError, PluginError
from refbench.geometry import air_level
from refbench.types import AnonymizedHead, Head

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFBENCH_CAIDEFACE", raising=False)
    monkeypatch.setattr(caideface, "find_spec", lambda name: None)


@pytest.fixture
def head(template: Head) -> Head:
    return replace(template, voxels=template.voxels + 40, registration=None, brain=template_brain().voxels > 0.5)


@pytest.fixture
def made_up(tmp_path: Path, template: Head) -> Path:
    """A folder with a template and a mask like caideface's: the face template's own brain and face."""
    stripped = template.voxels * template_brain().voxels
    nib.Nifti1Image(stripped, template.affine).to_filename(tmp_path / TEMPLATE)
    face = template_face_mask()
    nib.Nifti1Image((face.voxels < 0.5).astype(np.uint8), face.affine).to_filename(tmp_path / FACE_MASK)
    return tmp_path


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """The real wheel."""
    monkeypatch.undo()
    given = os.environ.get("REFBENCH_CAIDEFACE")
    if not given:
        pytest.skip("caideface's wheel not found (set REFBENCH_CAIDEFACE to it: pip download --no-deps caideface)")
    return Path(given)


def test_the_face_becomes_air_and_the_dilated_brain_stays(head: Head, made_up: Path) -> None:
    before = head.voxels.copy()
    released = Caideface(data=made_up).anonymize(head, RNG)
    assert isinstance(released, Head)
    changed = released.voxels != head.voxels
    assert (released.voxels[changed] == air_level(head.voxels)).all()
    nose, forehead, neck = (44, 112, 36), (44, 115, 75), (44, 40, 10)
    assert changed[nose]
    assert not changed[forehead]
    assert not changed[neck]
    assert not changed[grown(head.brain, head.voxel_mm, 14)].any()
    np.testing.assert_array_equal(head.voxels, before)
    assert released.voxels.dtype == np.float32


def test_the_head_may_lie_elsewhere(head: Head, made_up: Path) -> None:
    template = read_volumes(made_up).brain
    turn = np.radians(15)
    move = np.eye(4)
    move[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    move[:3, 3] = 200, -30, 90
    moved = replace(head, affine=move @ head.affine)
    found = register_brain(moved, head.brain, template)
    corner = np.array([0, 110, -60, 1])  # of the face, in the template's mm
    assert np.linalg.norm(found @ corner - move @ corner) < 3


def test_a_brain_that_does_not_fit_is_an_error(head: Head, made_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = read_volumes(made_up).brain
    with pytest.raises(DataError, match="is empty"):
        register_brain(head, np.zeros_like(head.brain), template)
    monkeypatch.setattr(caideface, "allineate", lambda moving, fixed, name: np.diag([0.5, 0.5, 0.5, 1]))
    with pytest.raises(DataError, match="Check that the volume is a whole head"):
        register_brain(head, head.brain, template)


def test_a_volume_without_a_face_says_so(head: Head, made_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caideface, "register_brain", lambda head, brain, template: np.eye(4))
    air = nib.load(made_up / FACE_MASK)
    nib.Nifti1Image(np.ones(air.shape, np.uint8), air.affine).to_filename(made_up / FACE_MASK)
    result = Caideface(data=made_up).anonymize(head, RNG)
    assert isinstance(result, AnonymizedHead)
    assert result.outcome == "no face found"
    assert not result.changed.any()


def test_a_wheel_is_read_as_it_is(made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "caideface-0.4.0-py3-none-any.whl"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in (TEMPLATE, FACE_MASK):
            archive.write(made_up / name, f"caideface/data/{name}")
    from_folder, from_wheel = Caideface(data=made_up), Caideface(data=packed)
    assert from_wheel.missing() == ""
    assert from_wheel.tool_versions() == from_folder.tool_versions()
    assert set(from_wheel.tool_versions()) == {"deepbet", "niimath", "caideface"}
    np.testing.assert_array_equal(read_volumes(packed).face.voxels, read_volumes(made_up).face.voxels)
    monkeypatch.setenv("REFBENCH_CAIDEFACE", str(packed))
    assert Caideface().tool_versions() == from_wheel.tool_versions()
    assert from_wheel.label("caideface") == f"caideface(data={packed.name})"


def test_what_is_missing_is_said(head: Head, tmp_path: Path) -> None:
    assert "pip download --no-deps caideface" in Caideface().missing()
    assert "REFBENCH_CAIDEFACE" in Caideface().missing()
    assert Caideface().tool_versions() == {}
    assert "not found in" in Caideface(data=tmp_path / "nowhere.whl").missing()
    (tmp_path / "bad.whl").write_text("no archive")
    assert "not found in" in Caideface(data=tmp_path / "bad.whl").missing()
    with pytest.raises(PluginError, match="pip download"):
        Caideface().anonymize(head, RNG)


def test_damaged_volumes_are_named(head: Head, made_up: Path) -> None:
    (made_up / TEMPLATE).write_bytes(b"no volume")
    with pytest.raises(PluginError, match=f"{TEMPLATE}.*cannot be read"):
        Caideface(data=made_up).anonymize(head, RNG)


@pytest.mark.slow
def test_faces_go_and_brains_stay(ixi_heads: list[Head], wheel: Path, prepared: Callable[[Head], Head]) -> None:
    for head in ixi_heads:
        marked = prepared(head).with_voxels(head.voxels + 1)
        released = Caideface(data=wheel).anonymize(marked, RNG)
        assert isinstance(released, Head)
        changed = released.voxels != marked.voxels
        assert not changed[head.labels["brain"]].any(), head.subject
        skin = scored_face(marked) & (marked.voxels > air_level(marked.voxels) + 5)
        assert changed[skin].mean() > 0.7, head.subject
