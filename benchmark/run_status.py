"""Where a run stands, from its folder and the store alone: whoever sees the store can ask, on whatever machine.

A runner writes `plan.json` into the folder of its run as soon as it knows its jobs, and again when they change.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from refbench.errors import StoreError
from refbench.lock_file import goes_on
from refbench.plan import Plan
from refbench.results import run_folder
from refbench.running import running
from refbench.store import Store, write_atomically
from refbench.suite import Suite

PLAN_NAME = "plan.json"
State = Literal["done", "running", "waiting", "failed"]
STATES: tuple[State, ...] = ("done", "running", "waiting", "failed")


@dataclass(frozen=True)
class JobState:
    """One job. `note`: of a running one what it says of itself; of a failed one its record."""

    key: str
    kind: str
    label: str
    state: State
    note: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CellState:
    """One anonymizer against one attacker with one seed. `why`: of a failed one, the first of its jobs that failed."""

    name: str
    state: State
    why: str = ""


@dataclass(frozen=True)
class RunStatus:
    """A run as it is now.

    Attributes:
        started: when its runner began, seconds since 1970. runner: where it works.
        attended: whether a runner lives. finished: whether its tables have been written since.
    """

    name: str
    started: float
    runner: str
    attended: bool
    finished: bool
    jobs: tuple[JobState, ...]
    cells: tuple[CellState, ...]


def write_plan(plan: Plan, store: Store, started: float) -> None:
    """Leave the list of a run's jobs and cells in its folder, where that can be written."""
    if not store.writable:
        return
    cells = [
        {
            "anonymizer": plan.suite.anonymizers[cell.anonymizer].label,
            "attacker": plan.suite.attackers[cell.attacker].label,
            "seed": cell.seed,
            "jobs": [job.key for job in (cell.train, cell.reconstruct, *cell.scores)],
        }
        for cell in plan.cells
    ]
    jobs = {job.key: [job.kind, job.label] for job in plan.jobs()}
    _write(run_folder(plan.suite, store), started, _here(), {"jobs": jobs, "cells": cells})


def announce(suite: Suite, store: Store, started: float, runner: str) -> Path:
    """Say that a runner will come, and where to look for it; returns the run's folder."""
    folder = run_folder(suite, store)
    _write(folder, started, runner, {"jobs": {}, "cells": []})
    return folder


def is_announced(folder: Path) -> bool:
    """Whether a runner was handed in that has not begun yet."""
    try:
        content = json.loads((folder / PLAN_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("jobs") == {}


def _write(folder: Path, started: float, runner: str, content: dict[str, Any]) -> None:
    plan = {"started": started, "runner": runner, "finished": False, **content}
    write_atomically(folder / PLAN_NAME, json.dumps(plan))


def note_end(folder: Path, store: Store) -> None:
    """Say that the tables of a run are those of its plan."""
    if store.writable:
        file = folder / PLAN_NAME
        plan = json.loads(file.read_text(encoding="utf-8"))
        write_atomically(file, json.dumps({**plan, "finished": True}))


def _here() -> str:
    task = os.environ.get("SLURM_JOB_ID")
    return f"process {os.getpid()} on {socket.gethostname()}" + (f", SLURM job {task}" if task else "")


def run_status(folder: Path, store: Store) -> RunStatus:
    """Look at a run.

    Raises:
        StoreError: its list of jobs cannot be read.
    """
    file = folder / PLAN_NAME
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
        listed = [(key, kind, label) for key, (kind, label) in plan["jobs"].items()]
        cells = [(_name(cell, plan["cells"]), cell["jobs"]) for cell in plan["cells"]]
        started, runner, finished = float(plan["started"]), str(plan["runner"]), bool(plan["finished"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} cannot be read ({error}); run the suite again") from error
    jobs = _job_states(listed, store)
    found = {job.key: job for job in jobs}
    states = tuple(_cell_state(name, [found[key] for key in keys]) for name, keys in cells)
    return RunStatus(folder.name, started, runner, goes_on(store, folder.name), finished, tuple(jobs), states)


def _job_states(listed: Sequence[tuple[str, str, str]], store: Store) -> list[JobState]:
    failed = store.failed()
    held = {path.stem for path in (store.root / "scratch").glob("*.lock")}
    states = []
    for key, kind, label in listed:
        state: State = "waiting"
        note = None
        if store.has(key):
            state = "done"
        elif key in held and (note := running(store, key)) is not None:
            state = "running"
        elif key in failed and (note := store.failure(key)) is not None:
            state = "failed"
        states.append(JobState(key, kind, label, state, note or {}))
    return states


def _cell_state(name: str, jobs: Sequence[JobState]) -> CellState:
    bad = next((job for job in jobs if job.state == "failed"), None)
    if bad is not None:
        return CellState(name, "failed", f"{bad.note['status']}: {bad.note['error']}")
    if all(job.state == "done" for job in jobs):
        return CellState(name, "done")
    return CellState(name, "running" if any(job.state == "running" for job in jobs) else "waiting")


def _name(cell: dict[str, Any], cells: Sequence[dict[str, Any]]) -> str:
    seeds = {other["seed"] for other in cells}
    return f"{cell['anonymizer']} × {cell['attacker']}" + (f" seed {cell['seed']}" if len(seeds) > 1 else "")
