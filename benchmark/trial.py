"""Prepares one subject, so that a plan can say what preparing all of them will take."""

from __future__ import annotations

from refbench.engines.base import Listener
from refbench.engines.local import LocalEngine, warm_server
from refbench.job import Job
from refbench.plan import Plan
from refbench.store import Store


def prepare_one(plan: Plan, store: Store, listener: Listener) -> None:
    """Run what the store lacks of one training scan's preparation; the results are kept, and a later run takes them.

    Left out is what waits for the average head where that is not there yet, as it takes all training scans.
    """
    chosen = next(
        (scan for scan in plan.scans if scan.part == "train" and store.failure(scan.head.key) is None), plan.scans[0]
    )
    waiting = {plan.average.key} if plan.average and not store.has(plan.average.key) else set[str]()
    jobs: list[Job] = []
    for job in (*chosen.common(), *chosen.releases()):
        if waiting.isdisjoint(job.needs):
            jobs.append(job)
        else:
            waiting.add(job.key)
    kinds = {job.kind for job in jobs if not store.has(job.key) and store.failure(job.key) is None}
    if kinds:
        engine = LocalEngine(store, plan.suite.file.limits, plan.suite.plugin_files, listener, slots=1)
        with warm_server(kinds, deep=False):
            engine.run([jobs])
