"""What `refbench anonymize` makes of a BIDS data set, and the sidecars of whatever it releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from refbench import __version__
from refbench.anonymize_head import HeadRecord
from refbench.bids_derivative import check_place, describe, description
from refbench.errors import RefbenchError
from refbench.nifti_tree import HeadFile, head_files
from refbench.sidecar import sidecar

RECORD = HeadRecord(
    "sub-01/anat/sub-01_T1w.nii.gz",
    "shade(level=60)",
    outcome="ok",
    note="",
    released=True,
    figures={"skin_left": 0.25},
    params={"level": 60, "atlas": "atlas.nii"},
    tools={"shader": "2.1"},
    seed=3,
)
SECRET = {
    "PatientName": "Doe^Jane",
    "PatientID": "0815",
    "AcquisitionDateTime": "2020-01-02T03:04:05",
    "SeriesDescription": "Jane's head",
    "DeviceSerialNumber": "4711",
    "StationName": "MR1",
    "InstitutionName": "St. Elsewhere",
    "ImageComments": "seen by Dr. Who",
    "StudyInstanceUID": "1.2.3",
}


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Two images without voxels: only names matter here."""
    root = tmp_path / "heads"
    for name in ("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-1_acq-a_run-1_echo-1_T1w.nii"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    return root


def relative(file: HeadFile, out: Path) -> list[str]:
    return [path.relative_to(out).as_posix() for path in (file.out, file.sidecar, file.mask, file.record)]


def test_names_of_a_derivative(data_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = head_files(data_set, out).files
    assert relative(first, out) == [
        "sub-01/anat/sub-01_desc-anonymized_T1w.nii.gz",
        "sub-01/anat/sub-01_desc-anonymized_T1w.json",
        "sub-01/anat/sub-01_mod-T1w_desc-anonymized_defacemask.nii.gz",
        "sub-01/anat/sub-01_desc-anonymized_T1w_anonymized.json",
    ]
    stem = "sub-02/ses-1/anat/sub-02_ses-1_acq-a_run-1"
    assert relative(second, out)[::2] == [
        f"{stem}_echo-1_desc-anonymized_T1w.nii",
        f"{stem}_mod-T1w_echo-1_desc-anonymized_defacemask.nii.gz",
    ]


def test_a_derivative_made_anonymous_once_more_keeps_its_images_apart(data_set: Path, tmp_path: Path) -> None:
    (data_set / "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz").touch()
    (data_set / "sub-01/anat/mine_T1w.nii.gz").touch()
    names = {file.source.name: file.out.name for file in head_files(data_set, tmp_path / "out").files}
    assert names["sub-01_T1w.nii.gz"] == "sub-01_desc-anonymized_T1w.nii.gz"
    assert names["sub-01_desc-preproc_T1w.nii.gz"] == "sub-01_desc-preprocAnonymized_T1w.nii.gz"
    assert names["mine_T1w.nii.gz"] == "mine_T1w.nii.gz"  # no BIDS name: it stays what it is


def test_the_data_set_is_described(data_set: Path, tmp_path: Path) -> None:
    (data_set / "dataset_description.json").write_text(
        json.dumps({"Name": "Cohort", "BIDSVersion": "1.8.0", "Authors": ["Dr. Who"], "EthicsApprovals": ["St. E."]})
    )
    out = tmp_path / "elsewhere" / "out"
    describe(data_set, out, RECORD, "anonymized.csv")
    told = json.loads((out / "dataset_description.json").read_text())
    assert told["Name"] == "Cohort, faces hidden by shade(level=60)"
    assert told["DatasetType"] == "derivative"
    assert told["DatasetLinks"] == {"raw": "../heads"}
    assert told["SourceDatasets"] == [{"URL": "../heads"}]
    assert told["GeneratedBy"][0] == {
        "Name": "refbench", "Version": __version__, "Description": "refbench anonymize: shade(level=60)"
    }  # fmt: skip
    assert told["GeneratedBy"][1]["Parameters"] == {"level": 60, "atlas": "atlas.nii"}
    assert told["GeneratedBy"][1]["Version"] == "shader 2.1"
    assert not {"Authors", "EthicsApprovals"} & set(told)
    assert str(tmp_path) not in json.dumps(told)
    assert (out / ".bidsignore").read_text() == "*_anonymized.json\nanonymized.csv\n"
    assert json.loads((out / "defacemask.json").read_text())["SkullStripped"] is False
    check_place(out)  # it is ours: the same command goes on


@pytest.mark.parametrize("text", ["{", "[]", '{"Name": 1}', '{"Name": ""}'])
def test_a_source_that_says_nothing_of_use(data_set: Path, text: str) -> None:
    (data_set / "dataset_description.json").write_text(text)
    assert description(data_set, RECORD)["Name"] == "Heads, faces hidden by shade(level=60)"


def test_a_source_is_known_by_its_doi(data_set: Path) -> None:
    (data_set / "dataset_description.json").write_text('{"DatasetDOI": "doi:10.1/x"}')
    told = description(data_set, RECORD)
    assert (told["DatasetLinks"], told["SourceDatasets"]) == ({"raw": "doi:10.1/x"}, [{"DOI": "doi:10.1/x"}])


@pytest.mark.parametrize("text", ["{", "{}", '{"GeneratedBy": [{"Name": "fMRIPrep"}]}', '{"GeneratedBy": "refbench"}'])
def test_no_other_data_set_is_written_into(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset_description.json").write_text(text)
    with pytest.raises(RefbenchError, match="belongs to another data set"):
        check_place(tmp_path)


def told_of(data_set: Path, out: Path, record: HeadRecord = RECORD) -> dict[str, Any]:
    return sidecar(head_files(data_set, out).files[0], record)


def test_a_sidecar_says_how_the_face_was_hidden(data_set: Path, tmp_path: Path) -> None:
    told = told_of(data_set, tmp_path / "out")
    assert told["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert told["SkullStripped"] is False
    assert told["DeidentificationMethod"] == [f"refbench {__version__}", "shade(level=60)", "outcome: ok"]
    assert told["DeidentificationMethodCodeSequence"][0]["CodeValue"] == "113102"
    assert told["Anonymization"]["Parameters"] == {"level": 60, "atlas": "atlas.nii"}
    assert told["Anonymization"]["ToolVersions"] == {"shader": "2.1"}


def test_a_face_that_is_left_is_never_called_cleaned(data_set: Path, tmp_path: Path) -> None:
    told = told_of(data_set, tmp_path / "out", HeadRecord("a", "identity", outcome="face left", note="", released=True))
    assert "DeidentificationMethodCodeSequence" not in told
    assert told["DeidentificationMethod"][-1] == "outcome: face left"


def test_of_the_acquisition_only_what_tells_nothing_of_the_person(data_set: Path, tmp_path: Path) -> None:
    known = {"EchoTime": 0.003, "Manufacturer": "Acme", "ScanOptions": ["FS", "PFP"], "PartialFourier": 1}
    odd = {"FlipAngle": float("nan"), "BodyPart": "x" * 65, "MTState": None, "ScanningSequence": {"PatientName": "Doe"}}
    (data_set / "sub-01/anat/sub-01_T1w.json").write_text(json.dumps(SECRET | known | odd))
    told = told_of(data_set, tmp_path / "out")
    assert known.items() <= told.items()
    assert not (set(SECRET) | set(odd)) & set(told)
    assert not any(str(value) in json.dumps(told) for value in SECRET.values())


def test_a_damaged_sidecar_costs_no_release(data_set: Path, tmp_path: Path) -> None:
    (data_set / "sub-01/anat/sub-01_T1w.json").write_text("{")
    assert "DeidentificationMethod" in told_of(data_set, tmp_path / "out")


def test_a_head_outside_of_bids_has_a_sidecar_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "jane.nii.gz").touch()
    (tmp_path / "jane.json").write_text('{"EchoTime": 0.003, "PatientName": "Jane"}')
    (file,) = head_files(tmp_path / "jane.nii.gz", tmp_path / "out").files
    told = sidecar(file, RECORD)
    assert file.sidecar == tmp_path / "out" / "jane.json"
    assert told["EchoTime"] == 0.003
    assert not {"Sources", "PatientName"} & set(told)
