"""What the rest of a plan will take: disk, time and memory, from what such jobs took before."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from refbench.attackers.options import NetworkAttacker
from refbench.explain import Reason
from refbench.job import Job
from refbench.plan import Plan
from refbench.slicing import SliceOptions
from refbench.store import Store

SAMPLE = 30
"""So many finished jobs of a kind are looked at."""


@dataclass(frozen=True)
class Expected:
    """What jobs of one kind will take that have not run yet.

    Attributes:
        what: their kind, and whose they are.
        jobs: how many.
        disk: bytes that their results will take; None: not known yet.
        seconds: their time, one after another; None: not known yet.
    """

    what: str
    jobs: int
    disk: float | None
    seconds: float | None


@dataclass(frozen=True)
class Estimate:
    """What the rest of a plan will take.

    Attributes:
        expected: kind by kind, in the order in which they run.
        free: bytes that are free where the store lies.
        training_memory: bytes of the slices that the largest training holds in memory.
    """

    expected: tuple[Expected, ...]
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


def estimate(plan: Plan, store: Store, reasons: Iterable[Reason]) -> Estimate:
    """Say what the jobs of a plan will take that are yet to run.

    Known is what jobs of the same kind and plug-in took that are done already in this plan: they are alike for the
    scans of one cohort and the cells of one attacker. Of slices and reconstructions the size on disk follows from the
    options, and of a training with `budget_minutes` the time. No volume is opened.

    Args:
        plan: which jobs.
        store: what there is already.
        reasons: of every job, see `refbench.explain`.
    """
    state = {reason.job.key: reason.state for reason in reasons}
    groups: dict[str, list[Job]] = {}
    for what, job in _named_jobs(plan):
        groups.setdefault(what, []).append(job)
    options = plan.suite.file.slices
    known_seconds = {
        f"train {chosen.label}": 60 * chosen.plugin.budget_minutes
        for chosen in plan.suite.attackers
        if isinstance(chosen.plugin, NetworkAttacker) and chosen.plugin.budget_minutes is not None
    }
    expected = []
    for what, jobs in groups.items():
        done = [job for job in jobs if state[job.key] == "cached"]
        waiting = [job for job in jobs if state[job.key] == "run"]
        if waiting:
            records = [(_disk(store, job), _seconds(store, job)) for job in done[:SAMPLE]]
            disk, seconds = np.mean(records, axis=0).tolist() if records else (None, known_seconds.get(what))
            if (size := _size_by_options(waiting[0], options)) is not None:
                disk = size
            expected.append(Expected(what, len(waiting), _times(len(waiting), disk), _times(len(waiting), seconds)))
    people = max((len(cell.train.needs) for cell in plan.cells), default=0)
    in_memory = people * options.count * options.size**2 * (2 * 4 + 1)  # two images and the changed region
    return Estimate(tuple(expected), shutil.disk_usage(store.root).free, in_memory)


def _named_jobs(plan: Plan) -> Iterator[tuple[str, Job]]:
    """Every job with the kind of job that it is like, in the order in which they run."""
    suite = plan.suite
    for scan in plan.scans:
        yield from ((job.kind, job) for job in scan.common())
    if plan.average:
        yield "average", plan.average
    for number, hidden in enumerate(suite.anonymizers):
        for scan in plan.scans:
            for jobs in (scan.anonymized, scan.checks, scan.slices):
                yield f"{jobs[number].kind} {hidden.label}", jobs[number]
    for cell in plan.cells:
        label = suite.attackers[cell.attacker].label
        yield f"train {label}", cell.train
        yield f"reconstruct {label}", cell.reconstruct
    for jobs in (*plan.releases, *(cell.scores for cell in plan.cells)):
        for metric, job in zip(suite.metrics, jobs, strict=True):
            yield f"score {metric.label}", job


def _size_by_options(job: Job, options: SliceOptions) -> float | None:
    pixels = options.count * options.size**2
    if job.kind == "slice":
        return pixels * 2.0 * (np.dtype(options.storage).itemsize + 1)  # two images, two masks
    if job.kind == "reconstruct":
        return len(job.identity["test"]) * pixels * 4.0
    return None


def _times(count: int, each: float | None) -> float | None:
    return None if each is None else count * each


def _disk(store: Store, job: Job) -> int:
    files = (store.record(job.key) or {}).get("files")
    if files is not None:
        return sum(size for size, _ in files.values())
    return sum(path.stat().st_size for path in store.folder(job.key).rglob("*"))


def _seconds(store: Store, job: Job) -> float:
    return float((store.record(job.key) or {})["seconds"])
