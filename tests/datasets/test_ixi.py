import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydantic import ValidationError

from refbench.datasets.ixi import IXI
from refbench.datasets.ixi_people import read_people
from refbench.errors import DataError

NAMES = ("IXI013-HH-1212-T1.nii.gz", "IXI002-Guys-0828-T1.nii.gz", "IXI035-IOP-0873-T1.nii.gz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "IXI013-HH-1212-T2.nii.gz", "IXI1-HH-1-T1.nii.gz", "IXI013-HH-1212-T1.json", "README.md"):
        (tmp_path / name).touch()
    return tmp_path


def test_names_say_subject_and_site(folder: Path) -> None:
    scans = IXI(path=folder).scans()
    assert [(scan.subject, scan.session, scan.site) for scan in scans] == [
        ("IXI002", "1", "Guys"),
        ("IXI013", "1", "HH"),
        ("IXI035", "1", "IOP"),
    ]
    assert [scan.files for scan in scans] == [(folder / name,) for name in sorted(NAMES)]
    assert not any(scan.facts for scan in scans)


def test_files_may_lie_in_a_folder_t1_with_the_table_beside_it(tmp_path: Path) -> None:
    (tmp_path / "T1").mkdir()
    for name in NAMES:
        (tmp_path / "T1" / name).touch()
    (tmp_path / "participants.csv").write_text("id,site,age,sex\nIXI013-HH-1212,HH,46.71,M\nIXI999-HH-0001,HH,1,F\n")
    facts = {scan.subject: dict(scan.facts) for scan in IXI(path=tmp_path).scans()}
    assert facts == {"IXI002": {}, "IXI013": {"age": 46.71, "sex": "M"}, "IXI035": {}}
    assert IXI(path=tmp_path / "T1").scans() == IXI(path=tmp_path).scans()


def test_a_table_that_is_named_goes_before_the_one_found(folder: Path, tmp_path: Path) -> None:
    (folder / "participants.csv").write_text("id,age\nIXI013-HH-1212,1\n")
    (folder / "mine.csv").write_text("id,age\nIXI013-HH-1212,2\n")
    assert IXI(path=folder, sites=("HH",)).scans()[0].facts == {"age": 1}
    assert IXI(path=folder, sites=("HH",), csv=folder / "mine.csv").scans()[0].facts == {"age": 2}
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read"):
        IXI(path=folder, csv=folder / "gone.csv").scans()


TABLE = """IXI_ID,"SEX_ID (1=m, 2=f)",HEIGHT,AGE
2,2,160,35.5
13,1,182,46.71
13,1,182,46.71
14,2,163,
14,2,163,34.25
35,1,170,50
35,2,170,51
999,1,0,
"""
PEOPLE = {
    "IXI002": {"sex": "F", "age": 35.5},
    "IXI013": {"sex": "M", "age": 46.71},
    "IXI014": {"sex": "F", "age": 34.25},
    "IXI035": {},
    "IXI999": {"sex": "M"},
}


def test_the_project_s_spreadsheet_as_csv(folder: Path) -> None:
    """Twice the same person, empty ages, somebody without a scan; and two rows that contradict each other."""
    (folder / "IXI.csv").write_text(TABLE)
    assert read_people(folder / "IXI.csv") == PEOPLE
    assert {scan.subject: dict(scan.facts) for scan in IXI(path=folder).scans()} == {
        "IXI002": {"age": 35.5, "sex": "F"},
        "IXI013": {"age": 46.71, "sex": "M"},
        "IXI035": {},
    }


def test_the_project_s_spreadsheet_as_it_is(folder: Path) -> None:
    pytest.importorskip("python_calamine")
    (folder.parent / "IXI.xls").write_bytes(Path(__file__).with_name("made_up_IXI.xls").read_bytes())
    assert read_people(folder.parent / "IXI.xls") == PEOPLE


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("IXI.csv", b"IXI_ID,AGE\n2,old\n", r"IXI\.csv: the age `old` is not a number"),
        ("IXI.csv", b"NAME,AGE\n2,3\n", r"IXI\.csv: no column `id` or `ixi_id`"),
        ("IXI.xls", b"<html>moved</html>", r"IXI\.xls: not a readable \.xls file"),
        ("IXI.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"IXI\.xls: not a readable \.xls file"),
    ],
)
def test_spreadsheets_that_cannot_be_used(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        IXI(path=folder).scans()


def test_sites_and_limit(folder: Path) -> None:
    assert [scan.site for scan in IXI(path=folder, sites=("IOP", "Guys")).scans()] == ["Guys", "IOP"]
    assert [scan.subject for scan in IXI(path=folder, limit=2).scans()] == ["IXI002", "IXI013"]
    assert [scan.subject for scan in IXI(path=folder, sites=("HH", "IOP"), limit=1).scans()] == ["IXI013"]
    for wrong in ({"sites": ("London",)}, {"sites": ()}, {"limit": 0}):
        with pytest.raises(ValidationError):
            IXI(path=folder, **wrong)


def test_a_site_without_files(folder: Path) -> None:
    (folder / NAMES[0]).unlink()
    with pytest.raises(DataError, match="no T1 file of the sites HH"):
        IXI(path=folder, sites=("HH",)).scans()


def test_two_files_of_one_subject(folder: Path) -> None:
    (folder / "IXI013-HH-9999-T1.nii").touch()
    both = (folder / NAMES[0], folder / "IXI013-HH-9999-T1.nii")
    sound, twice, also_sound = IXI(path=folder).scans()
    assert (sound.problem, also_sound.problem) == ("", "")
    assert twice.files == both
    assert twice.problem.startswith(f"{both[0]} and {both[1]} are both session 1 of subject IXI013. ")
    with pytest.raises(DataError, match="are both session 1 of subject IXI013"):
        IXI(path=folder, sites=("HH",)).scans()  # nobody else is left


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        IXI(path=tmp_path / "gone").scans()
    (tmp_path / "IXI013-HH-1212-T2.nii.gz").touch()
    with pytest.raises(DataError, match="no file is named like"):
        IXI(path=tmp_path).scans()


def test_a_head_carries_what_the_scan_says(folder: Path) -> None:
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / NAMES[0])
    dataset = IXI(path=folder, sites=("HH",))
    head = dataset.load(dataset.scans()[0])
    assert (head.subject, head.site, head.session) == ("IXI013", "HH", "1")
    np.testing.assert_array_equal(head.voxels, voxels)


def test_brain_regions_beside_the_heads_become_labels(tmp_path: Path) -> None:
    (tmp_path / "T1").mkdir()
    (tmp_path / "brain_regions").mkdir()
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "T1" / NAMES[0])
    regions = tmp_path / "brain_regions" / "IXI013-HH-1212-T1_regions.nii.gz"
    nib.save(nib.Nifti1Image((voxels > 30).astype(np.uint8) * 7, np.eye(4)), regions)
    dataset = IXI(path=tmp_path)
    assert dataset.label_names() == {"brain"}
    np.testing.assert_array_equal(dataset.load(dataset.scans()[0]).labels["brain"], voxels > 30)

    nib.save(nib.Nifti1Image(np.eye(12, 6, dtype=np.uint8).reshape(3, 4, 6), np.eye(4)), regions)
    with pytest.raises(DataError, match="lies on another grid than its head"):
        dataset.load(dataset.scans()[0])
    regions.unlink()
    with pytest.raises(DataError, match="no such file, and others of"):
        dataset.scans()


def test_without_brain_regions_there_is_no_label(folder: Path) -> None:
    assert IXI(path=folder).label_names() == frozenset()


def test_real_heads() -> None:
    path = Path(os.environ.get("REFBENCH_IXI", "../shared/ixi_hh_2mm"))
    if not path.is_dir():
        pytest.skip(f"real IXI heads are not at {path} (set REFBENCH_IXI)")
    dataset = IXI(path=path)
    scans = dataset.scans()
    assert len(scans) > 1
    assert {scan.site for scan in scans} == {"HH"}
    assert all(scan.facts["sex"] in ("M", "F") and 18 < float(scan.facts["age"]) < 100 for scan in scans)
    head = dataset.load(scans[0])
    assert nib.aff2axcodes(head.affine) == ("R", "A", "S")  # stored posterior, superior, right
    assert head.voxels.shape == (90, 120, 120)
    np.testing.assert_allclose(head.voxel_mm, 2, atol=1e-3)
    assert 1.0 < head.labels["brain"].sum() * 8e-6 < 2.0, "litres of brain"
