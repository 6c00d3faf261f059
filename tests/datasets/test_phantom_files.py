"""A phantom cohort written as a BIDS data set."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from refbench.datasets.bids import Bids
from refbench.datasets.nifti import read_label
from refbench.datasets.phantom import Phantom
from refbench.datasets.phantom_files import FACES, VISITS, write_cohort
from refbench.datasets.phantom_person import draw_person
from refbench.datasets.phantom_protocol import scanner_parameters
from refbench.errors import DataError

COHORT = Phantom(subjects=2, sessions=2, scale=0.2, scanners="varied")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("written")
    write_cohort(COHORT.model_dump(), place, jobs=2)
    return place


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_bids_dataset_reads_what_was_written(folder: Path) -> None:
    written, made = Bids(path=folder).scans(), COHORT.scans()
    assert [(s.subject, s.session, s.site, s.facts) for s in written] == [
        (s.subject, s.session, s.site, s.facts) for s in made
    ]
    head, truth = Bids(path=folder).load(written[0]), COHORT.load(made[0])
    assert np.abs(head.voxels - truth.voxels).max() <= 0.501
    np.testing.assert_allclose(head.affine, truth.affine, atol=1e-4)
    for name, mask in truth.labels.items():
        file = folder / "derivatives/labels/sub-P001/ses-1/anat" / f"sub-P001_ses-1_label-{name}_mask.nii.gz"
        np.testing.assert_array_equal(read_label(file, head), mask)
        assert nib.load(file).get_data_dtype() == np.uint8


@pytest.mark.slow
def test_truth_stands_beside_the_heads(folder: Path) -> None:
    faces, visits = rows(folder / FACES), rows(folder / VISITS)
    assert [row["subject"] for row in faces] == ["P001", "P002"]
    for name, value in asdict(draw_person(0, 2).face).items():
        assert float(faces[1][name]) == value
    assert float(faces[1]["atrophy"]) == draw_person(0, 2).atrophy
    assert [(row["subject"], row["session"]) for row in visits] == [(s.subject, s.session) for s in COHORT.scans()]
    for name, value in scanner_parameters(COHORT.scans()[-1].recipe).items():
        assert float(visits[-1][name]) == value


@pytest.mark.slow
def test_one_process_and_two_write_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_cohort(COHORT.model_dump(), tmp_path / "new", progress=lambda done, total: told.append((done, total)))
    one, two = (
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (tmp_path / "new", folder)
    )
    assert one == two
    assert len(one) == 4 * 8 + 7
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds something already"):
        write_cohort(COHORT.model_dump(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(DataError, match=r"notes\.txt: cannot be made"):
        write_cohort(COHORT.model_dump(), tmp_path / "notes.txt")
