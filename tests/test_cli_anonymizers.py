"""The commands about anonymizers, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import Workplace

from refbench.anonymizers.template import template_head


@pytest.fixture
def head_file(tmp_path: Path) -> Path:
    """The face template's own head, every other voxel of it, as a scanner might have stored it."""
    head = template_head()
    file = tmp_path / "head.nii.gz"
    image = nib.Nifti1Image(np.round(head.voxels[::2, ::2, ::2]).astype(np.int16), head.affine @ np.diag([2, 2, 2, 1]))
    nib.save(image.as_reoriented(nib.orientations.axcodes2ornt("PIR")), file)
    return file


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("mask_fase", "did you mean 'mask_face'?"),
        ("blur: {strength_mm: -1}", "strength_mm: Input should be greater than 0"),
        ("blur: {strength_mm: [1, 2]}", "one value per parameter"),
        ("command: {command: 'no_such_tool {input} {output}'}", "no_such_tool not found on PATH"),
        ("command: {preset: fsl_deface}", "fsl_deface not found on PATH; part of FSL"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(workplace: Workplace, head_file: Path, method: str, said: str) -> None:
    result = workplace.refbench("anonymize", head_file, "out.nii.gz", "--with", method)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (workplace.folder / "out.nii.gz").exists()


def test_an_input_that_is_not_there(workplace: Workplace) -> None:
    result = workplace.refbench("anonymize", "gone.nii", "out", "--with", "blank")
    assert result.returncode == 2
    assert "gone.nii: no such file or folder" in result.stderr


@pytest.mark.slow
def test_one_head_and_the_same_once_more(workplace: Workplace, head_file: Path) -> None:
    result = workplace.refbench("anonymize", head_file, "out/released.nii.gz", "--with", "mri_deface")
    assert (result.returncode, result.stderr) == (0, "")
    assert "1 head(s): 1 ok; 0 done before" in result.stdout
    before, after = nib.load(head_file), nib.load(workplace.folder / "out" / "released.nii.gz")
    assert after.header == before.header
    changed = np.asarray(before.dataobj) != np.asarray(after.dataobj)
    mask = nib.load(workplace.folder / "out" / "released_changed.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, changed)
    assert changed.any()
    record = json.loads((workplace.folder / "out" / "released_anonymized.json").read_text())
    assert record["outcome"] == "ok"
    assert record["figures"]["skin_left"] < 0.05

    again = workplace.refbench("anonymize", head_file, "out/released.nii.gz", "--with", "mri_deface")
    assert "1 done before" in again.stdout

    twice = workplace.refbench("anonymize", "out/released.nii.gz", "twice.nii.gz", "--with", "mri_deface")
    assert twice.returncode == 3
    assert "no face found" in twice.stderr
    assert not (workplace.folder / "twice.nii.gz").exists()


def test_pictures_of_people_are_drawn_only_on_request(workplace: Workplace) -> None:
    workplace.refbench("run", workplace.suite("anonymizers: [smear]\nattackers: [none]\nregions: [whole]"))
    refused = workplace.refbench("qc")
    assert refused.returncode == 2
    assert "--faces" in refused.stderr
    drawn = workplace.refbench("qc", "--faces")
    assert drawn.returncode == 0, drawn.stderr
    assert (workplace.run_folder() / "qc" / "01_smear.png").exists()
