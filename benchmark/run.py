"""Executes a suite: plans, runs what the store lacks, writes the tables."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refbench.caveats import scale_notes
from refbench.cohort import Cohort
from refbench.damage import set_aside_damaged
from refbench.engines.base import Engine
from refbench.engines.choose import make_engine
from refbench.engines.options import HERE, EngineOptions
from refbench.errors import StoreError
from refbench.face_results import head_notes
from refbench.forecast.estimate import outlook_of
from refbench.leaks import refuse_same_voxels
from refbench.lock_file import going_on, write_lock
from refbench.plan import Plan, build_plan
from refbench.provenance import environment
from refbench.records import Records, read_records
from refbench.results import Run, run_folder, write_results
from refbench.resume import GO_ON, FailFast, FirstFailure, Resume, forget_failures
from refbench.run_status import note_end, write_plan
from refbench.smaller_batch import batch_notes
from refbench.split_options import Part
from refbench.store import Store
from refbench.suite import Suite
from refbench.watch.events import EventLog
from refbench.watch.listeners import Progress, Together

ROUNDS = 3
"""How often the stages are gone through, where jobs find damaged results that must be made again."""


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
    engine: EngineOptions = HERE,
    resume: Resume = GO_ON,
    slots: int | None = None,
    parts: Mapping[str, Part] | None = None,
) -> Outcome:
    """Run a suite to its tables; the same call again goes on where the last one ended.

    Args:
        suite: what to run.
        store: what is there already.
        progress: hears what happens.
        engine: where jobs run; this machine if not given, whatever the suite says.
        resume: what is done about jobs that have ended before, and which ones are done.
        slots: jobs side by side on this machine; if not given one per core, or as many as have room in memory.
        parts: subject to part, in place of the suite's own split.

    Raises:
        StoreError: the store cannot be written, and there is something to do.
        DataError: the cohort cannot be listed or split, or one head is in two parts.
        SuiteError: `resume` names what is not there, or a training wants more graphics cards than there are.
        EngineError: the machines that jobs should run on cannot be had.
        KeyboardInterrupt: stopped by the user; what has finished is kept.
    """
    started, began = time.time(), time.monotonic()
    store.sweep()
    folder = run_folder(suite, store)
    events = EventLog(folder, engine.name, silent=not store.writable)
    progress = Together(progress, events)
    run = _Execution(suite, store, folder, resume, started, engine, slots)
    with events, going_on(store, folder.name):
        before = store.damaged()
        plan = run.plan(parts=parts)
        damaged = set_aside_damaged(store, plan.jobs())
        if resume.prepare(plan, store) or damaged:
            plan = run.plan(plan.cohort)
        run.tell_damage(before, progress)
        waiting, jobs = resume.waiting(plan, store), list(plan.jobs())
        there = frozenset(store.keys()).union(store.dropped_keys()) - waiting
        cached = sum(job.key in there for job in jobs)
        progress.planned(suite, len(plan.cells), len(jobs), cached)
        if waiting:
            if not store.writable:
                raise StoreError(
                    f"{store.root} cannot be written, and {len(waiting)} of {len(jobs)} jobs of this suite are yet to "
                    "be done; choose another store with --store"
                )
            listener = FailFast(progress) if resume.fail_fast else progress
            made = make_engine(engine, suite, store, listener, slots=slots)
            try:
                plan = run.rounds(plan, made, progress)
            except FirstFailure:
                plan = run.plan(plan.cohort)
        records = read_records(plan, store)
        tables = write_results(plan, store, records, _about(plan, records, engine, started, began))
        write_lock(plan, store, run.folder, records.ended.values())
        note_end(run.folder, store)
        jobs = list(plan.jobs())
        keys, failures = {job.key for job in jobs}, list(records.failures.values())
        events.failures = len(failures)
    found = [what for key, what in store.damaged().items() if key in keys and what != before.get(key)]
    return Outcome(tables, len(jobs), cached, failures, [f"{what['label']}: {what['what']}" for what in found])


@dataclass(frozen=True)
class _Execution:
    suite: Suite
    store: Store
    folder: Path
    resume: Resume
    started: float
    engine: EngineOptions
    slots: int | None

    def plan(self, cohort: Cohort | None = None, parts: Mapping[str, Part] | None = None) -> Plan:
        """A plan that others see, and whose results nobody takes out of the store from now on."""
        with self.store.undisturbed():
            plan = build_plan(self.suite, self.store, cohort, parts)
            refuse_same_voxels(plan.scans, self.store)
            write_lock(plan, self.store, self.folder)
        write_plan(plan, self.store, self.started, self.engine, self.slots)
        return plan

    def rounds(self, plan: Plan, engine: Engine, progress: Progress) -> Plan:
        """Run all stages, and once more where they found that earlier results are damaged."""
        for _ in range(ROUNDS):
            known = self.store.damaged()
            plan = self.stages(plan, engine, progress)
            if self.tell_damage(known, progress) == known:
                break
            forget_failures(plan, self.store, ["blocked"])  # some only wait for the results that were set aside
            plan = self.plan(plan.cohort)
        return plan

    def stages(self, plan: Plan, engine: Engine, progress: Progress) -> Plan:
        """Run stage after stage; after each the plan is made anew, since it depends on what failed."""
        stages, waiting = plan.stages(), self.resume.waiting(plan, self.store)
        kinds = {job.kind for job in plan.jobs() if job.key in waiting}
        with engine.ready(kinds, deep="train" in kinds and any(stage.deep and stage.shards for stage in stages)):
            for number in range(len(stages)):
                stage = plan.stages()[number]
                shards = [[job for job in shard if job.key in waiting] for shard in stage.shards]
                shards = [shard for shard in shards if shard]
                if shards:
                    outlook = outlook_of(plan, self.store, waiting, self.engine, self.slots)
                    progress.stage(stage.name, sum(map(len, shards)), outlook)
                    engine.run(shards, deep=len(stage.shards) if stage.deep else 0)
                    plan = self.plan(plan.cohort)
                    waiting = self.resume.waiting(plan, self.store)
        return plan

    def tell_damage(self, known: Mapping[str, dict[str, Any]], progress: Progress) -> dict[str, dict[str, Any]]:
        """Tell what was found damaged since; returns all that lies aside now."""
        found = self.store.damaged()
        for key, what in found.items():
            if what != known.get(key):
                progress.damaged(what["label"], what["what"])
        return found


def _about(plan: Plan, records: Records, engine: EngineOptions, started: float, began: float) -> dict[str, Any]:
    """What `run.json` says beside the split; `started` by the clock, `began` by one that nobody sets."""
    suite = plan.suite
    trainings = [(cell.train.label, records.ended.get(cell.train.key)) for cell in plan.cells]
    return {
        "suite": suite.name,
        "description": suite.file.description,
        "started": started,
        "seconds": time.monotonic() - began,
        "dataset": suite.data,
        "slices": suite.file.slices.model_dump(mode="json"),
        "selection": {"metric": suite.judge.label, "region": suite.file.selection.region},
        "training": suite.file.training.model_dump(mode="json"),
        "controls": suite.file.controls.model_dump(mode="json"),
        "engine": {engine.name: engine.written()},
        "environment": environment(),
        "notes": [
            *suite.file.controls.notes(),
            *plan.notes,
            *scale_notes(suite.file.slices),
            *batch_notes(trainings),
            *head_notes(plan, records),
        ],
    }
