"""Making room: what no run refers to goes, then what rules give up, and what is over a budget."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from refbench.damage import READ_BY_TABLES
from refbench.errors import StoreError
from refbench.store import Store, cut_short
from refbench.store_care.usage import Result, Usage, folder_size, look_through

UNREFERENCED = "no run refers to it"
DAMAGED = "set aside as damaged"
ENDED = "its task has ended"
CUT_SHORT = "its writer was killed"
GIVEN_UP = "kind not kept"
OVER_BUDGET = "over the budget"


@dataclass(frozen=True)
class Rules:
    """What is kept of what runs refer to.

    Attributes:
        keep: kinds of job whose results stay; None: all. What tables are made of always stays, and so do records.
        budget: bytes that the whole store may have; None: any.
    """

    keep: frozenset[str] | None = None
    budget: int | None = None


@dataclass(frozen=True)
class Removal:
    """One thing that goes. `what`: a kind of job, or of file."""

    why: str
    what: str
    bytes: int


@dataclass(frozen=True)
class Collection:
    """What went, or would go.

    Attributes:
        left: bytes of the store afterwards.
        spared: results that are needed now, by runs that go on or jobs that wait.
        strangers: running jobs that no run knows; where there are any, nothing was touched.
    """

    removals: tuple[Removal, ...]
    left: int
    spared: int
    strangers: int


def collect(store: Store, rules: Rules, *, dry: bool = False) -> Collection:
    """Make room. What runs need that go on now, or jobs that run or wait, is never touched.

    Results that runs refer to are dropped: their records stay, tables stay the same, and whoever needs them again
    makes them again. Over a budget those go first that no run has used for longest, and of a run those kinds that are
    cheap to make again for the room that they take.

    Args:
        store: where.
        rules: what is kept.
        dry: touch nothing.

    Raises:
        StoreError: the store cannot be written, or nobody knows what a run needs, since its list is damaged.
    """
    if not (dry or store.writable):
        raise StoreError(f"{store.root} cannot be written; `--dry-run` shows what could go")
    with store.undisturbed(alone=True):
        work = _Work(store, look_through(store), folder_size(store.root), dry)
        if not work.usage.strangers:
            work.unreferenced()
            work.give_up(rules)
    if not dry:  # the slow part, when others may plan again
        shutil.rmtree(store.root / "trash", ignore_errors=True)
        for kept in (store.root / "dropped").glob("??/*"):
            store.thin(kept.name)
    left = work.total - sum(one.bytes for one in work.removals) if dry else folder_size(store.root)
    spared = len(work.usage.untouchable & work.usage.results.keys())
    return Collection(tuple(work.removals), left, spared, len(work.usage.strangers))


@dataclass
class _Work:
    store: Store
    usage: Usage
    total: int
    dry: bool
    removals: list[Removal] = field(default_factory=list)

    def unreferenced(self) -> None:
        """All that no run refers to. Checkpoints of unfinished runs stay, since these are referred to."""
        root, referenced = self.store.root, self.usage.referenced
        for key in sorted(self.usage.results.keys() - referenced):
            self._remove(UNREFERENCED, self.usage.results[key].kind, self.store.folder(key))
        for what, pattern in (
            ("failure", "failures/??/*"),
            ("record", "dropped/??/*"),
            ("job", "jobs/??/*"),
            ("unfinished", "scratch/*"),
        ):
            for path in root.glob(pattern):
                if path.stem not in referenced and path.suffix != ".lock" and not path.name.startswith("."):
                    self._remove(UNREFERENCED, what, path)
        for path in (root / "damaged").glob("*"):
            self._remove(DAMAGED, "result", path)
        if self.usage.quiet:
            for path in (root / "shared").glob("*"):
                if path.name not in self._shared():
                    self._remove(UNREFERENCED, "shared", path)
            for path in (root / "slurm").glob("*"):
                self._remove(ENDED, "task file", path)
            for path in cut_short(root):
                self._remove(CUT_SHORT, "unfinished", path)

    def _shared(self) -> frozenset[str]:
        """Folders under shared/ that trainings name which stay."""
        records = (self.store.record(key) for key in self.usage.referenced)
        places = (record.get("where", {}).get("shared") for record in records if record)
        return frozenset(Path(place).name for place in places if place)

    def give_up(self, rules: Rules) -> None:
        """What the rules give up of what runs refer to."""
        droppable = self._droppable()
        if rules.keep is not None:
            kept = rules.keep
            for result in droppable:
                if result.kind not in kept:
                    self._drop(GIVEN_UP, result)
            droppable = [result for result in droppable if result.kind in kept]
        if rules.budget is not None:
            over = self.total - sum(one.bytes for one in self.removals) - rules.budget
            for result in sorted(droppable, key=self._rank()):
                if over <= 0:
                    break
                over -= result.bytes - result.records
                self._drop(OVER_BUDGET, result)

    def _droppable(self) -> list[Result]:
        keys = self.usage.referenced - self.usage.untouchable
        there = (self.usage.results[key] for key in sorted(keys) if key in self.usage.results)
        return [result for result in there if result.kind not in READ_BY_TABLES]

    def _rank(self) -> Callable[[Result], tuple[float, float, str, str]]:
        """Longest unused first; then kinds that take few seconds to make for their bytes."""
        seconds: dict[str, float] = {}
        size: dict[str, float] = {}
        for result in self.usage.results.values():
            seconds[result.kind] = seconds.get(result.kind, 0.0) + result.seconds
            size[result.kind] = size.get(result.kind, 1.0) + result.bytes
        used = self.usage.last_used
        return lambda one: (used.get(one.key, 0.0), seconds[one.kind] / size[one.kind], one.kind, one.key)

    def _remove(self, why: str, what: str, path: Path) -> None:
        self.removals.append(Removal(why, what, folder_size(path)))
        if not self.dry:
            trash = self.store.root / "trash"
            trash.mkdir(exist_ok=True)
            path.rename(trash / uuid.uuid4().hex)

    def _drop(self, why: str, result: Result) -> None:
        self.removals.append(Removal(why, result.kind, result.bytes - result.records))
        if not self.dry:
            self.store.drop(result.key)
