"""What a store holds, and who needs it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from refbench.checksums import JOB, RECORD
from refbench.errors import StoreError
from refbench.lock_file import NAME, goes_on
from refbench.run_status import is_announced
from refbench.store import Store


@dataclass(frozen=True)
class Result:
    """What one job left. `bytes`: of all its files. `records`: of those that stay if it is dropped."""

    key: str
    kind: str
    bytes: int
    records: int
    seconds: float


@dataclass(frozen=True)
class Reference:
    """A run and the results that it refers to.

    Attributes:
        used: when it last ran, seconds since 1970.
        going_on: a living process executes it now, or will as it was announced, or some of its jobs wait.
    """

    run: str
    keys: frozenset[str]
    used: float
    going_on: bool


@dataclass(frozen=True)
class Usage:
    """A store at one moment.

    Attributes:
        results: by key. references: the runs.
        left_open: keys of jobs that wait or run outside of a runner, and of what they need.
        strangers: keys of running jobs that nothing above knows.
    """

    results: dict[str, Result]
    references: tuple[Reference, ...]
    left_open: frozenset[str]
    strangers: frozenset[str]

    @cached_property
    def referenced(self) -> frozenset[str]:
        """What a run refers to, or an open job."""
        return self.left_open.union(*(one.keys for one in self.references))

    @cached_property
    def untouchable(self) -> frozenset[str]:
        """What is needed now."""
        return self.left_open.union(self.strangers, *(one.keys for one in self.references if one.going_on))

    @cached_property
    def quiet(self) -> bool:
        """Whether nothing goes on anywhere."""
        return not self.untouchable and not any(one.going_on for one in self.references)

    @cached_property
    def last_used(self) -> dict[str, float]:
        """When a run last used each result that any refers to."""
        used: dict[str, float] = {}
        for one in sorted(self.references, key=lambda reference: reference.used):
            used.update(dict.fromkeys(one.keys, one.used))
        return used

    def size(self, keys: Iterable[str]) -> int:
        """Bytes of those results that are there."""
        return sum(self.results[key].bytes for key in keys if key in self.results)


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder, or of a file; 0 if there is none."""
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def look_through(store: Store) -> Usage:
    """List everything. No array is read.

    Raises:
        StoreError: the list of jobs of a run is damaged, so that nobody knows what it needs.
    """
    results = {key: _result(store, key) for key in store.keys()}  # noqa: SIM118  # a method
    # One that failed waits nowhere: its file is only there for whoever wants to see that by hand.
    open_files = [path for path in (store.root / "jobs").glob("*/*.json") if store.failure(path.stem) is None]
    left_open = frozenset(key for path in open_files for key in _job_keys(path))
    waiting = frozenset(path.stem for path in open_files)
    references = tuple(_reference(store, folder, waiting) for folder in sorted((store.root / "runs").iterdir()))
    known = left_open.union(*(one.keys for one in references))
    locks = (path.stem for path in (store.root / "scratch").glob("*.lock"))
    running = {key for key in locks if not key.startswith(("run-", "store")) and store.held(key)}
    return Usage(results, references, left_open, frozenset(running - known))


def _result(store: Store, key: str) -> Result:
    folder = store.folder(key)
    try:
        kind, record = str(store.identity(key).get("kind", "?")), store.status(key) or {}
    except StoreError:  # damaged: `verify` says how
        kind, record = "?", {}
    records = sum(folder_size(folder / name) for name in (JOB, RECORD))
    return Result(key, kind, folder_size(folder), records, float(record.get("seconds", 0.0)))


def _reference(store: Store, folder: Path, waiting: frozenset[str]) -> Reference:
    keys: set[str] = set()
    times = [folder.stat().st_mtime]
    for name in (NAME, "jobs.json"):
        file = folder / name
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            keys.update((content["jobs"] if name == NAME else content).values())
            times.append(file.stat().st_mtime)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise StoreError(f"{file} is damaged ({error}); run the suite again, or remove {folder}") from error
    going_on = goes_on(store, folder.name) or is_announced(folder) or not waiting.isdisjoint(keys)
    return Reference(folder.name, frozenset(keys), max(times), going_on)


def _job_keys(path: Path) -> list[str]:
    try:
        return [path.stem, *json.loads(path.read_text(encoding="utf-8"))["needs"]]
    except FileNotFoundError:  # it has ended meanwhile
        return []
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path} is damaged ({error}); remove it, and run its suite again") from error
