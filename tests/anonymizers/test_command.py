"""External tools, through stand-in programs that behave, and misbehave, as real ones do."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from refbench.anonymizers.command import Command
from refbench.errors import DataError, InvalidOutput
from refbench.types import Head

RNG = np.random.default_rng(0)


@pytest.fixture
def head() -> Head:
    voxels = np.random.default_rng(1).uniform(1, 200, (9, 10, 11)).astype(np.float32)
    return Head(voxels, np.diag([2.0, 1.5, 1.0, 1.0]))


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a program of that name and body, found on PATH."""

    def make(name: str, body: str) -> None:
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\nimport sys\nimport nibabel, numpy as np\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return make


HALF = """
image = nibabel.load(sys.argv[1])
voxels = image.get_fdata()
voxels[:, voxels.shape[1] // 2 :] = 0
nibabel.Nifti1Image(voxels.astype('f4'), image.affine).to_filename(sys.argv[2])
"""


def test_a_tool_that_works(head: Head, tool) -> None:
    tool("shave", HALF)
    released = Command(command="shave {input} {output}").anonymize(head, RNG)
    np.testing.assert_array_equal(released.voxels[:, :5], head.voxels[:, :5])
    assert not released.voxels[:, 5:].any()
    assert released.affine is head.affine


def test_a_tool_of_the_analyze_kind_with_a_folder_of_its_own(head: Head, tool) -> None:
    tool("mask_face", "import os; os.mkdir('maskface'); i = nibabel.load(sys.argv[1] + '.img');"
         "nibabel.Spm99AnalyzeImage(i.get_fdata().astype('f4'), i.affine)"
         ".to_filename('maskface/head_full_normfilter.img')")  # fmt: skip
    command = Command(command="mask_face head -a", input="head.img", output="maskface/head_full_normfilter.img")
    np.testing.assert_allclose(command.anonymize(head, RNG).voxels, head.voxels, rtol=1e-6)
    assert command.label("command") == "mask_face"


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("print('no face found'); sys.exit(4)", DataError, "exit code 4: no face found"),
        ("pass", DataError, "left no anonymized.nii.gz"),
        ("open(sys.argv[2], 'w').write('garbage')", InvalidOutput, "cannot be read"),
        ("nibabel.Nifti1Image(np.eye(3, dtype='f4'), np.eye(4)).to_filename(sys.argv[2])", InvalidOutput, "(3, 3)"),
        ("import time; time.sleep(60)", DataError, "ran past 0.05 minutes"),
    ],
)  # fmt: skip
def test_a_tool_that_fails_is_quoted(head: Head, tool, body: str, error: type[Exception], message: str) -> None:
    tool("bad", body)
    with pytest.raises(error) as caught:
        Command(command="bad {input} {output}", minutes=0.05).anonymize(head, RNG)
    assert message in str(caught.value)


def test_no_shell_reads_the_command(head: Head, tool, tmp_path: Path) -> None:
    tool("shave", HALF)
    Command(command=f"shave {{input}} {{output}} ; touch {tmp_path}/owned").anonymize(head, RNG)
    assert not (tmp_path / "owned").exists()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FREESURFER_HOME", raising=False)
    assert Command(command="mri_nowhere {input}").missing() == "mri_nowhere not found on PATH"
    assert "FREESURFER_HOME" in Command(command="cat $FREESURFER_HOME/face.gca").missing()


def test_the_version_of_the_tool_is_part_of_its_identity(tool) -> None:
    tool("versioned", "print('tool 1.2.3')")
    assert Command(command="versioned {input}", version_command="versioned --version").tool_versions() == {
        "versioned": "tool 1.2.3"
    }
