from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydantic import ValidationError

from refbench.datasets.folder import Folder
from refbench.errors import DataError

BIDS = r"sub-(?P<subject>[^_/]+)_(ses-(?P<session>[^_/]+)_)?.*T1w"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def who(dataset: Folder) -> list[tuple[str, str, str]]:
    return [(scan.subject, scan.session, scan.site) for scan in dataset.scans()]


def test_each_file_is_a_subject_in_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.nii", "a.nii.gz", ".a.nii.gz", "._b.nii", "notes.txt", "deeper/c.nii.gz")
    scans = Folder(path=tmp_path).scans()
    assert [(scan.subject, scan.session, scan.site) for scan in scans] == [("a", "1", "site"), ("b", "1", "site")]
    assert [scan.files for scan in scans] == [(tmp_path / "a.nii.gz",), (tmp_path / "b.nii",)]
    assert all(not scan.recipe and not scan.facts for scan in scans)


def test_scans_are_listed_without_opening_them(tmp_path: Path) -> None:
    dataset = Folder(path=touch(tmp_path, "broken.nii.gz"))
    (scan,) = dataset.scans()
    with pytest.raises(DataError, match="not a NIfTI"):
        dataset.load(scan)


def test_a_pattern_names_subject_session_and_site(tmp_path: Path) -> None:
    touch(
        tmp_path, "oslo/sub-02/sub-02_ses-b_T1w.nii.gz", "oslo/sub-02/sub-02_ses-a_T1w.nii.gz", "bergen/sub-01_T1w.nii"
    )
    touch(tmp_path, "oslo/sub-02/sub-02_ses-b_T2w.nii.gz")
    dataset = Folder(path=tmp_path, glob="**/*T1w.nii*", pattern=f"(?P<site>[^/]+)/.*{BIDS}")
    assert who(dataset) == [("01", "1", "bergen"), ("02", "a", "oslo"), ("02", "b", "oslo")]


def test_a_relative_path_starts_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "heads/a.nii")
    monkeypatch.chdir(tmp_path)
    (scan,) = Folder(path="heads").scans()
    assert scan.files == (tmp_path / "heads/a.nii",)


def test_links_keep_their_own_names(tmp_path: Path) -> None:
    touch(tmp_path, "annex/MD5-s12-0123.nii")
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads/a.nii").symlink_to(tmp_path / "annex/MD5-s12-0123.nii")
    assert who(Folder(path=tmp_path / "heads")) == [("a", "1", "site")]


def test_a_head_carries_what_the_scan_says(tmp_path: Path) -> None:
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a_HH_2.nii.gz")
    dataset = Folder(path=tmp_path, pattern="(?P<subject>.)_(?P<site>..)_(?P<session>.)")
    head = dataset.load(dataset.scans()[0])
    assert (head.subject, head.site, head.session) == ("a", "HH", "2")
    np.testing.assert_array_equal(head.voxels, voxels)


def test_a_table_by_subject_overrides_the_names(tmp_path: Path) -> None:
    touch(tmp_path, "oslo_a.nii", "oslo_b.nii")
    csv = write(tmp_path / "t.csv", "\ufeffSubject, Site,age,sex,hand\nb,bergen,30.5,F,left\na,,n/a,\nunseen,x,9,M\n")
    scans = Folder(path=tmp_path, pattern="(?P<site>.*)_(?P<subject>.)", csv=csv).scans()
    assert [(scan.subject, scan.site, dict(scan.facts)) for scan in scans] == [
        ("a", "oslo", {}),
        ("b", "bergen", {"age": 30.5, "sex": "F"}),
    ]


def test_a_table_by_subject_and_session(tmp_path: Path) -> None:
    touch(tmp_path, "a1.nii", "a2.nii")
    csv = write(tmp_path / "t.tsv", "session\tsubject\tage\n2\ta\t31\n1\ta\t30\n")
    scans = Folder(path=tmp_path, pattern="(?P<subject>.)(?P<session>.)", csv=csv).scans()
    assert [scan.facts["age"] for scan in scans] == [30, 31]


def test_a_table_by_file_says_everything(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.nii", "x/2.nii", "y/3.nii", "y/t2.txt")
    csv = write(
        tmp_path / "t.csv",
        "file,subject,session,site,age\nx/1.nii,anna,1,oslo,30\nx/2.nii,anna,2,,\n3.nii,bert,,bergen,\ny/t2.txt,anna,9,,\n",
    )
    assert who(Folder(path=tmp_path, glob="**/*.nii", csv=csv)) == [
        ("anna", "1", "oslo"),
        ("anna", "2", "site"),
        ("bert", "1", "bergen"),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "no column `file` or `subject`; its columns are: none"),
        ("who,site\na,x\n", "its columns are: who, site"),
        ("subject,age\na,old\nb,3\n", "age `old` is not a number"),
        ("subject,age\nx,3\n", r"no row for .*a\.nii .* The other 1 scan\(s\) cannot be used either"),
        ("subject,age\na,3\nb,4\na,5\n", "two rows for subject a"),
        ("subject,age\na,3\nb,4\n,5\n", "has no subject"),
        ("file,site\na.nii,x\nb.nii,x\nc.nii,x\n", "names the file c.nii"),
        ("file,subject\na.nii,x\nb.nii,x\n", r"a\.nii and .*b\.nii are both session 1 of subject x"),
        ('subject,age\n"a,3\n', "not a comma-separated text"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, table: str, message: str) -> None:
    touch(tmp_path, "a.nii", "b.nii")
    with pytest.raises(DataError, match=message):
        Folder(path=tmp_path, csv=write(tmp_path / "t.csv", table)).scans()


def test_who_has_no_row_is_excluded_and_nobody_else(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "b.nii", "c.nii")
    csv = write(tmp_path / "t.csv", "subject,site\na,x\nc,y\n")
    found = {scan.subject: (scan.site, scan.problem) for scan in Folder(path=tmp_path, csv=csv).scans()}
    said = f"{csv}: no row for {tmp_path / 'b.nii'} (subject b, session 1). Add it, or narrow `glob`."
    assert found == {"a": ("x", ""), "b": ("site", said), "c": ("y", "")}


def test_a_table_that_is_missing_or_no_text(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii")
    with pytest.raises(DataError, match=r"t\.csv: cannot be read"):
        Folder(path=tmp_path, csv=tmp_path / "t.csv").scans()
    (tmp_path / "t.csv").write_bytes(b"subject\n\xff\xfe\n")
    with pytest.raises(DataError, match="not a comma-separated text in UTF-8"):
        Folder(path=tmp_path, csv=tmp_path / "t.csv").scans()


def test_two_files_for_one_session_are_both_named(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.nii", "y/a.nii.gz")
    with pytest.raises(DataError, match=r"x/a\.nii and .*y/a\.nii\.gz are both session 1 of subject a"):
        Folder(path=tmp_path, glob="**/*.nii*").scans()
    touch(tmp_path, "x/b.nii", "z/a.nii")
    twice, once = Folder(path=tmp_path, glob="**/*.nii*").scans()
    assert [file.parent.name for file in twice.files] == ["x", "y", "z"]
    assert "are both session 1 of subject a" in twice.problem
    assert (once.subject, once.problem) == ("b", "")


@pytest.mark.parametrize("pattern", ["sub-(?P<subject>.)", "(?P<subject>x*)"])
def test_a_file_that_the_pattern_does_not_cover(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "a.nii")
    with pytest.raises(DataError, match=r"a\.nii: `pattern` finds no subject"):
        Folder(path=tmp_path, pattern=pattern).scans()


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        Folder(path=tmp_path / "gone").scans()
    with pytest.raises(DataError, match=r"no file fits `\*\.nii\*`"):
        Folder(path=tmp_path).scans()
    for glob in ("/etc/*", "../*"):
        with pytest.raises(DataError, match="leaves the folder"):
            Folder(path=tmp_path, glob=glob).scans()
    (tmp_path / "a.nii").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"a\.nii: links to a file that is not there"):
        Folder(path=tmp_path).scans()


@pytest.mark.parametrize(
    "parameters",
    [
        {"glob": ""},
        {"pattern": "("},
        {"pattern": "(?P<site>.*)"},
        {"pattern": "(?P<subject>.)(?P<scanner>.)"},
        {"unknown": 1},
    ],
)
def test_parameters_are_checked_at_once(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Folder(path="x", **parameters)
