"""`refbench data`, as a user types it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import Workplace
from local_server import LocalServer, serving
from made_up_ixi import packed

NAMES = ("IXI002-Guys-0828-T1.nii.gz", "IXI013-HH-1212-T1.nii.gz", "IXI014-HH-1236-T1.nii.gz")


def head(seed: int, shape: tuple[int, int, int] = (6, 6, 5)) -> bytes:
    voxels = np.random.default_rng(seed).integers(0, 99, shape).astype(np.int16)
    return gzip.compress(nib.Nifti1Image(voxels, np.diag([2, 2, 2, 1])).to_bytes())


HEADS = {name: head(number) for number, name in enumerate(NAMES)}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sheet = Path(__file__).with_name("datasets") / "made_up_IXI.xls"
    with serving({"IXI-T1.tar": packed(HEADS), "IXI.xls": sheet.read_bytes()}) as server:
        yield server


def test_nothing_is_asked_of_the_network_before_the_user_agrees(workplace: Workplace, server: LocalServer) -> None:
    result = workplace.refbench("data", "ixi", "data", "--source", server.address)  # no answer: the input is empty
    assert result.returncode == 1
    for said in ("581 people", "4.8 GB", "CC BY-SA 3.0", server.address, str(workplace.folder / "data"), "[y/N]"):
        assert said in result.stdout
    assert server.asked == []
    assert not (workplace.folder / "data").exists()


@pytest.mark.slow
def test_from_download_to_checked_heads(workplace: Workplace, server: LocalServer) -> None:
    server.break_after = [10**9, 2000]
    command = ("data", "ixi", "data", "--yes", "--any-checksum", "--jobs", "1", "--source", server.address)
    result = workplace.refbench(*command)
    assert (result.returncode, result.stderr) == (0, "")
    assert "3 scan(s): 3 can be used, 0 cannot; 0 of another shape" in result.stdout
    folder = workplace.folder / "data"
    assert f"ixi: {{path: {folder / 'IXI-T1'}}}" in result.stdout
    assert {file.name: file.read_bytes() for file in (folder / "IXI-T1").iterdir()} == HEADS
    assert sorted(path.name for path in folder.iterdir()) == ["IXI-T1", "IXI-T1.tar", "IXI.xls"]
    assert [asked for asked in server.asked if asked[1]] == [("IXI-T1.tar", "bytes=2000-")]

    (folder / "IXI-T1.tar").unlink()  # no longer needed: neither it nor the heads come again
    asked = len(server.asked)
    again = workplace.refbench(*command)
    assert again.returncode == 0
    assert f"note: {folder / 'IXI-T1'} is there already" in again.stdout
    assert "3 scan(s): 3 can be used" in again.stdout
    assert len(server.asked) == asked


def test_what_the_project_did_not_publish_is_refused(workplace: Workplace, server: LocalServer) -> None:
    result = workplace.refbench("data", "ixi", "data", "--yes", "--source", server.address)
    assert result.returncode == 2
    assert "note: no ages and sexes: " in result.stdout
    assert "IXI-T1.tar.part: damaged or another version (MD5 " in result.stderr
    assert "Traceback" not in result.stderr
    assert list((workplace.folder / "data").iterdir()) == []


@pytest.mark.slow
def test_a_damaged_head_of_a_mirror_is_named(workplace: Workplace, server: LocalServer) -> None:
    damaged = {**HEADS, NAMES[1]: HEADS[NAMES[1]][:-9]}
    server.files = {"IXI-T1.tar": packed(damaged)}
    result = workplace.refbench("data", "ixi", "data", "--yes", "--any-checksum", "--source", server.address)
    assert result.returncode == 3
    assert "note: no ages and sexes" in result.stdout
    assert f"✗ {workplace.folder / 'data' / 'IXI-T1' / NAMES[1]}: truncated or damaged gzip" in result.stderr


@pytest.fixture
def folder(workplace: Workplace) -> Path:
    folder = workplace.folder / "heads"
    folder.mkdir()
    for name, content in HEADS.items():
        (folder / name).write_bytes(content)
    return folder


def test_the_dataset_of_a_suite_is_verified(workplace: Workplace, folder: Path) -> None:
    (folder / NAMES[0]).write_bytes(b"")
    suite = workplace.suite("dataset: {ixi: {path: heads}}")
    result = workplace.refbench("data", "verify", suite)
    assert result.returncode == 3
    assert "3 scan(s): 2 can be used, 1 cannot" in result.stdout
    assert result.stderr.splitlines() == [
        f"  ✗ {folder / NAMES[0]}: not a NIfTI file. Convert it to .nii or .nii.gz (DICOM: with dcm2niix)."
    ]


def test_a_dataset_from_a_file_is_verified(workplace: Workplace) -> None:
    result = workplace.refbench("data", "verify", workplace.suite(""))
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_a_folder_says_what_it_is(workplace: Workplace, folder: Path) -> None:
    (folder / "another.nii.gz").write_bytes(b"")  # no name of IXI: passed over
    assert "3 scan(s): 3 can" in workplace.refbench("data", "verify", folder).stdout
    (folder / "sub").mkdir()
    (folder / "sub" / "another.nii.gz").write_bytes(head(7, (6, 6, 7)))
    result = workplace.refbench("data", "verify", folder, "--dataset", "folder")
    assert result.returncode == 3
    assert "5 scan(s): 4 can be used, 1 cannot; 1 of another shape" in result.stdout
    assert f"! {folder / 'sub' / 'another.nii.gz'}: 6 x 6 x 7 voxels of 2 x 2 x 2 mm, most of site are" in result.stdout
    for name in NAMES:
        (folder / name).unlink()
    assert "2 scan(s): 1 can be used" in workplace.refbench("data", "verify", folder).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no suite file nowhere"),
        (("nowhere", "--dataset", "ixi"), "nowhere: no such folder"),
        ((".", "--dataset", "phantom"), "the dataset phantom reads no folder"),
        ((".", "--dataset", "ixy"), "did you mean 'ixi'"),
        ((".",), "no file fits"),
        (("nowhere.tar",), "nowhere.tar: no such folder"),
    ],
)
def test_what_cannot_be_verified(workplace: Workplace, arguments: tuple[str, ...], said: str) -> None:
    result = workplace.refbench("data", "verify", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_downloads_are_found_in_the_help(workplace: Workplace) -> None:
    assert {"ixi", "verify"} <= set(workplace.refbench("data", "--help").stdout.split())


def test_phantoms_are_written_as_a_data_set_that_verifies_and_mixes_with_nothing(workplace: Workplace) -> None:
    options = ("--subjects", 2, "--scale", 0.2, "--scanners", "varied", "--jobs", 1)
    written = workplace.refbench("data", "phantom", "phantoms", *options)
    assert (written.returncode, written.stderr) == (0, "")
    assert "dataset: {bids: {path: phantoms}}" in written.stdout
    verified = workplace.refbench("data", "verify", "phantoms")
    assert "2 scan(s): 2 can be used, 0 cannot" in verified.stdout
    again = workplace.refbench("data", "phantom", "phantoms", *options)
    assert again.returncode == 2
    assert "holds something already" in again.stderr
