"""Heads of a BIDS data set."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydantic import ValidationError

from refbench.datasets.bids import Bids
from refbench.errors import DataError
from refbench.plan import build_plan
from refbench.store import Store
from refbench.suite import load_suite

NAMES = (
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-02/ses-1/anat/sub-02_ses-1_acq-mprage_run-01_T1w.nii.gz",
    "sub-02/ses-2/anat/sub-02_ses-2_T1w.nii",
    "sub-10/anat/sub-10_rec-norm_T1w.nii.gz",
)
PASSED_OVER = (
    "derivatives/tool/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
    "sourcedata/sub-01/anat/sub-01_T1w.nii.gz",
    "code/sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/.sub-01_acq-hidden_T1w.nii.gz",
    "sub-01/.cache/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_T1w.json",
    "sub-01/anat/sub-01_T2w.nii.gz",
    "sub-01/anat/notes.nii.gz",
    "sub-03/anat/sub-03_T2w.nii.gz",
)


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., None]:
    def add(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return add


@pytest.fixture
def folder(tmp_path: Path, add: Callable[..., None]) -> Path:
    add(*NAMES, *PASSED_OVER)
    return tmp_path


def table(folder: Path, text: str) -> None:
    (folder / "participants.tsv").write_text(text.replace(" ", "\t"))


def sites(folder: Path, **params: Any) -> dict[str, str]:
    return {scan.subject: scan.site for scan in Bids(path=folder, **params).scans()}


def problems(folder: Path, **params: Any) -> dict[str, str]:
    """What is wrong, by subject."""
    return {scan.subject: scan.problem for scan in Bids(path=folder, **params).scans() if scan.problem}


def test_names_say_subject_and_session(folder: Path) -> None:
    scans = Bids(path=folder).scans()
    assert [(scan.subject, scan.session, scan.site) for scan in scans] == [
        ("01", "1", "site"),
        ("02", "1", "site"),
        ("02", "2", "site"),
        ("10", "1", "site"),
    ]
    assert [scan.files for scan in scans] == [(folder / name,) for name in NAMES]
    assert not any(scan.facts or scan.recipe for scan in scans)


def test_another_suffix(folder: Path) -> None:
    assert [scan.subject for scan in Bids(path=folder, suffix="T2w").scans()] == ["01", "03"]
    with pytest.raises(DataError, match=r"no image fits FLAIR; suffixes there: T1w, T2w"):
        Bids(path=folder, suffix="FLAIR").scans()


def test_of_several_images_entities_choose(folder: Path, add: Callable[..., None]) -> None:
    add("sub-10/anat/sub-10_run-2_T1w.nii.gz")
    (said,) = problems(folder).values()
    assert re.search(r"sub-10_rec-norm_T1w.* and .*run-2_T1w.* subject 10.*`entities: {rec: norm}`", said)
    add("sub-10/anat/sub-10_T1w.nii.gz")
    assert "`entities: {rec: null}`" in problems(folder)["10"]

    def chosen(**entities: Any) -> list[str]:
        return [scan.files[0].name for scan in Bids(path=folder, entities=entities).scans()]

    assert chosen(rec="norm") == ["sub-10_rec-norm_T1w.nii.gz"]
    assert chosen(run="2") == ["sub-10_run-2_T1w.nii.gz"]
    assert chosen(run=1) == ["sub-02_ses-1_acq-mprage_run-01_T1w.nii.gz"]
    assert [name[:6] for name in chosen(rec=None, run=None)] == ["sub-01", "sub-02", "sub-10"]
    assert chosen(ses=2) == ["sub-02_ses-2_T1w.nii"]
    with pytest.raises(DataError, match=r"no image fits T1w with \{'acq': 'gone'\}"):
        chosen(acq="gone")


def test_one_image_in_two_files(folder: Path, add: Callable[..., None]) -> None:
    add("sub-01/anat/sub-01_T1w.nii")
    assert [*problems(folder)] == ["01"]
    assert "are both of subject 01. Take one away" in problems(folder)["01"]


def test_sites_age_and_sex_from_the_table(folder: Path) -> None:
    rows = (
        "Participant_ID Age sex Site centre",
        "sub-01 34.5 F A x",
        "02 n/a M B y",
        "sub-10 89+ n/a A n/a",
        "sub-99 1 F n/a z",
    )
    table(folder, "\n".join(rows))
    scans = Bids(path=folder).scans()
    assert {scan.subject: (scan.site, dict(scan.facts)) for scan in scans} == {
        "01": ("A", {"age": 34.5, "sex": "F"}),
        "02": ("B", {"sex": "M"}),
        "10": ("A", {"age": 89}),
    }
    said = problems(folder, site_column="centre")
    assert [*said] == ["10"]
    assert said["10"].startswith(f"{folder / 'participants.tsv'}: no `centre` for subject 10. ")


def test_nobody_lands_silently_at_a_site(folder: Path) -> None:
    table(folder, "participant_id site\nsub-01 A\n")
    assert sites(folder) == {"01": "A", "02": "unknown", "10": "unknown"}
    assert [*problems(folder)] == ["02", "10"]
    assert [*problems(folder, sites=("A",))] == ["02", "10"], "they may be of that site, too"
    with pytest.raises(DataError, match=r"no `center` for subject 01\. .* The other 3 scan\(s\) cannot"):
        sites(folder, site_column="center")


def test_who_is_not_in_a_table_without_sites_has_no_age(folder: Path) -> None:
    table(folder, "participant_id age\nsub-01 30\n")
    assert set(sites(folder).values()) == {"site"}
    assert [dict(scan.facts) for scan in Bids(path=folder).scans()] == [{"age": 30}, {}, {}, {}]


def test_sites_from_labels(folder: Path) -> None:
    table(folder, "participant_id site\nsub-01 A\n")
    assert sites(folder, site_pattern=r"^(?P<site>\d)") == {"01": "0", "02": "0", "10": "1"}
    said = problems(folder, site_pattern=r"^(?P<site>0)")
    assert said == {"10": "subject 10: `site_pattern` finds no site in its label. Widen `site_pattern`."}


def test_sites_and_limit(folder: Path) -> None:
    table(folder, "participant_id site\nsub-01 A\nsub-02 B\nsub-10 A\n")
    assert sites(folder, sites=("A",)) == {"01": "A", "10": "A"}
    assert [(scan.subject, scan.session) for scan in Bids(path=folder, limit=2).scans()] == [
        ("01", "1"), ("02", "1"), ("02", "2")
    ]  # fmt: skip
    assert sites(folder, sites=("B", "A"), limit=1) == {"01": "A"}
    with pytest.raises(DataError, match=r"nobody of the site C; sites: A, B"):
        sites(folder, sites=("A", "C"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id site\nsub-01 A\n", "no column `participant_id`"),
        ("participant_id site\nsub-01 A\n01 B\n", "two rows for participant_id 01"),
        ("participant_id site\nn/a A\n", "has no participant_id"),
        ("participant_id age\nsub-01 old\n", "the age `old` is not a number"),
    ],
)
def test_tables_that_cannot_be_used(folder: Path, text: str, said: str) -> None:
    table(folder, text)
    with pytest.raises(DataError, match=said) as caught:
        sites(folder)
    assert str(folder / "participants.tsv") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sub-01/anat/sub-02_T1w.nii.gz", "lies in sub-01 and says sub-02"),
        ("sub-04/ses-1/anat/sub-04_T1w.nii.gz", "lies in ses-1 and says no ses-"),
        ("sub-04/anat/sub-04_ses-1_T1w.nii.gz", r"lies in no folder ses-\* and says ses-1"),
        ("sub-04/anat/run-1_T1w.nii.gz", "lies in sub-04 and says no sub-"),
    ],
)
def test_files_that_lie_wrong(folder: Path, add: Callable[..., None], name: str, said: str) -> None:
    add(name)
    with pytest.raises(DataError, match=said):
        Bids(path=folder).scans()


def test_a_visit_with_and_without_a_folder_of_its_own(folder: Path, add: Callable[..., None]) -> None:
    add("sub-02/anat/sub-02_T1w.nii.gz")
    assert "are both of session 1 of subject 02" in problems(folder)["02"]


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        Bids(path=tmp_path / "gone").scans()
    with pytest.raises(DataError, match="no image fits T1w; suffixes there: none"):
        Bids(path=tmp_path).scans()


def test_a_link_to_what_is_not_fetched(folder: Path) -> None:
    (folder / "sub-05/anat").mkdir(parents=True)
    (folder / "sub-05/anat/sub-05_T1w.nii.gz").symlink_to(folder / "annex")
    with pytest.raises(DataError, match=r"sub-05_T1w\.nii\.gz: links to a file that is not there"):
        Bids(path=folder).scans()


@pytest.mark.parametrize(
    "wrong",
    [
        {"suffix": "../T1w"},
        {"suffix": "*"},
        {"entities": {"acquisition": "mprage"}},
        {"site_pattern": "("},
        {"site_pattern": "x"},
        {"site_pattern": "(?P<site>.)", "site_column": "site"},
        {"sites": ()},
        {"limit": 0},
    ],
)
def test_parameters_that_make_no_sense(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Bids(path=tmp_path, **wrong)


def test_a_head_is_read(folder: Path) -> None:
    voxels = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / NAMES[2])
    dataset = Bids(path=folder, entities={"ses": 2})
    (scan,) = dataset.scans()
    head = dataset.load(scan)
    np.testing.assert_array_equal(head.voxels, voxels)
    assert (head.subject, head.session, head.site) == ("02", "2", "site")


def test_a_suite_is_planned_from_it(tmp_path: Path, add: Callable[..., None]) -> None:
    for person in range(6):
        add(name := f"data/sub-{person}/anat/sub-{person}_acq-a_T1w.nii.gz")
        (tmp_path / name).write_text(f"head {person}")
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "dataset: {bids: {path: data, entities: {acq: a, run: null}}}\n"
        "split: {test: 2, validation: 1}\nanonymizers: [blank]\nattackers: [none]\n"
    )
    plan = build_plan(load_suite(str(suite)), Store(tmp_path / "store"))
    assert sorted(planned.scan.subject for planned in plan.scans) == list("012345")
