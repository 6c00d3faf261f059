"""IXI-T1.tar as a dataset: what lands on disk, and what must not."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_ixi import packed

from refbench.datasets.ixi import IXI
from refbench.datasets.ixi_tar import unpack
from refbench.errors import DataError

FILES = {
    "IXI002-Guys-0828-T1.nii.gz": b"a" * 700,
    "IXI013-HH-1212-T1.nii.gz": b"b" * 512,
    "IXI035-IOP-0873-T1.nii.gz": b"",
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "IXI-T1.tar"
    path.write_bytes(packed(FILES))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_archive_is_unpacked_once_beside_itself(archive: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scans = IXI(path=archive).scans()
    assert [scan.files for scan in scans] == [(archive.with_suffix("") / name,) for name in FILES]
    assert contents(archive.with_suffix("")) == FILES
    assert f"unpacking into {archive.parent / 'IXI-T1'}, once" in capfd.readouterr().err
    before = archive.with_suffix("").stat().st_mtime_ns
    assert IXI(path=archive).scans() == scans == IXI(path=archive.parent).scans()
    assert archive.with_suffix("").stat().st_mtime_ns == before
    assert capfd.readouterr().err == ""


def test_the_spreadsheet_lies_beside_the_archive(archive: Path) -> None:
    (archive.parent / "IXI.csv").write_text("IXI_ID,AGE\n13,40\n")
    assert [dict(scan.facts) for scan in IXI(path=archive).scans()] == [{}, {"age": 40}, {}]


def test_folders_in_the_archive_and_other_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(packed({"README": b"x", **{f"./T1/{name}": data for name, data in FILES.items()}}))
    assert unpack(tmp_path / "a.tar", tmp_path / "heads") == 3
    assert contents(tmp_path / "heads") == FILES


def test_what_is_missing_comes_back_and_what_differs_is_left_alone(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "IXI-T1"
    unpack(archive, folder)
    first, second, _ = (folder / name for name in FILES)
    first.unlink()
    (folder / "notes.txt").write_text("mine")
    told: list[tuple[int, int]] = []
    assert unpack(archive, folder, lambda done, total: told.append((done, total))) == 1
    assert told == [(1, 1)]
    assert contents(folder) == {**FILES, "notes.txt": b"mine"}
    second.write_bytes(b"defaced")
    with pytest.raises(DataError, match=r"IXI013-HH-1212-T1\.nii\.gz: 7 bytes, 512 in the archive\. Remove it"):
        unpack(archive, folder)
    assert second.read_bytes() == b"defaced"
    assert {path.name for path in tmp_path.iterdir()} == {"IXI-T1.tar", "IXI-T1"}


def test_what_a_killed_unpacking_left_is_taken_away(archive: Path, tmp_path: Path) -> None:
    (tmp_path / ".IXI-T1.unpacking").mkdir()
    (tmp_path / ".IXI-T1.unpacking" / next(iter(FILES))).write_bytes(b"half")
    unpack(archive, tmp_path / "IXI-T1")
    assert contents(tmp_path / "IXI-T1") == FILES
    assert not (tmp_path / ".IXI-T1.unpacking").exists()


def with_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    buffer = io.BytesIO(packed(FILES))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        tar.addfile(member)
    return buffer.getvalue()


GOOD = packed(FILES)
NAME = "IXI099-HH-1000-T1.nii.gz"
BAD = {
    "parent": (with_member(f"../{NAME}"), "leads out of the folder"),
    "parent inside": (with_member(f"T1/../../{NAME}"), "leads out of the folder"),
    "absolute": (with_member(f"/tmp/{NAME}"), "leads out of the folder"),
    "absolute, not of IXI": (with_member("/etc/cron.d/x"), "leads out of the folder"),
    "link": (with_member(NAME, tarfile.SYMTYPE, "/etc/passwd"), "is a link or a device"),
    "hard link": (with_member(NAME, tarfile.LNKTYPE, next(iter(FILES))), "is a link or a device"),
    "device": (with_member(NAME, tarfile.CHRTYPE), "is a link or a device"),
    "pipe": (with_member(NAME, tarfile.FIFOTYPE), "is a link or a device"),
    "twice": (with_member(f"T1/{next(iter(FILES))}"), "IXI002-Guys-0828-T1.nii.gz stands in it twice"),
    "nothing of IXI": (packed({"a.txt": b"a"}), "no file in it is named like"),
    "empty file": (b"", "truncated or damaged tar file"),
    "not a tar": (b"<html>" * 1000, "truncated or damaged tar file"),
    "cut in a header": (GOOD[:2100], "truncated or damaged tar file"),
    "cut in a file": (GOOD[:900], "truncated or damaged tar file"),
    "cut between two files": (GOOD[: 512 + 1024], "truncated or damaged tar file"),
    "cut before its end": (GOOD[: 512 * 6], "truncated or damaged tar file"),
    "a damaged header": (GOOD[:1540] + b"?" * 8 + GOOD[1548:], "truncated or damaged tar file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_archives_that_are_not_unpacked(tmp_path: Path, kind: str) -> None:
    content, message = BAD[kind]
    archive = tmp_path / "IXI-T1.tar"
    archive.write_bytes(content)
    with pytest.raises(DataError, match=rf"IXI-T1\.tar: .*{message}"):
        IXI(path=archive).scans()
    assert list(tmp_path.iterdir()) == [archive]


def test_other_files_are_no_archive(tmp_path: Path) -> None:
    (tmp_path / "IXI-T1.tgz").touch()
    with pytest.raises(DataError, match=r"neither a folder nor a `\.tar`"):
        IXI(path=tmp_path / "IXI-T1.tgz").scans()


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("name", "stand_in", "message"),
    [
        ("disk_usage", lambda path: type("Usage", (), {"free": 1000}), "MB to unpack, .* Make room"),
        ("copyfileobj", fail, r"IXI-T1: cannot unpack IXI-T1\.tar \(No space left on device\)"),
    ],
)
def test_a_full_disk_leaves_nothing_half_done(
    archive: Path, monkeypatch: pytest.MonkeyPatch, name: str, stand_in: Callable[..., object], message: str
) -> None:
    monkeypatch.setattr(f"shutil.{name}", stand_in)
    with pytest.raises(DataError, match=message):
        unpack(archive, archive.with_suffix(""))
    assert list(archive.parent.iterdir()) == [archive]
