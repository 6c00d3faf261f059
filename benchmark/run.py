"""Executes a suite: plans, runs what the store lacks, writes the tables."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from refbench.engines.base import Engine, Listener
from refbench.engines.choose import make_engine
from refbench.engines.options import HERE, EngineOptions
from refbench.plan import Plan, build_plan
from refbench.provenance import environment
from refbench.results import Run, write_results
from refbench.resume import GO_ON, FailFast, FirstFailure, Resume
from refbench.run_status import attended, write_plan
from refbench.store import Store
from refbench.suite import Suite


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
    """

    run: Run
    jobs: int
    cached: int
    failures: list[dict[str, Any]] = field(default_factory=list)


def execute(
    suite: Suite,
    store: Store,
    progress: Progress,
    *,
    engine: EngineOptions = HERE,
    resume: Resume = GO_ON,
    slots: int | None = None,
) -> Outcome:
    """Run a suite to its tables; the same call again goes on where the last one ended.

    Args:
        suite: what to run.
        store: what is there already.
        progress: hears what happens.
        engine: where jobs run; this machine if not given, whatever the suite says.
        resume: what is done about jobs that have ended before, and which ones are done.
        slots: jobs side by side on this machine; the number of cores if not given.

    Raises:
        DataError: the cohort cannot be listed or split.
        SuiteError: `resume` names what is not there, or a training wants more graphics cards than there are.
        EngineError: the machines that jobs should run on cannot be had.
        KeyboardInterrupt: stopped by the user; what has finished is kept.
    """
    started = time.time()
    store.sweep()
    plan = build_plan(suite, store)
    if resume.prepare(plan, store):
        plan = build_plan(suite, store, plan.cohort)
    jobs = list(plan.jobs())
    cached = sum(store.has(job.key) for job in jobs)
    progress.planned(suite, len(jobs), cached)
    if resume.waiting(plan, store):
        listener = FailFast(progress) if resume.fail_fast else progress
        made = make_engine(engine, suite, store, listener, slots=slots)
        try:
            with attended(suite, store):
                plan = _run_stages(plan, made, store, progress, resume, started)
        except FirstFailure:
            plan = build_plan(suite, store, plan.cohort)
        jobs = list(plan.jobs())
    write_plan(plan, store, started)
    info = {
        "suite": suite.name,
        "description": suite.file.description,
        "started": started,
        "seconds": time.time() - started,
        "dataset": suite.dataset.label,
        "slices": suite.file.slices.model_dump(mode="json"),
        "selection": {"metric": suite.judge.label, "region": suite.file.selection.region},
        "training": suite.file.training.model_dump(mode="json"),
        "engine": {engine.name: engine.written()},
        "environment": environment(),
        "notes": list(plan.notes),
    }
    failures = [record for key in dict.fromkeys(job.key for job in jobs) if (record := store.failure(key))]
    return Outcome(write_results(plan, store, info), len(jobs), cached, failures)


def _run_stages(plan: Plan, engine: Engine, store: Store, progress: Progress, resume: Resume, started: float) -> Plan:
    """Run stage after stage; after each the plan is made anew, since it depends on what failed."""
    suite = plan.suite
    write_plan(plan, store, started)
    stages, waiting = plan.stages(), resume.waiting(plan, store)
    kinds = {job.kind for job in plan.jobs() if job.key in waiting}
    with engine.ready(kinds, deep="train" in kinds and any(stage.deep and stage.shards for stage in stages)):
        for number in range(len(stages)):
            stage = plan.stages()[number]
            shards = [[job for job in shard if job.key in waiting] for shard in stage.shards]
            shards = [shard for shard in shards if shard]
            if shards:
                progress.stage(stage.name, sum(map(len, shards)))
                engine.run(shards, deep=len(stage.shards) if stage.deep else 0)
                plan = build_plan(suite, store, plan.cohort)
                write_plan(plan, store, started)
                waiting = resume.waiting(plan, store)
    return plan
