"""The content-addressed folder that holds what jobs made.

    STORE/objects/ab/abcdef.../   result of a job that ended well: its files, job.json, status.json
    STORE/failures/ab/abcdef....json   how a job ended otherwise
    STORE/jobs/ab/abcdef....json  a job that other processes than the runner's may run, until it has ended well
    STORE/replace/abcdef...       a job that is to be done again although it ended well; its result stands until then
    STORE/scratch/abcdef.../      while a job runs: its unfinished result, and checkpoints that survive a kill
    STORE/runs/NAME/              tables of a run
    STORE/file_hashes.json        contents of data files already read once

A result is written in scratch and renamed in, so nothing half-written ever stands under its final name.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refbench.errors import RefbenchError, StoreError
from refbench.fingerprint import file_digest
from refbench.job import Job


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a small file; readers see the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a small text file where the user wants it; raises as `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a small file where the user wants it.

    Raises:
        RefbenchError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise RefbenchError(
            f"{path}: cannot be written ({error.strerror}). Free space, or choose another place."
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a small JSON file that people read; raises as `write_text`."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


class Store:
    """Results by key. Safe for several processes, and for several runs, at the same time."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        try:
            for name in ("objects", "failures", "scratch", "runs"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the store {self.root} cannot be made: {error.strerror}; choose another with --store"
            ) from error

    def folder(self, key: str) -> Path:
        """Where the result of a job is, or will be."""
        return self.root / "objects" / key[:2] / key

    def scratch(self, key: str) -> Path:
        """Where a running job keeps what must survive a kill."""
        return self.root / "scratch" / key

    def job_file(self, key: str) -> Path:
        """Where an open job is left for other processes, see `refbench.job_file`."""
        return self.root / "jobs" / key[:2] / f"{key}.json"

    def has(self, key: str) -> bool:
        """Whether this job ended well."""
        return (self.folder(key) / "status.json").exists() and not self.replacing(key)

    def failure(self, key: str) -> dict[str, Any] | None:
        """How this job ended, if it ended otherwise: status, error, seconds."""
        return self._read(self._failure_file(key))

    def failed(self) -> frozenset[str]:
        """Keys of all jobs that ended otherwise than well."""
        return frozenset(path.stem for path in (self.root / "failures").glob("*/*.json"))

    def status(self, key: str) -> dict[str, Any] | None:
        """The record of a job that ended, well or not; None if it never did."""
        done = None if self.replacing(key) else self._read(self.folder(key) / "status.json")
        return done or self.failure(key)

    def replacing(self, key: str) -> bool:
        """Whether this job is to be done again although it ended well."""
        return self._replace_mark(key).exists()

    def replace(self, key: str) -> None:
        """Let a job be done again; its result stands until there is another one."""
        write_atomically(self._replace_mark(key), "")

    def keep(self, key: str) -> None:
        """Let a result stand that should have been replaced."""
        self.forget_failure(key)
        self._replace_mark(key).unlink(missing_ok=True)

    def _replace_mark(self, key: str) -> Path:
        return self.root / "replace" / key

    def _failure_file(self, key: str) -> Path:
        return self.root / "failures" / key[:2] / f"{key}.json"

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} is damaged ({error}); delete it and run the suite again") from error
        return record

    def commit(self, job: Job, result: Path, record: Mapping[str, Any]) -> None:
        """Give a finished result its final name; forget an earlier failure and the scratch folder."""
        (result / "job.json").write_text(json.dumps({"kind": job.kind, **job.identity}, indent=1))
        (result / "status.json").write_text(json.dumps(record, indent=1))
        final = self.folder(job.key)
        final.parent.mkdir(parents=True, exist_ok=True)
        if self.replacing(job.key) and final.exists():
            final.rename(result.with_name("replaced"))
        try:
            result.rename(final)
        except OSError:
            if not self.has(job.key):  # else somebody was faster, with the same bytes
                raise
        self._replace_mark(job.key).unlink(missing_ok=True)
        self.forget_failure(job.key)
        self.job_file(job.key).unlink(missing_ok=True)
        shutil.rmtree(self.scratch(job.key), ignore_errors=True)

    def fail(self, key: str, record: Mapping[str, Any]) -> None:
        """Record how a job ended that did not end well."""
        write_atomically(self._failure_file(key), json.dumps(record, indent=1))

    def forget_failure(self, key: str) -> None:
        """Let a failed job be tried again."""
        self._failure_file(key).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what jobs left in scratch that were killed in the moment after they had finished."""
        for path in (self.root / "scratch").iterdir():
            if self.has(path.stem):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a job against other processes; ends with the process, however that ends."""
        self.scratch(key).mkdir(parents=True, exist_ok=True)
        path = self.root / "scratch" / f"{key}.lock"
        while True:
            with path.open("w") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                # Whoever held it before may have removed the file: then this lock guards nothing.
                try:
                    if os.fstat(stream.fileno()).st_ino != path.stat().st_ino:
                        continue
                except FileNotFoundError:
                    continue
                yield
                path.unlink(missing_ok=True)
                return

    def held(self, key: str) -> bool:
        """Whether a living process holds this job now."""
        try:
            with (self.root / "scratch" / f"{key}.lock").open() as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


class FileHashes:
    """Contents of data files by path, size and times, so that a second run opens no volume.

    The time of the last change to a file's entry on the disk (`st_ctime`) tells of contents that were replaced under
    the old time of change, as copying programs do.
    """

    def __init__(self, store: Store) -> None:
        self.path = store.root / "file_hashes.json"
        try:
            stored = json.loads(self.path.read_text()).items()
        except (OSError, ValueError, AttributeError):
            stored = ()  # it only saves time
        self.known: dict[str, list[Any]] = {name: entry for name, entry in stored if isinstance(entry, list)}
        self.changed = False

    def digest(self, path: Path) -> str:
        """SHA-256 of the file's bytes, read only if size or times differ from the last time.

        Of a file that cannot be read, which one and why not: loading it will fail, cost its subject alone, and be tried
        again as soon as it can be read.
        """
        try:
            facts = path.stat()
            now = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
            entry = self.known.get(str(path))
            if entry is None or entry[:-1] != now:
                entry = [*now, file_digest(path)]
                self.known[str(path)] = entry
                self.changed = True
        except OSError as error:
            return f"unreadable: {path} ({error.strerror})"
        return str(entry[-1])

    def save(self) -> None:
        """Keep what was learnt."""
        if self.changed:
            write_atomically(self.path, json.dumps(self.known))
            self.changed = False


def default_store() -> Path:
    """REFBENCH_STORE, or .refbench in the current folder: heads should lie where their owner sees them."""
    return Path(os.environ.get("REFBENCH_STORE", ".refbench"))
