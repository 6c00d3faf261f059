"""What an attacker may open while it learns and while it attacks; whatever else it opens ends its job.

A job's process listens to what Python is asked to open, list, write and remove (`sys.addaudithook`). Of the store a
training may read its own pairs, and an attack its model and what was released of the test people: neither originals nor
the true face, and the true mask of what was changed only with `region: known`. Both write into their own folders alone.
The data set's files, where the job names their places, are closed to both.

This finds mistakes and plain cheating, and is no sandbox. It does not see what C code opens by itself, what a program
does that a plug-in starts, paths that are relative to the descriptor of a folder, or the processes of a training on
several graphics cards; and a plug-in that means harm can undo it. Run strangers' plug-ins in a container.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refbench.errors import RefbenchError
from refbench.job import IN_STORE, Job
from refbench.store import Store

RELEASED = ("anonymized.npy", "geometry.json")
"""What an attack is given of the slices of a test scan."""
CHANGED = "changed.npy"
"""What `region: known` adds."""

LISTED = frozenset({"os.listdir", "os.scandir"})
CHANGES = {
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.utime": ((0, 3),),
}
"""Audit events that change a folder: places of a path among their arguments, and of the descriptor it starts at."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class LeakError(RefbenchError):
    """An attacker opened what it was not given; the message says what."""


@dataclass(frozen=True)
class Given:
    """What one job may open; all paths are real ones, and stand for all that is below them.

    Attributes:
        closed: the store and the data set. read, write: what is open of them.
    """

    closed: frozenset[str]
    read: frozenset[str]
    write: frozenset[str]

    def refuses(self, path: str, event: str, *, writing: bool) -> bool:
        """Whether it was not given this path."""
        places = {path, *_above(path)}
        if self.closed.isdisjoint(places) or not self.write.isdisjoint(places):
            return False
        if writing:  # the way to its own folders may be made, too
            return not (event == "os.mkdir" and any(path in _above(own) for own in self.write))
        return self.read.isdisjoint(places)


@contextmanager
def guarded(job: Job, store: Store, scratch: Path, plugin_files: Sequence[Path] = ()) -> Iterator[None]:
    """Let a training or an attack open what it may; other jobs are left alone.

    The hook stays in this process for good, and does nothing after the block.

    Args:
        job: `where["dataset"]`, if it is there, lists files and folders of the data set (`leaks.places_of`).
        store: where the job's inputs are.
        scratch: its own folder, the result's among it.
        plugin_files: may be read wherever they lie.

    Raises:
        LeakError: it opened something else, whatever became of the error there; the message names the file by its
            place in the store. Files of the data set are not named: their names may tell who somebody is.
    """
    if job.kind not in ("train", "reconstruct"):
        yield
        return
    watch = _Watch(given_to(job, store, scratch, plugin_files), job.identity["attacker"]["name"], _real(store.root))
    sys.addaudithook(watch)
    try:
        yield
    except Exception as error:
        if watch.refused:
            raise LeakError(watch.refused) from error
        raise
    finally:
        watch.active = False
    if watch.refused:
        raise LeakError(watch.refused)


def given_to(job: Job, store: Store, scratch: Path, plugin_files: Sequence[Path]) -> Given:
    """What a training or an attack may open."""
    data = {_real(Path(place)) for place in job.where.get("dataset", ())}
    # A part of the store may lie elsewhere, behind a link.
    closed = {_real(place) for place in (store.root, *store.root.iterdir())}
    if job.kind == "train":
        read = [store.folder(key) for key in job.needs]
    else:
        known = job.identity["attacker"]["params"].get("region") == "known"
        files = (*RELEASED, CHANGED) if known else RELEASED
        trained = job.identity["trained"]
        read = [store.folder(key) / name for key in job.needs if key != trained for name in files]
        read.append(store.folder(trained) / "model")
    write = [scratch, *(store.root / path for name, path in job.where.items() if name in IN_STORE)]
    # Python and plug-ins that lie among the scans may be imported; the folder one works in is on the path by chance.
    code = {_real(Path(place)) for place in (sys.prefix, *sys.path)} - {str(Path.cwd())}
    code |= {_real(file) for file in plugin_files}
    code = {place for place in code if not data.isdisjoint(_above(place))}
    return Given(frozenset(closed | data), frozenset({*map(_real, read), *code}), frozenset(map(_real, write)))


class _Watch:
    """The audit hook of one job."""

    def __init__(self, given: Given, attacker: str, root: str) -> None:
        self.given = given
        self.attacker = attacker
        self.root = root
        self.active = True
        self.refused = ""
        above = {folder for closed in given.closed for folder in _above(closed)}
        self.python = tuple(f"{place}{os.sep}" for place in {sys.prefix, sys.base_prefix} - above)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "open":
            path, mode, flags = arguments
            writing = bool(flags & WRITING) or (isinstance(mode, str) and not set(mode).isdisjoint("wax+"))
            self._look(event, path, writing=writing)
        elif event in LISTED:
            self._look(event, "." if arguments[0] is None else arguments[0], writing=False)
        elif event in CHANGES:
            for place, start in CHANGES[event]:
                if start is None or arguments[start] == -1:
                    self._look(event, arguments[place], writing=True)

    def _look(self, event: str, asked: Any, *, writing: bool) -> None:
        if isinstance(asked, int):  # a descriptor: it was looked at when it was opened
            return
        if isinstance(asked, str) and asked.startswith(self.python) and ".." not in asked:  # thousands, at an import
            return
        try:
            path = os.path.realpath(os.fsdecode(asked))
        except ValueError:  # no path at all: whoever asked hears of it
            return
        if not self.given.refuses(path, event, writing=writing):
            return
        did = "wrote to" if writing else "opened"
        what = "the data set"
        if path == self.root:
            what = "the store itself"
        elif self.root in _above(path):
            what = f"{os.path.relpath(path, self.root)} in the store"
        said = (
            f"{self.attacker} {did} {what}: an attacker may read only what it is given, and write into its own folders"
        )
        self.refused = self.refused or said
        raise LeakError(said)


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _above(path: str) -> Iterable[str]:
    """All folders that a path lies in."""
    while path := path.rpartition(os.sep)[0]:
        yield path
