"""Tools of other people, installed and run as their users run them."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from refbench.anonymizers.command import Command
from refbench.anonymizers.registration import warp
from refbench.anonymizers.template import template_brain, template_face_mask
from refbench.types import Head

RNG = np.random.default_rng(0)

FLIRT = """#!{python} -IS
# FSL's flirt, as pydeface calls it, by another program that registers.
import os, sys
words = dict(zip(sys.argv[1:], sys.argv[2:] + [""]))
register = ["-applymat", words["-init"]] if "-applyxfm" in words else ["-savemat", words["-omat"]]
call = ["niimath", words["-in"], "-allineate", words["-ref"], *register, words["-out"]]
os.execv({niimath!r}, call)
"""


@pytest.fixture(autouse=True)
def our_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of the packages that this Python has."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def head(template: Head) -> Head:
    """The template's own head, with its brain."""
    return replace(template, brain=template_brain().voxels > 0.5)


def test_quickshear(head: Head) -> None:
    command = Command(preset="quickshear")
    assert command.missing() == ""
    assert command.tool_versions()["quickshear"] == version("quickshear")
    released = command.anonymize(head, RNG)
    cut = (released.voxels == 0) & (head.voxels != 0)
    np.testing.assert_array_equal(released.voxels[~cut], head.voxels[~cut])
    face = template_face_mask().voxels[::2, ::2, ::2] > 0.5
    assert head.brain is not None
    assert not cut[head.brain].any()
    assert cut[face & (head.voxels > 100)].mean() > 0.5
    assert cut.any(axis=(1, 2))[2:-2].all(), "the plane goes from side to side"


def test_niimath_as_any_command(head: Head, tmp_path: Path) -> None:
    import nibabel
    from niimath import bin_path

    for name, atlas in (("template.nii", head), ("mask.nii", template_face_mask())):
        voxels = atlas.voxels if name == "template.nii" else 1 - atlas.voxels
        nibabel.Nifti1Image(voxels, atlas.affine).to_filename(tmp_path / name)
    command = Command(
        command=f"{bin_path} {{input}} -deface {tmp_path}/template.nii {tmp_path}/mask.nii {{output}}",
        version_command=str(bin_path),
    )
    assert command.label("command") == "niimath"
    assert "v1.0" in command.tool_versions()["niimath"]
    released = command.anonymize(head, RNG)
    removed_as_the_mask_says(head, released)


@pytest.mark.slow
def test_pydeface_on_another_registration(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from niimath import bin_path

    (tmp_path / "bin").mkdir()
    for name, text in (("flirt", FLIRT.format(python=sys.executable, niimath=str(bin_path))), ("fsl", "#!/bin/sh\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("FSLDIR", str(tmp_path))
    monkeypatch.setenv("FSLOUTPUTTYPE", "NIFTI_GZ")
    monkeypatch.setenv("NO_ET", "1")
    command = Command(preset="pydeface")
    assert command.missing() == ""
    assert command.tool_versions() == {"pydeface": f"pydeface {version('pydeface')}"}
    removed_as_the_mask_says(head, command.anonymize(head, RNG))


def removed_as_the_mask_says(head: Head, released: Head) -> None:
    """Nearly all under the face mask is gone, and all well outside it, the brain before all, is as it was."""
    face = warp(template_face_mask(), head)
    skin = head.voxels > 100
    assert (released.voxels[(face > 0.99) & skin] == 0).mean() > 0.95
    assert head.brain is not None
    np.testing.assert_array_equal(released.voxels[head.brain], head.voxels[head.brain])
    assert (released.voxels != head.voxels)[(face < 0.01) & skin].mean() < 0.01
