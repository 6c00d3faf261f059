"""Where a run stands, from its folder and the store alone: whoever sees the store can ask, on whatever machine.

A runner writes `plan.json` into the folder of its run as soon as it knows its jobs, and again when they change.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Literal

from refbench.engines.options import EngineOptions
from refbench.errors import StoreError
from refbench.forecast.alike import items
from refbench.forecast.at_once import at_once, device
from refbench.forecast.history import History, read_items
from refbench.forecast.outlook import Beat, Left, Outlook, rest
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
    left: Left
    jobs: tuple[JobState, ...]
    cells: tuple[CellState, ...]


def write_plan(plan: Plan, store: Store, started: float, engine: EngineOptions, slots: int | None) -> None:
    """Leave the list of a run's jobs and cells in its folder, where that can be written.

    Args:
        plan: all of them.
        store: where.
        started: when the runner began, seconds since 1970.
        engine: where jobs run.
        slots: jobs side by side on this machine; as many as have room if not given.
    """
    if not store.writable:
        return
    cells = [
        {
            "anonymizer": plan.suite.anonymizers[cell.anonymizer].label,
            "attacker": cell.attack.label(plan.suite),
            "seed": cell.attack.seed,
            "jobs": [job.key for job in (cell.train, cell.reconstruct, *cell.scores)],
        }
        for cell in plan.cells
    ]
    every = {item.key: item for item in items(plan)}
    groups = {group: number for number, group in enumerate(dict.fromkeys(item.group for item in every.values()))}
    content = {
        "jobs": {
            job.key: [job.kind, job.label, groups[every[job.key].group], every[job.key].work] for job in plan.jobs()
        },
        "cells": cells,
        "groups": [astuple(group) for group in groups],
        "at_once": at_once(plan, engine, slots),
        "device": device(plan, engine),
    }
    _write(run_folder(plan.suite, store), started, _here(), content)


def announce(suite: Suite, store: Store, started: float, runner: str) -> Path:
    """Say that a runner will come, and where to look for it; returns the run's folder."""
    folder = run_folder(suite, store)
    _write(folder, started, runner, {"jobs": {}, "cells": [], "groups": [], "at_once": {}, "device": None})
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
        listed = [(key, kind, label) for key, (kind, label, *_) in plan["jobs"].items()]
        every, side_by_side, where = read_items(plan), dict(plan["at_once"]), plan["device"]
        several = len({cell["seed"] for cell in plan["cells"]}) > 1
        cells = [(_name(cell, with_seed=several), cell["jobs"]) for cell in plan["cells"]]
        started, runner, finished = float(plan["started"]), str(plan["runner"]), bool(plan["finished"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} cannot be read ({error}); run the suite again") from error
    jobs = _job_states(listed, store)
    found = {job.key: job for job in jobs}
    states = tuple(_cell_state(name, [found[key] for key in keys]) for name, keys in cells)
    history = History(store, (item for item in every if found[item.key].state == "done"))
    open_items = (item for item in every if found[item.key].state in ("waiting", "running"))
    now = time.time()
    beats = {job.key: beat_of(job.note, now) for job in jobs if job.state == "running"}
    left = Outlook(open_items, history, side_by_side, where).left(beats)
    attended = goes_on(store, folder.name)
    return RunStatus(folder.name, started, runner, attended, finished, left, tuple(jobs), states)


def beat_of(note: Mapping[str, Any], now: float) -> Beat:
    """What the note of a running job tells of its time, see `refbench.running`."""
    elapsed = max(0.0, now - note.get("started", now))
    if "first" not in note:
        return Beat(elapsed)
    at, done = note["first"]
    return Beat(elapsed, rest((at, done), (note["noted"], note["done"]), note["total"], now))


def _job_states(listed: Sequence[tuple[str, str, str]], store: Store) -> list[JobState]:
    done = frozenset(store.keys()) - store.replaced()
    failed, dropped = store.failed(), frozenset(store.dropped_keys())
    held = {path.stem for path in (store.root / "scratch").glob("*.lock")}
    states = []
    for key, kind, label in listed:
        state: State = "waiting"
        note = None
        if key in done:
            state = "done"
        elif key in held and (note := running(store, key)) is not None:
            state = "running"
        elif key in failed and (note := store.failure(key)) is not None:
            state = "failed"
        elif key in dropped:
            state = "done"  # once; only who needs its result would make it again
        states.append(JobState(key, kind, label, state, note or {}))
    return states


def _cell_state(name: str, jobs: Sequence[JobState]) -> CellState:
    bad = next((job for job in jobs if job.state == "failed"), None)
    if bad is not None:
        return CellState(name, "failed", f"{bad.note['status']}: {bad.note['error']}")
    if all(job.state == "done" for job in jobs):
        return CellState(name, "done")
    return CellState(name, "running" if any(job.state == "running" for job in jobs) else "waiting")


def _name(cell: dict[str, Any], *, with_seed: bool) -> str:
    return f"{cell['anonymizer']} × {cell['attacker']}" + (f" seed {cell['seed']}" if with_seed else "")
