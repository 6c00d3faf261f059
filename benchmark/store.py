"""The content-addressed folder that holds what jobs made.

    STORE/objects/ab/abcdef.../   result of a job that ended well: its files, job.json, status.json
    STORE/failures/ab/abcdef....json   how a job ended otherwise
    STORE/jobs/ab/abcdef....json  a job that other processes than the runner's may run, until it has ended well
    STORE/replace/abcdef...       a job that is to be done again although it ended well; its result stands until then
    STORE/dropped/ab/abcdef.../   job.json and status.json of a result whose files were given up for their room
    STORE/damaged/abcdef.../      a result that was found damaged, and damage.json, which says how
    STORE/scratch/abcdef.../      while a job runs: its unfinished result, and checkpoints that survive a kill
    STORE/shared/, STORE/choices/ what trainings learnt on the way that others can use
    STORE/environments/           versions that results were made with, each list once
    STORE/runs/NAME/              tables of a run
    STORE/file_hashes.json        contents of data files already read once

A result is written in scratch and renamed in, so nothing half-written ever stands under its final name. No file holds
a path of the store's own: it can be moved.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refbench.checksums import JOB, RECORD, file_sums, sealed
from refbench.errors import RefbenchError, StoreError
from refbench.fingerprint import digest, file_digest
from refbench.holding import clear, holding, is_held
from refbench.job import Job

DAMAGE = "damage.json"
_CUT_SHORT = re.compile(r"\..+\.[0-9a-f]{8}")


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


def cut_short(root: Path) -> Iterator[Path]:
    """What kills left of `write_atomically` below a store; it looks the same while somebody writes."""
    for folder in ("", "runs/*/", "failures/*/", "jobs/*/", "damaged/*/", "replace/", "environments/"):
        yield from (path for path in root.glob(f"{folder}.*") if _CUT_SHORT.fullmatch(path.name))


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
        return self.root / f"objects/{key[:2]}/{key}"

    def scratch(self, key: str) -> Path:
        """Where a running job keeps what must survive a kill."""
        return self.root / "scratch" / key

    def job_file(self, key: str) -> Path:
        """Where an open job is left for other processes, see `refbench.job_file`."""
        return self.root / "jobs" / key[:2] / f"{key}.json"

    def has(self, key: str) -> bool:
        """Whether this job ended well."""
        return (self.folder(key) / RECORD).exists() and not self.replacing(key)

    def keys(self) -> Iterator[str]:
        """Of all results, those that are to be replaced among them."""
        return self._names("objects")

    def dropped_keys(self) -> Iterator[str]:
        """Of all results that were given up, see `drop`."""
        return self._names("dropped")

    def _names(self, folder: str) -> Iterator[str]:
        """Names in the folders of a folder; quicker than a path for each."""
        try:
            for part in os.scandir(self.root / folder):
                yield from (entry.name for entry in os.scandir(part.path))
        except FileNotFoundError:
            pass  # there has been none yet

    @property
    def writable(self) -> bool:
        """Whether anything can be written here."""
        return os.access(self.root, os.W_OK)

    def failure(self, key: str) -> dict[str, Any] | None:
        """How this job ended, if it ended otherwise: status, error, seconds."""
        return self._read(self._failure_file(key))

    def failed(self) -> frozenset[str]:
        """Keys of all jobs that ended otherwise than well."""
        return frozenset(path.stem for path in (self.root / "failures").glob("*/*.json"))

    def status(self, key: str) -> dict[str, Any] | None:
        """The record of a job that ended, well or not; None if it never did."""
        done = None if self.replacing(key) else self._read(self.folder(key) / RECORD)
        return done or self.failure(key)

    def replacing(self, key: str) -> bool:
        """Whether this job is to be done again although it ended well."""
        return self._replace_mark(key).exists()

    def replaced(self) -> frozenset[str]:
        """Keys of all results that are to be replaced."""
        return frozenset(path.name for path in (self.root / "replace").glob("[!.]*"))

    def replace(self, key: str) -> None:
        """Let a job be done again; its result stands until there is another one."""
        write_atomically(self._replace_mark(key), "")

    def keep(self, key: str) -> None:
        """Let a result stand that should have been replaced."""
        self.forget_failure(key)
        self._replace_mark(key).unlink(missing_ok=True)

    def _replace_mark(self, key: str) -> Path:
        return self.root / f"replace/{key}"

    def record(self, key: str) -> dict[str, Any] | None:
        """The same, and of a job whose result was dropped how it once ended."""
        return self.status(key) or self._read(self.dropped_folder(key) / RECORD)

    def identity(self, key: str) -> dict[str, Any]:
        """What `job.json` says of a job that ended well, dropped or not; empty of others."""
        return self._read(self.folder(key) / JOB) or self._read(self.dropped_folder(key) / JOB) or {}

    def dropped_folder(self, key: str) -> Path:
        """Where records of a job lie whose result was dropped."""
        return self.root / f"dropped/{key[:2]}/{key}"

    def _failure_file(self, key: str) -> Path:
        return self.root / f"failures/{key[:2]}/{key}.json"

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
        (result / JOB).write_text(json.dumps({"kind": job.kind, **job.identity}, indent=1))
        (result / RECORD).write_text(json.dumps(sealed({**record, "files": file_sums(result)}), indent=1))
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
        shutil.rmtree(self.dropped_folder(job.key), ignore_errors=True)
        shutil.rmtree(self.scratch(job.key), ignore_errors=True)

    def drop(self, key: str) -> None:
        """Give up a result; whoever needs it later makes it again. `thin` then removes all but its records."""
        kept = self.dropped_folder(key)
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        self.folder(key).rename(kept)

    def thin(self, key: str) -> None:
        """Remove all but the records of a dropped result."""
        for path in self.dropped_folder(key).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in (JOB, RECORD):
                path.unlink()

    def set_aside(self, key: str, label: str, what: str) -> None:
        """Take a damaged result away, so that it is made again, and remember what was wrong with it."""
        place = self.root / "damaged" / key
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(exist_ok=True)
        try:
            self.folder(key).rename(place)
        except FileNotFoundError:
            return  # somebody else did
        found = {"key": key, "label": label, "what": what, "found": time.time()}
        write_atomically(place / DAMAGE, json.dumps(found, indent=1))

    def damaged(self) -> dict[str, dict[str, Any]]:
        """Key, label, what and when of the results that lie aside, by key."""
        found = (self._read(path) for path in (self.root / "damaged").glob(f"*/{DAMAGE}"))
        return {record["key"]: record for record in found if record}

    def keep_environment(self, versions: Mapping[str, Any]) -> str:
        """Keep a list of versions, once; returns its digest."""
        name = digest(dict(versions))
        file = self._environment_file(name)
        if not file.exists():
            write_atomically(file, json.dumps(versions, indent=1))
        return name

    def environment(self, name: str) -> dict[str, Any]:
        """The list of versions of this digest; empty if it is not here."""
        return self._read(self._environment_file(name)) or {}

    def _environment_file(self, name: str) -> Path:
        return self.root / "environments" / f"{name}.json"

    def fail(self, key: str, record: Mapping[str, Any]) -> None:
        """Record how a job ended that did not end well."""
        write_atomically(self._failure_file(key), json.dumps(record, indent=1))

    def forget_failure(self, key: str) -> None:
        """Let a failed job be tried again."""
        self._failure_file(key).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove locks whose holders were killed, and what jobs left that were killed after they had finished."""
        for path in (self.root / "scratch").iterdir() if self.writable else ():
            if path.suffix == ".lock":
                clear(path)
            elif self.has(path.stem):
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a job against other processes; ends with the process, however that ends."""
        with holding(self.root / "scratch" / f"{key}.lock"):
            self.scratch(key).mkdir(parents=True, exist_ok=True)
            yield

    def held(self, key: str) -> bool:
        """Whether a living process holds this job now."""
        return is_held(self.root / "scratch" / f"{key}.lock")

    @contextmanager
    def undisturbed(self, *, alone: bool = False) -> Iterator[None]:
        """While the block lasts nothing is taken out of the store; `alone`: by this process, while nobody plans."""
        if not self.writable:
            yield
            return
        with holding(self.root / "scratch" / "store.lock", shared=not alone):
            yield


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
        if self.changed and os.access(self.path.parent, os.W_OK):
            write_atomically(self.path, json.dumps(self.known))
            self.changed = False


def default_store() -> Path:
    """REFBENCH_STORE, or .refbench in the current folder: heads should lie where their owner sees them."""
    return Path(os.environ.get("REFBENCH_STORE", ".refbench"))
