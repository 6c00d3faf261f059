"""Downloading one large file over HTTP: goes on where it was stopped, and checks what came."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from refbench import __version__
from refbench.errors import DataError

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60
TRIES = 5  # in a row that bring nothing new
WORTH_ANOTHER_TRY = {408, 425, 429}  # of the client's errors; all of the server's are

Progress = Callable[[int, int | None], object]
"""Told how many bytes of how many (None: the server does not say) have come."""


def download(
    url: str,
    place: Path,
    *,
    md5: str | None = None,
    progress: Progress = lambda done, total: None,
    wait_seconds: float = 1.0,
) -> None:
    """Get a file, unless it is there. Until all of it has come and is checked it lies beside, as `NAME.part`.

    The same call again asks for what is still missing of the part (an HTTP range); a server that knows no ranges is
    asked for all of it. A broken connection or a server's error is tried again, as long as some try brings something.

    Args:
        url: http or https.
        place: the file to make; its folder is made, too.
        md5: hexadecimal checksum that the file must have; None takes what comes.
        progress: see `Progress`.
        wait_seconds: before the first of several tries without success; twice as long before each further one.

    Raises:
        DataError: no such file there, the server cannot be reached or keeps failing, the file is not what it should
            be, the disk is full, or another process downloads it at this moment.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url}: not an address of a web server. Give one that starts with https:// or http://.")
    if place.exists():
        _check(place, md5, f"Remove {place} to have it downloaded again.")
        return
    part = place.with_name(f"{place.name}.part")
    with _opened(part) as file:
        _fetch(url, file, progress, wait_seconds)
    try:
        _check(part, md5, f"The same command downloads it again; {url} may also hold another version.")
    except DataError:
        part.unlink()
        raise
    part.rename(place)


@contextmanager
def _opened(part: Path) -> Iterator[IO[bytes]]:
    """The unfinished file, for one process at a time."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield file
            except DataError:
                if not _size(file):
                    part.unlink()
                raise
    except BlockingIOError as error:
        raise DataError(f"{part}: another process is downloading it. Wait for it, or end it.") from error
    except OSError as error:
        raise DataError(
            f"{part}: cannot be written ({error.strerror}). Choose another folder, or make room."
        ) from error


def _fetch(url: str, file: IO[bytes], progress: Progress, wait_seconds: float) -> None:
    """Ask until all has come."""
    most, failures = _size(file), 0
    while True:
        try:
            if _receive(url, file, progress):
                return
            problem = "the connection broke"
        except urllib.error.HTTPError as error:
            problem = f"the server answers {error.code} {error.reason}"
            if error.code < 500 and error.code not in WORTH_ANOTHER_TRY:
                raise DataError(f"{url}: {problem}. Correct the address.") from error
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", None) or error) or type(error).__name__
        failures = 0 if _size(file) > most else failures + 1
        most = max(most, _size(file))
        if failures == TRIES:
            kept = f" {most / 1e6:.0f} MB are kept in {file.name}; the same command goes on from there." if most else ""
            raise DataError(f"{url}: {problem}, {TRIES} times in a row. Try again later.{kept}")
        time.sleep(wait_seconds * 2 ** max(0, failures - 1))


def _receive(url: str, file: IO[bytes], progress: Progress) -> bool:
    """Make one request for what is missing; says whether all has come."""
    start = _size(file)
    request = urllib.request.Request(url, headers={"User-Agent": f"refbench/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range", "").rpartition("/")[2] == str(start):
            return True  # nothing is missing
        file.truncate(0)  # the part is longer than the file: it is of another one
        return False
    with response:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
            file.truncate(0)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        _check_space(file, (total or 0) - start)
        progress(start, total)
        done = start
        while chunk := response.read(CHUNK_BYTES):
            _write(file, chunk)
            done += len(chunk)
            progress(done, total)
    return total is None or done == total


def _write(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:  # the disk's, not the network's
        raise DataError(
            f"{file.name}: cannot be written ({error.strerror}). Make room; the same command goes on from there."
        ) from error


def _check_space(file: IO[bytes], needed: int) -> None:
    free = shutil.disk_usage(Path(file.name).parent).free
    if needed > free:
        raise DataError(
            f"{file.name}: {needed / 1e6:.0f} MB are still to come, {free / 1e6:.0f} MB are free there. "
            "Make room, or choose another folder."
        )


def _check(path: Path, md5: str | None, advice: str) -> None:
    if md5 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        raise DataError(f"{path}: damaged or another version (MD5 {found}, not {md5}). {advice}")


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size
