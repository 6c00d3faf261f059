"""mri_deface: the native backend on the template and real people, FreeSurfer's through a stand-in program."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refbench.anonymizers.brain import grown
from refbench.anonymizers.mri_deface import MriDeface
from refbench.anonymizers.registration import face_region, scored_face
from refbench.anonymizers.template import template_brain
from refbench.errors import DataError, InvalidOutput
from refbench.types import AnonymizedHead, Head

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_freesurfer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FREESURFER_HOME", raising=False)


@pytest.fixture
def head(template: Head) -> Head:
    """The template's head with its own brain, raised so that 0 is nowhere."""
    return replace(template, voxels=template.voxels + 1, brain=template_brain().voxels > 0.5)


@pytest.fixture
def freesurfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Installs a stand-in: a program of that body, the two atlases and the stamp."""

    def install(body: str) -> Path:
        home = tmp_path / "freesurfer"
        (home / "average").mkdir(parents=True)
        (home / "build-stamp.txt").write_text("freesurfer-linux-ubuntu22_x86_64-7.4.1-20230614-7eb8460\n")
        for name in ("talairach_mixed_with_skull.gca", "face.gca"):
            (home / "average" / name).write_text(name)
        program = tmp_path / "mri_deface"
        program.write_text(f"#!{sys.executable}\nimport sys, pathlib\nimport nibabel\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setenv("FREESURFER_HOME", str(home))
        return home

    return install


LIKE_THE_ORIGINAL = """
head, brain, face, out = sys.argv[1:]
assert brain.endswith("talairach_mixed_with_skull.gca") and face.endswith("face.gca")
assert pathlib.Path(brain).is_file() and pathlib.Path(face).is_file()
image = nibabel.load(head)
voxels = image.get_fdata()
voxels[:, voxels.shape[1] // 2 :] = 0
nibabel.Nifti1Image(voxels.astype("f4"), image.affine).to_filename(out)
"""


def test_face_ears_and_deep_structures_go_and_nothing_else_changes(head: Head) -> None:
    before = head.voxels.copy()
    released = MriDeface().anonymize(head, RNG)
    assert isinstance(released, Head)
    near_brain = grown(head.brain, head.voxel_mm, 6)
    gone = released.voxels == 0
    assert gone[(face_region(head) > 0.5) & ~near_brain].all()
    nasal_cavity, ear, neck, skull = (44, 85, 35), (5, 55, 35), (44, 40, 10), (44, 115, 75)
    assert gone[nasal_cavity]
    assert gone[ear]
    assert not gone[neck]
    assert not gone[skull]
    assert not gone[near_brain].any()
    np.testing.assert_array_equal(released.voxels[~gone], head.voxels[~gone])
    np.testing.assert_array_equal(head.voxels, before)
    assert released.voxels.dtype == np.float32


def test_a_wider_margin_keeps_more(head: Head) -> None:
    narrow, wide = (MriDeface(margin_mm=margin).anonymize(head, RNG) for margin in (0, 20))
    assert isinstance(narrow, Head)
    assert isinstance(wide, Head)
    assert ((narrow.voxels == 0) | (wide.voxels != 0)).all()
    assert (wide.voxels == 0).sum() < (narrow.voxels == 0).sum()


def test_the_template_brain_needs_no_network(head: Head) -> None:
    light = MriDeface(brain="template")
    assert light.needs() == {"registration"}
    assert set(light.tool_versions()) == {"niimath", "pydeface"}
    released = light.anonymize(replace(head, brain=None), RNG)
    expected = MriDeface().anonymize(head, RNG)
    assert isinstance(released, Head)
    assert isinstance(expected, Head)
    np.testing.assert_array_equal(released.voxels, expected.voxels)


def test_a_memory_map_may_be_read_only(head: Head, tmp_path: Path) -> None:
    np.save(tmp_path / "voxels.npy", head.voxels)
    mapped = replace(head, voxels=np.load(tmp_path / "voxels.npy", mmap_mode="r"))
    released, expected = MriDeface().anonymize(mapped, RNG), MriDeface().anonymize(head, RNG)
    assert isinstance(released, Head)
    assert isinstance(expected, Head)
    np.testing.assert_array_equal(released.voxels, expected.voxels)


def test_a_volume_without_a_face_says_so(head: Head) -> None:
    back = replace(head, voxels=head.voxels[:, :60], brain=head.brain[:, :60])
    result = MriDeface().anonymize(back, RNG)
    assert isinstance(result, AnonymizedHead)
    assert result.outcome == "no face found"
    assert not result.changed.any()


def test_the_label_says_which_backend_runs(freesurfer: Callable[[str], Path]) -> None:
    assert MriDeface().label("mri_deface") == "mri_deface [native]"
    assert MriDeface(margin_mm=8).label("mri_deface") == "mri_deface(margin_mm=8) [native]"
    assert MriDeface(backend="freesurfer").label("mri_deface") == "mri_deface [FreeSurfer]"
    freesurfer(LIKE_THE_ORIGINAL)
    assert MriDeface().label("mri_deface") == "mri_deface [FreeSurfer 7.4.1]"
    assert MriDeface(backend="native").label("mri_deface") == "mri_deface [native]"


def test_the_original_runs_where_it_is_installed(head: Head, freesurfer: Callable[[str], Path]) -> None:
    home = freesurfer(LIKE_THE_ORIGINAL)
    original = MriDeface()
    assert original.missing() == ""
    assert original.needs() == frozenset()
    released = original.anonymize(head, RNG)
    assert isinstance(released, Head)
    assert not released.voxels[:, 64:].any()
    np.testing.assert_array_equal(released.voxels[:, :64], head.voxels[:, :64])
    versions = dict(original.tool_versions())
    assert versions["mri_deface"] == "FreeSurfer 7.4.1"
    other = home / "mine.gca"
    other.write_text("another atlas")
    mine = MriDeface(face_atlas=other).tool_versions()
    assert mine["face.gca"] != versions["face.gca"]
    assert mine["talairach_mixed_with_skull.gca"] == versions["talairach_mixed_with_skull.gca"]


def test_without_a_stamp_the_program_tells_its_version(freesurfer: Callable[[str], Path]) -> None:
    (freesurfer("print('mri_deface freesurfer 6.0.1')") / "build-stamp.txt").unlink()
    assert MriDeface().label("mri_deface") == "mri_deface [FreeSurfer 6.0.1]"


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("print('could not open gca'); sys.exit(2)", DataError, "could not open gca"),
        ("print('done')", DataError, "left no volume"),
        ("pathlib.Path(sys.argv[4]).write_text('garbage')", InvalidOutput, "mri_deface"),
    ],
)
def test_failures_of_the_original_are_quoted(
    head: Head, freesurfer: Callable[[str], Path], body: str, error: type[Exception], message: str
) -> None:
    freesurfer(body)
    with pytest.raises(error, match=message):
        MriDeface(backend="freesurfer").anonymize(head, RNG)


def test_what_the_original_lacks_is_said(freesurfer: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = MriDeface(backend="freesurfer")
    assert "mri_deface not found on PATH: install FreeSurfer" in wanted.missing()
    assert wanted.tool_versions() == {}
    assert MriDeface().missing() == ""
    home = freesurfer(LIKE_THE_ORIGINAL)
    (home / "average" / "face.gca").unlink()
    assert "face.gca not found" in wanted.missing()
    assert MriDeface().label("mri_deface") == "mri_deface [native]"
    monkeypatch.delenv("FREESURFER_HOME")
    assert "FREESURFER_HOME is not set" in wanted.missing()


@pytest.mark.slow
def test_faces_go_and_brains_stay(ixi_heads: list[Head], prepared: Callable[[Head], Head]) -> None:
    for head in ixi_heads:
        # Raised by one, so that air set to 0 counts as changed.
        marked = prepared(head).with_voxels(head.voxels + 1)
        released = MriDeface(backend="native").anonymize(marked, RNG)
        assert isinstance(released, Head)
        changed = released.voxels != marked.voxels
        assert not changed[head.labels["brain"]].any(), head.subject
        assert changed[scored_face(marked)].mean() > 0.98, head.subject
