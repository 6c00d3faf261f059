"""How long a run will still take: from records, and from what it has seen itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from refbench.forecast.alike import Group, Item
from refbench.forecast.history import History, Known
from refbench.units import duration

ENOUGH = 3
"""So many jobs of a family that ended in this run tell more than any records."""


@dataclass(frozen=True)
class Left:
    """Time that is left.

    Attributes:
        seconds: of what is known; None: nothing is.
        partly: there are jobs that nothing is known about.
    """

    seconds: float | None
    partly: bool

    def __str__(self) -> str:
        if self.seconds is None or (self.partly and self.seconds < 1):
            return ""
        return f"{'at least' if self.partly else 'about'} {duration(max(1.0, self.seconds))} left"


@dataclass(frozen=True)
class Beat:
    """What is known of a job that runs.

    Attributes:
        elapsed: seconds since it was started. rest: seconds that it will still take by its own count; None: no count.
    """

    elapsed: float
    rest: float | None = None


def rest(first: tuple[float, int], last: tuple[float, int], total: int, now: float) -> float | None:
    """Seconds that are left of a job that counts its steps; None: it has not counted enough.

    Args:
        first: time, and steps that were done then. A training that was taken up again does not begin at 0.
        last: the same of now, or a moment ago.
        total: steps.
        now: time.
    """
    steps, seconds = last[1] - first[1], last[0] - first[0]
    if steps <= 0 or seconds <= 0:
        return None
    return max(0.0, seconds / steps * (total - last[1]) - (now - last[0]))


@dataclass
class _Open:
    """What a group has yet to do. `largest`: the work of its largest job."""

    jobs: int = 0
    work: float = 0.0
    largest: float = 0.0


class Outlook:
    """What is yet to run, and how fast that goes.

    Args:
        items: the jobs that wait or run.
        history: what earlier jobs took.
        at_once: see `refbench.forecast.at_once`.
        device: what networks are trained on; None: not known.
    """

    def __init__(
        self, items: Iterable[Item], history: History, at_once: Mapping[str, int | None], device: str | None
    ) -> None:
        self._items = {item.key: item for item in items}
        self._at_once = at_once
        self._open: dict[Group, _Open] = defaultdict(_Open)
        for item in self._items.values():
            own = self._open[item.group]
            own.jobs, own.work, own.largest = own.jobs + 1, own.work + item.work, max(own.largest, item.work)
        self.known: dict[Group, Known | None] = {group: history.known(group, device) for group in self._open}
        self._seen: dict[str, list[float]] = defaultdict(list)

    def ended(self, key: str, record: Mapping[str, Any]) -> None:
        """One job less, and one more that tells how long such jobs take."""
        item = self._items.pop(key, None)
        if item is None:
            return
        own = self._open[item.group]
        own.jobs, own.work = own.jobs - 1, own.work - item.work
        if not own.jobs:
            del self._open[item.group]
        if record["status"] == "ok":
            self._seen[item.group.family].append(float(record["seconds"]) / (item.work or 1.0))

    def pace(self, group: Group) -> float | None:
        """Seconds for a unit of a group's work."""
        known, seen = self.known[group], self._seen.get(group.family, ())
        if len(seen) >= ENOUGH or (seen and known is None):
            return median(seen)
        return group.default if known is None else known.pace

    def left(self, running: Mapping[str, Beat]) -> Left:
        """Time until the last job has ended.

        Stages run one after another. A stage takes as long as its longest job at least, and all its jobs' time divided
        by how many run side by side.

        Args:
            running: what is known of jobs that run now, by key.
        """
        total, longest = defaultdict[str, float](float), defaultdict[str, float](float)
        busy: dict[Group, _Open] = defaultdict(_Open)
        partly = False
        for key, beat in running.items():
            item = self._items.get(key)
            if item is None:
                continue
            own = busy[item.group]
            own.jobs, own.work = own.jobs + 1, own.work + item.work
            rest = self._rest(item, beat)
            if rest is None:
                partly = True
            else:
                total[item.group.stage] += rest
                longest[item.group.stage] = max(longest[item.group.stage], rest)
        for group, own in self._open.items():
            jobs, work = own.jobs - busy[group].jobs, own.work - busy[group].work
            if jobs <= 0:
                continue
            pace = self.pace(group)
            if pace is None:
                partly = True
            else:
                total[group.stage] += pace * work
                longest[group.stage] = max(longest[group.stage], pace * own.largest)
        seconds = sum(
            max(longest[stage], total[stage] / (self._at_once.get(stage) or max(1, len(running)))) for stage in total
        )
        return Left(seconds if total else None, partly)

    def _rest(self, item: Item, beat: Beat) -> float | None:
        """Seconds that a running job will still take; its own count of steps knows best."""
        rest, pace = beat.rest, self.pace(item.group)
        if rest is None and pace is not None:
            rest = max(0.0, pace * item.work - beat.elapsed)
        if rest is not None and item.group.default is not None:
            rest = min(rest, max(0.0, item.group.default - beat.elapsed))
        return rest
