"""What the rest of a plan will take: disk, time, graphics cards and memory."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass

from refbench.engines.options import HERE, EngineOptions
from refbench.explain import Reason
from refbench.forecast.alike import Group, Item, items
from refbench.forecast.at_once import at_once, device
from refbench.forecast.history import History, Known
from refbench.forecast.outlook import Left, Outlook
from refbench.plan import Plan
from refbench.store import Store

MUCH = 1.2
"""From this ratio on it is said that figures are scaled from jobs with more or less work."""

FAR = 10.0
"""From this ratio on it is rough, since what is the same for every job counts as well."""


@dataclass(frozen=True)
class Expected:
    """What jobs of one kind will take that have not run yet.

    Attributes:
        what: their kind, and whose they are.
        jobs: how many.
        disk: bytes that their results will take; None: not known yet.
        seconds: their time, one after another; None: not known yet.
        records: how many records of such jobs the time is from.
        note: where the time comes from, for people.
    """

    what: str
    jobs: int
    disk: float | None
    seconds: float | None
    records: int = 0
    note: str = ""


@dataclass(frozen=True)
class Estimate:
    """What the rest of a plan will take.

    Attributes:
        expected: kind by kind, in the order in which they run.
        left: time from the start to the end, on this engine.
        waits_for_others: whether tasks may wait in a cluster's queue, which nobody can foresee.
        side_by_side: most jobs that run at a time; None: only the cluster knows.
        records: how many it is from.
        gpu_seconds: of all graphics cards together, of what is known; None: there are none to use.
        free: bytes that are free where the store lies.
        training_memory: bytes of the slices that the largest training holds in memory.
    """

    expected: tuple[Expected, ...]
    left: Left
    waits_for_others: bool
    side_by_side: int | None
    records: int
    gpu_seconds: float | None
    free: int
    training_memory: int

    @property
    def disk(self) -> float:
        """Bytes, of all that is known."""
        return sum(item.disk or 0 for item in self.expected)

    @property
    def seconds(self) -> float:
        """One job after another, of all that is known."""
        return sum(item.seconds or 0 for item in self.expected)


def estimate(
    plan: Plan, store: Store, reasons: Iterable[Reason], engine: EngineOptions = HERE, slots: int | None = None
) -> Estimate:
    """Say what the jobs of a plan will take that are yet to run.

    Known is what jobs of the same kind and plug-in took: those of this plan that are done already, else those of
    earlier runs in the same store. Times of trainings are scaled with the people, slices and epochs that they see. Of
    slices and reconstructions the size on disk follows from the options. No volume is opened.

    Args:
        plan: which jobs.
        store: what there is already.
        reasons: of every job, see `refbench.explain`.
        engine: where they will run.
        slots: jobs side by side on this machine; as many as have room if not given.
    """
    waiting = frozenset(reason.job.key for reason in reasons if reason.state == "run")
    outlook = outlook_of(plan, store, waiting, engine, slots)
    groups: dict[Group, list[Item]] = defaultdict(list)
    for item in items(plan):
        if item.key in waiting:
            groups[item.group].append(item)
    side_by_side = at_once(plan, engine, slots)
    expected = {group: _expected(group, own, outlook.known[group]) for group, own in groups.items()}
    busy = [side_by_side[stage] for stage in {group.stage for group in groups}]
    options = plan.suite.file.slices
    people = max((len(cell.train.needs) for cell in plan.cells), default=0)
    return Estimate(
        expected=tuple(expected.values()),
        left=outlook.left({}),
        waits_for_others=engine.name == "slurm",
        side_by_side=None if None in busy else max(filter(None, busy), default=1),
        records=sum({group.family: one.records for group, one in expected.items()}.values()),
        gpu_seconds=_gpu_seconds(expected, outlook, device(plan, engine)),
        free=shutil.disk_usage(store.root).free,
        training_memory=people * options.count * options.size**2 * (2 * 4 + 1),  # two images and the changed region
    )


def outlook_of(plan: Plan, store: Store, waiting: Container[str], engine: EngineOptions, slots: int | None) -> Outlook:
    """What is yet to run of a plan; `waiting`: keys of these jobs, the others as in `estimate`."""
    every = list(items(plan))
    there = frozenset(store.keys()).union(store.dropped_keys())
    history = History(store, (item for item in every if item.key in there and item.key not in waiting))
    left = (item for item in every if item.key in waiting)
    return Outlook(left, history, at_once(plan, engine, slots), device(plan, engine))


def _expected(group: Group, own: list[Item], known: Known | None) -> Expected:
    work = sum(item.work for item in own)
    disk = None if known is None or known.bytes is None else len(own) * known.bytes
    if group.size is not None:
        disk = group.size * work
    if known is None:
        seconds = None if group.default is None else len(own) * group.default
        note = "" if seconds is None else "budget_minutes, no record yet"
        return Expected(group.what, len(own), disk, seconds, 0, note)
    scale = work / len(own) / known.work
    notes = [f"{known.records} record{'s' * (known.records > 1)}", known.note]
    if not 1 / MUCH < scale < MUCH:
        rough = "" if 1 / FAR < scale < FAR else ": rough"
        notes.append(f"scaled × {scale:.2g}{rough}")
    return Expected(group.what, len(own), disk, known.pace * work, known.records, ", ".join(filter(None, notes)))


def _gpu_seconds(expected: dict[Group, Expected], outlook: Outlook, where: str | None) -> float | None:
    """Of jobs that will have graphics cards, as far as that is known."""
    found = None
    for group, one in expected.items():
        known = outlook.known[group]
        on = where or (known.device if known else None)
        if group.cards and on == "cuda":
            found = (found or 0.0) + (one.seconds or 0.0) * group.cards
    return found
