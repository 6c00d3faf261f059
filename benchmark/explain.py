"""Says of every job of a plan whether it is cached, and why each of the others must run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refbench.checksums import Finding, look
from refbench.job import LASTING, Job
from refbench.plan import Plan, open_jobs
from refbench.results import run_folder
from refbench.store import Store


@dataclass(frozen=True)
class Reason:
    """Why a job is where it is. `state`: cached, run, or kept (a lasting failure)."""

    job: Job
    state: str
    why: str


def explain(plan: Plan, store: Store) -> list[Reason]:
    """One reason per job, in the order in which they would run."""
    earlier, waiting = _earlier_keys(plan, store), open_jobs(plan, store)
    # Listed once: a plan of many cells asks for tens of thousands of jobs that have never run.
    there, failed, replaced, dropped = map(
        frozenset, (store.keys(), store.failed(), store.replaced(), store.dropped_keys())
    )
    made = there | dropped  # an earlier job that never ended well has left nothing to compare with
    reasons = []
    for job in plan.jobs():
        failure = store.failure(job.key) if job.key in failed else None
        found = look(store.folder(job.key), deep=False) if job.key in there else Finding("gone")
        if found.state == "damaged":
            reasons.append(Reason(job, "run", f"damaged: {found.what}"))
        elif job.key in replaced and not failure:
            reasons.append(Reason(job, "run", "to be done again"))
        elif found.state != "gone":
            reasons.append(Reason(job, "cached", ""))
        elif job.key not in waiting and job.key in dropped:
            reasons.append(Reason(job, "cached", "dropped, and nobody needs it"))
        elif failure and failure["status"] in LASTING:
            reasons.append(Reason(job, "kept", f"{failure['status']}: {failure['error']} (again with --retry failed)"))
        elif failure:
            reasons.append(Reason(job, "run", f"{failure['status']} last time: {failure['error']}"))
        elif job.key in dropped:
            reasons.append(Reason(job, "run", "dropped, and needed again"))
        elif earlier.get(job.label) not in made:
            reasons.append(Reason(job, "run", "new"))
        else:
            told = differences(store.identity(earlier[job.label]), job.identity)
            reasons.append(Reason(job, "run", "changed: " + ", ".join(told)))
    return reasons


def _earlier_keys(plan: Plan, store: Store) -> dict[str, str]:
    """What the same labels meant in the last run of a suite of this name."""
    name = run_folder(plan.suite, store).name.rpartition("-")[0]
    found = sorted(store.root.glob(f"runs/{name}-????????/jobs.json"), key=lambda path: path.stat().st_mtime)
    keys: dict[str, str] = json.loads(found[-1].read_text()) if found else {}
    return keys


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """The leaves that differ, as `attacker.params.width 32 → 16`; long digests and lists of inputs only by name."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [key for key in {**before, **now} if key != "kind"]
        return [
            difference
            for key in keys
            for difference in differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
        ]
    if before == now:
        return []
    digests = isinstance(now, list) or (isinstance(now, str) and len(now) == 40)
    return [name if digests else f"{name} {before} → {now}"]
