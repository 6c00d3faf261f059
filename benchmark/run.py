"""Executes a suite: plans, runs what the store lacks, writes the tables."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, get_args

from refbench.cohort import Cohort
from refbench.damage import set_aside_damaged
from refbench.engines.base import Listener
from refbench.engines.local import LocalEngine
from refbench.errors import StoreError
from refbench.job import LASTING, Status
from refbench.lock_file import going_on, write_lock
from refbench.plan import Plan, build_plan, open_jobs
from refbench.provenance import environment
from refbench.results import Run, run_folder, write_results
from refbench.split_options import Part
from refbench.store import Store
from refbench.suite import Suite

ROUNDS = 3
"""How often the stages are gone through, where jobs find damaged results that must be made again."""


class Progress(Listener, Protocol):
    """A listener that also hears of the plan and of its stages."""

    def planned(self, suite: Suite, total: int, cached: int) -> None:
        """The whole plan is known."""

    def stage(self, name: str, jobs: int) -> None:
        """A stage with so many jobs to run begins."""


@dataclass
class Outcome:
    """What an execution came to.

    Attributes:
        jobs, cached: how many, and how many of them were there before. failures: records of jobs that ended badly.
        damaged: results that were found damaged, and how; they were made again where anybody needs them.
    """

    run: Run
    jobs: int
    cached: int
    failures: list[dict[str, Any]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def execute(
    suite: Suite,
    store: Store,
    progress: Progress,
    *,
    retry: bool = False,
    whole: bool = False,
    slots: int | None = None,
    parts: Mapping[str, Part] | None = None,
) -> Outcome:
    """Run a suite to its tables; the same call again goes on where the last one ended.

    Args:
        suite: what to run.
        store: what is there already.
        progress: hears what happens.
        retry: try jobs again that failed in a way they would meet again.
        whole: make what was dropped again, whether or not it is needed.
        slots: jobs side by side; the number of cores if not given.
        parts: subject to part, in place of the suite's own split.

    Raises:
        StoreError: the store cannot be written, and there is something to do.
        DataError: the cohort cannot be listed or split.
        SuiteError: a training wants more graphics cards than there are.
        KeyboardInterrupt: stopped by the user; what has finished is kept.
    """
    started = time.time()
    store.sweep()
    folder = run_folder(suite, store)
    with going_on(store, folder.name):
        before = store.damaged()
        plan = _planned(suite, store, folder, parts=parts)
        damaged = set_aside_damaged(store, plan.jobs())
        # Kills, full memories and time-outs are tried again; so is what was blocked; an error only when asked.
        again = [status for status in get_args(Status) if retry or status not in LASTING]
        if _forget_failures(plan, store, again) or damaged:
            plan = _planned(suite, store, folder, plan.cohort)
        waiting = open_jobs(plan, store, whole=whole)
        unfinished, jobs = waiting.union(store.failed()), list(plan.jobs())
        cached = sum(job.key not in unfinished for job in jobs)
        progress.planned(suite, len(jobs), cached)
        if waiting and not store.writable:
            raise StoreError(
                f"{store.root} cannot be written, and {len(waiting)} of {len(jobs)} jobs of this suite are yet to be "
                "done; choose another store with --store"
            )
        for _ in range(ROUNDS if waiting else 0):
            known = store.damaged()
            plan = _run_stages(plan, store, folder, progress, slots, whole=whole)
            if store.damaged() == known:
                break
            _forget_failures(plan, store, ["blocked"])  # some only wait for the results that were set aside
            plan = _planned(suite, store, folder, plan.cohort)
        run = write_results(plan, store, _about(plan, started))
        write_lock(plan, store, folder, ended=True)
    jobs = list(plan.jobs())
    keys = dict.fromkeys(job.key for job in jobs)
    failures = [record for key in keys if (record := store.failure(key))]
    found = [what for key, what in store.damaged().items() if key in keys and what != before.get(key)]
    return Outcome(run, len(jobs), cached, failures, [f"{what['label']}: {what['what']}" for what in found])


def _about(plan: Plan, started: float) -> dict[str, Any]:
    """What `run.json` says beside the split."""
    suite = plan.suite
    return {
        "suite": suite.name,
        "description": suite.file.description,
        "started": started,
        "seconds": time.time() - started,
        "dataset": suite.dataset.label,
        "slices": suite.file.slices.model_dump(mode="json"),
        "selection": {"metric": suite.judge.label, "region": suite.file.selection.region},
        "training": suite.file.training.model_dump(mode="json"),
        "environment": environment(),
        "notes": list(plan.notes),
    }


def _planned(
    suite: Suite,
    store: Store,
    folder: Path,
    cohort: Cohort | None = None,
    parts: Mapping[str, Part] | None = None,
) -> Plan:
    """A plan whose results nobody takes out of the store from now on."""
    with store.undisturbed():
        plan = build_plan(suite, store, cohort, parts)
        write_lock(plan, store, folder)
    return plan


def _run_stages(plan: Plan, store: Store, folder: Path, progress: Progress, slots: int | None, *, whole: bool) -> Plan:
    """Run stage after stage; after each the plan is made anew, since it depends on what failed."""
    suite = plan.suite
    waiting = open_jobs(plan, store, whole=whole)
    kinds = {job.kind for job in plan.jobs() if job.key in waiting}
    slots, cards = slots or os.cpu_count() or 1, suite.file.training.gpus
    engine = LocalEngine(store, suite.file.limits, suite.plugin_files, progress, slots, cards)
    stages = plan.stages()
    with engine.ready(kinds, deep="train" in kinds and any(stage.deep and stage.shards for stage in stages)):
        for number in range(len(stages)):
            stage = plan.stages()[number]
            shards = [[job for job in shard if job.key in waiting] for shard in stage.shards]
            shards = [shard for shard in shards if shard]
            if shards:
                progress.stage(stage.name, sum(map(len, shards)))
                engine.run(shards, deep=len(stage.shards) if stage.deep else 0)
                plan = _planned(suite, store, folder, plan.cohort)
                waiting = open_jobs(plan, store, whole=whole)
    return plan


def _forget_failures(plan: Plan, store: Store, which: Collection[str]) -> bool:
    """Let jobs be tried again that ended so; whether there were any."""
    forgotten = False
    for job in plan.jobs() if store.writable else ():
        record = store.failure(job.key)
        if record and record["status"] in which:
            store.forget_failure(job.key)
            forgotten = True
    return forgotten
