"""Unpacking IXI-T1.tar: nothing lands outside its folder, and nothing half-written inside it."""

from __future__ import annotations

import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from refbench.datasets.ixi_source import NAME
from refbench.errors import DataError

END_OF_ARCHIVE = bytes(tarfile.BLOCKSIZE)


def unpacked(archive: Path) -> Path:
    """The folder beside an archive that holds its files; unpacks it there the first time, and says so.

    Raises:
        DataError: see `unpack`.
    """
    folder = archive.with_suffix("")
    if archive.suffix != ".tar":
        raise DataError(
            f"{archive}: neither a folder nor a `.tar`. Set `path` to IXI-T1.tar, or to where it lies unpacked."
        )
    if not folder.exists():
        print(f"{archive}: unpacking into {folder}, once", file=sys.stderr, flush=True)
    unpack(archive, folder)
    return folder


def unpack(archive: Path, folder: Path, progress: Callable[[int, int], object] = lambda done, total: None) -> int:
    """Put the T1 files of an archive into a folder, those that are not there yet; other files are left out.

    The folder appears when all is in it. Only contents are taken, under names that are checked: no owners, modes,
    times or links.

    Args:
        archive: a tar file without compression, as IXI is published (its files are compressed themselves).
        folder: where the files go; what else lies there is left alone.
        progress: told how many files of how many are done.

    Returns:
        how many files were written.

    Raises:
        DataError: the archive is damaged, or holds what no archive of IXI does (links, devices, names that lead out of
            the folder); a file of the folder has another size than in the archive; or there is no space.
    """
    part = folder.with_name(f".{folder.name}.unpacking")
    with _opened(archive) as tar:
        missing = {
            name: member for name, member in _members(tar, archive).items() if _is_missing(folder / name, member)
        }
        if not missing:
            return 0
        try:
            shutil.rmtree(part, ignore_errors=True)  # of an unpacking that was stopped
            part.mkdir(parents=True)
            _check_space(sum(member.size for member in missing.values()), folder)
            for done, (name, member) in enumerate(missing.items(), start=1):
                _write(tar, member, part / name)
                progress(done, len(missing))
            if folder.exists():
                for name in missing:
                    (part / name).rename(folder / name)
                part.rmdir()
            else:
                part.rename(folder)
        except OSError as error:
            raise DataError(
                f"{folder}: cannot unpack {archive.name} ({error.strerror}). Make room, or unpack it elsewhere."
            ) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return len(missing)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:") as tar:
            yield tar
    except tarfile.TarError as error:
        raise DataError(f"{archive}: truncated or damaged tar file ({error}). Download it again.") from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be read ({error.strerror}). Check the path and its permissions.") from error


def _members(tar: tarfile.TarFile, archive: Path) -> dict[str, tarfile.TarInfo]:
    """The T1 files by their names without folders, once the whole archive is known to be sound."""
    found: dict[str, tarfile.TarInfo] = {}
    end = 0
    for member in tar:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise DataError(
                f"{archive}: `{member.name}` leads out of the folder. This is no archive of IXI: do not unpack it."
            )
        end = member.offset_data
        if member.isdir():
            continue
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
            raise DataError(
                f"{archive}: `{member.name}` is a link or a device. This is no archive of IXI: do not unpack it."
            )
        end += -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if NAME.fullmatch(path.name) and found.setdefault(path.name, member) is not member:
            raise DataError(f"{archive}: {path.name} stands in it twice. Download it again.")
    _check_end(archive, end)
    if not found:
        raise DataError(f"{archive}: no file in it is named like IXI013-HH-1212-T1.nii.gz. Give IXI-T1.tar.")
    return found


def _check_end(archive: Path, end: int) -> None:
    """Python's reader takes a cut between two files, or damage to a name, for the end."""
    with archive.open("rb") as file:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE) != END_OF_ARCHIVE:
            raise DataError(f"{archive}: truncated or damaged tar file (no end after {end} bytes). Download it again.")


def _is_missing(file: Path, member: tarfile.TarInfo) -> bool:
    if not file.exists():
        return True
    if file.stat().st_size != member.size:
        raise DataError(
            f"{file}: {file.stat().st_size} bytes, {member.size} in the archive. Remove it to have it unpacked again."
        )
    return False


def _check_space(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise DataError(f"{folder}: {needed / 1e6:.0f} MB to unpack, {free / 1e6:.0f} MB are free. Make room there.")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None, "only regular files are asked for"
    with source, file.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
