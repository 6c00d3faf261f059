"""Downloading from a server that does, or fails to do, what servers do."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from local_server import LocalServer, serving

from refbench import download as module
from refbench.download import download
from refbench.errors import DataError

CONTENT = np.random.default_rng(0).bytes(100_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with serving({"heads.tar": CONTENT}) as server:
        yield server


def get(server: LocalServer, place: Path, **options: object) -> None:
    download(server.address + "heads.tar", place, **{"md5": MD5, "wait_seconds": 0.0, **options})


def test_a_file_comes_whole_with_its_progress(server: LocalServer, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    place = tmp_path / "new" / "heads.tar"
    get(server, place, progress=lambda done, total: told.append((done, total)))
    assert place.read_bytes() == CONTENT
    assert (told[0], told[-1]) == ((0, 100_000), (100_000, 100_000))
    assert [path.name for path in place.parent.iterdir()] == ["heads.tar"]


def test_what_is_there_is_checked_and_not_asked_for(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "heads.tar").write_bytes(CONTENT)
    get(server, tmp_path / "heads.tar")
    (tmp_path / "heads.tar").write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"heads\.tar: damaged or another version .* Remove .*heads\.tar to have it"):
        get(server, tmp_path / "heads.tar")
    assert server.asked == []


def test_a_connection_that_breaks_goes_on_where_it_broke(server: LocalServer, tmp_path: Path) -> None:
    server.break_after = [30_000, 0, 40_000]
    get(server, tmp_path / "heads.tar")
    assert (tmp_path / "heads.tar").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["", "bytes=30000-", "bytes=30000-", "bytes=70000-"]
    assert server.sent == 100_000, "nothing came twice"


def test_another_process_goes_on_where_the_first_was_stopped(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "heads.tar.part").write_bytes(CONTENT[:60_000])
    told: list[tuple[int, int | None]] = []
    get(server, tmp_path / "heads.tar", progress=lambda done, total: told.append((done, total)))
    assert (tmp_path / "heads.tar").read_bytes() == CONTENT
    assert (server.sent, told[0]) == (40_000, (60_000, 100_000))


def test_a_part_that_has_all_of_it_already(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "heads.tar.part").write_bytes(CONTENT)
    get(server, tmp_path / "heads.tar")
    assert (tmp_path / "heads.tar").read_bytes() == CONTENT
    assert server.sent == 0


@pytest.mark.parametrize("length", [60_000, 100_000, 120_000])
def test_a_part_of_another_file_is_not_taken(server: LocalServer, tmp_path: Path, length: int) -> None:
    (tmp_path / "heads.tar.part").write_bytes(bytes(length))
    if length <= 100_000:  # only the checksum can tell
        with pytest.raises(DataError, match="another version"):
            get(server, tmp_path / "heads.tar")
        assert list(tmp_path.iterdir()) == []
    get(server, tmp_path / "heads.tar")
    assert (tmp_path / "heads.tar").read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_sends_all_again(server: LocalServer, tmp_path: Path) -> None:
    server.ranges = False
    server.break_after = [50_000]
    get(server, tmp_path / "heads.tar")
    assert (tmp_path / "heads.tar").read_bytes() == CONTENT
    assert server.sent == 150_000


def test_a_server_that_does_not_say_how_much(server: LocalServer, tmp_path: Path) -> None:
    server.says_length = False
    get(server, tmp_path / "heads.tar")
    assert (tmp_path / "heads.tar").read_bytes() == CONTENT


def test_a_server_that_recovers(server: LocalServer, tmp_path: Path) -> None:
    server.errors = [503, 500, 429]
    get(server, tmp_path / "heads.tar")
    assert len(server.asked) == 4


def test_a_server_that_does_not_recover(server: LocalServer, tmp_path: Path) -> None:
    server.errors = [503] * 99
    with pytest.raises(DataError, match=rf"heads\.tar: the server answers 503 .*, {module.TRIES} times in a row"):
        get(server, tmp_path / "heads.tar")
    assert len(server.asked) == module.TRIES


def test_a_connection_that_always_breaks_keeps_what_came(server: LocalServer, tmp_path: Path) -> None:
    server.break_after = [30_000] + [0] * 99
    with pytest.raises(DataError, match=r"the connection broke, .* kept in .*heads\.tar\.part; the same command"):
        get(server, tmp_path / "heads.tar")
    assert (tmp_path / "heads.tar.part").read_bytes() == CONTENT[:30_000]


def test_a_file_that_the_server_does_not_have(server: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/gone\.tar: the server answers 404 Not Found\. Correct the address"):
        download(server.address + "gone.tar", tmp_path / "gone.tar")
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_nobody_answers(tmp_path: Path) -> None:
    with serving({}) as server:
        address = server.address
    with pytest.raises(DataError, match=r"Connection refused, 5 times in a row\. Try again later\.$"):
        download(f"{address}heads.tar", tmp_path / "heads.tar", wait_seconds=0)


def test_other_contents_than_expected_are_not_kept(server: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"MD5 {MD5}, not 0123"):
        get(server, tmp_path / "heads.tar", md5="0123")
    assert list(tmp_path.iterdir()) == []
    get(server, tmp_path / "heads.tar", md5=None)
    assert (tmp_path / "heads.tar").read_bytes() == CONTENT


def test_only_the_web_is_asked(tmp_path: Path) -> None:
    for url in ("file:///etc/passwd", "ftp://x/y", "heads.tar"):
        with pytest.raises(DataError, match="not an address of a web server"):
            download(url, tmp_path / "heads.tar")


def test_two_processes_do_not_write_one_file(server: LocalServer, tmp_path: Path) -> None:
    with (tmp_path / "heads.tar.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match=r"heads\.tar\.part: another process is downloading it"):
            get(server, tmp_path / "heads.tar")


def test_a_folder_that_cannot_be_made(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"heads\.tar\.part: cannot be written"):
        get(server, tmp_path / "file" / "heads.tar")


def test_too_small_a_disk_is_seen_before_it_is_full(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 99_999}))
    with pytest.raises(DataError, match=r"MB are still to come, .* Make room"):
        get(server, tmp_path / "heads.tar")
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, signal, sys
from pathlib import Path
from refbench.download import download
from refbench.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    download(sys.argv[1], Path(sys.argv[2]), md5=sys.argv[3])
except DataError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more(server: LocalServer, tmp_path: Path) -> None:
    place = tmp_path / "heads.tar"
    command = [sys.executable, "-c", LIMITED, server.address + "heads.tar", str(place), MD5]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "heads.tar.part: cannot be written (File too large)" in done.stdout, done.stderr
    assert (tmp_path / "heads.tar.part").read_bytes() == CONTENT[:40_000]
    get(server, place)
    assert place.read_bytes() == CONTENT
    assert server.asked[-1][1] == "bytes=40000-"
