"""At least fifty kills at random moments, of the runner, of jobs and of workers: the tables of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
import pytest
from conftest import Workplace
from dask_cluster import DaskCluster

from refbench.store import Store

pytestmark = pytest.mark.slow

KILLS, ON_DASK = 50, 10
SUITE = """
dataset: {tiny_heads: {people: 5}}
slices: {count: 2, size: 16, spacing_mm: 16}
anonymizers: [smear: {reach: [1, 2]}]
attackers: [none, walk: {steps: [20, 21, 22, 23]}]
"""
BY_CHANCE = {"cells.csv": ["train_seconds", "train_memory_mb"], "subjects.csv": ["seconds"]}
"""Columns that no two runs have alike."""

Living = Callable[[], dict[str, list[psutil.Process]]]


@dataclass
class Killer:
    """Kills living processes, and counts what it hit."""

    chance: random.Random
    hit: Counter[str] = field(default_factory=Counter)

    def kill(self, what: str, process: psutil.Process) -> bool:
        """With SIGKILL, of a job its whole group or its first process alone; whether it was alive."""
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if what == "job" and os.getpgid(process.pid) == process.pid and self.chance.random() < 0.5:
                what = "group of a job"
                os.killpg(process.pid, signal.SIGKILL)
            else:
                os.kill(process.pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False
        self.hit[what] += 1
        return True

    def follow(self, process: subprocess.Popen[str], living: Living, weights: dict[str, float], most: int) -> None:
        """Kill while the runner lives, until that is hit itself, or so many were."""
        kills, next_one = 0, time.monotonic() + self._pause()
        while process.poll() is None:
            time.sleep(0.002)
            if time.monotonic() < next_one:
                continue
            there = {what: found for what, found in living().items() if found and what in weights}
            if kills >= most:
                there = {"runner": [psutil.Process(process.pid)]}
            elif not there.keys() & {"job", "command"}:
                continue  # there is only the runner, which begins
            what = self.chance.choices(list(there), [weights[one] for one in there])[0]
            if self.kill(what, self.chance.choice(there[what])):
                kills, next_one = kills + 1, time.monotonic() + self._pause()

    def _pause(self) -> float:
        return min(self.chance.expovariate(6), 1.0)


def children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return list(process.children())
    return []


def on_this_machine(runner: subprocess.Popen[str]) -> Living:
    """The runner, the server that jobs are forked from, and the jobs."""
    first = psutil.Process(runner.pid)

    def living() -> dict[str, list[psutil.Process]]:
        servers = []
        for child in children(first):
            with suppress(psutil.Error):
                if "forkserver" in " ".join(child.cmdline()):
                    servers.append(child)
        return {"runner": [first], "server": servers, "job": [job for server in servers for job in children(server)]}

    return living


def on_dask(runner: subprocess.Popen[str], cluster: DaskCluster) -> Living:
    """The runner, the workers, what workers started, and the jobs that were forked from there."""

    def living() -> dict[str, list[psutil.Process]]:
        for worker in [worker for worker in cluster.workers if worker.poll() is not None]:
            cluster.workers.remove(worker)
            cluster.worker()
        workers = [psutil.Process(worker.pid) for worker in cluster.workers]
        started = [command for worker in workers for command in children(worker)]
        jobs = [job for command in started for job in children(command)]
        return {"runner": [psutil.Process(runner.pid)], "worker": workers, "command": started, "job": jobs}

    return living


def told(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors, errors
    assert process.returncode in (0, 3, -signal.SIGKILL), output + errors
    return output + errors


def tables(store: Path) -> dict[str, bytes]:
    (folder,) = (store / "runs").iterdir()
    found = {"scores.parquet": (folder / "scores.parquet").read_bytes()}
    for name, columns in BY_CHANCE.items():
        found[name] = pd.read_csv(folder / name, dtype=str).drop(columns=columns).to_csv().encode()
    return found


def left_over(store: Path) -> list[str]:
    """What jobs of this run, or locks, left in scratch. `store gc` takes checkpoints that nobody waits for any more:
    where a head was killed, trainings of that run were planned without its person."""
    (folder,) = (store / "runs").iterdir()
    own = json.loads((folder / "plan.json").read_text())["jobs"]
    return [path.name for path in (store / "scratch").iterdir() if path.stem in own or path.suffix == ".lock"]


def kill_some(workplace: Workplace, killer: Killer, most: int, suite: Path, expected: dict[str, bytes]) -> None:
    """On this machine; a suite that comes to its end all the same begins in another store."""
    stores = 0
    while killer.hit.total() < most:
        process = workplace.start("run", suite, "--store", f"store{stores}", "--jobs", "3")
        weights = {"job": 1, "server": 0.04, "runner": 0.06}
        killer.follow(process, on_this_machine(process), weights, most - killer.hit.total() - 1)
        told(process)
        if process.returncode == 0:
            end(workplace, suite, f"store{stores}", expected)
            stores += 1
    end(workplace, suite, f"store{stores}", expected)


def kill_some_on_dask(workplace: Workplace, killer: Killer, most: int, suite: Path, expected: dict[str, bytes]) -> None:
    """With two workers, and another one for each that was hit; this machine then goes on with what is left."""
    cluster = DaskCluster(workplace.folder / "dask", workplace.environment())
    try:
        cluster.worker()
        cluster.worker()
        while killer.hit.total() < most:
            process = workplace.start(
                "run", suite, "--store", "on_dask", f"--engine=dask: {{scheduler: {cluster.file}, bundle: 8}}"
            )
            weights = {"worker": 2, "command": 1, "job": 1, "runner": 0.1}
            killer.follow(process, on_dask(process, cluster), weights, most - killer.hit.total() - 1)
            told(process)
    finally:
        cluster.stop()
    end(workplace, suite, "on_dask", expected)


def end(workplace: Workplace, suite: Path, store: str, expected: dict[str, bytes]) -> None:
    """Undisturbed to the end."""
    result = workplace.refbench("run", suite, "--store", store)
    assert result.returncode == 0, result.stdout + result.stderr
    place = workplace.folder / store
    assert tables(place) == expected
    assert not Store(place).failed()
    assert left_over(place) == []


def test_fifty_kills_cost_nothing_but_time(workplace: Workplace) -> None:
    seed = int(os.environ.get("KILLS_SEED", time.time()))
    print(f"KILLS_SEED={seed} repeats what is drawn; what it hits hangs on the machine")
    suite = workplace.suite(SUITE)
    calm = workplace.refbench("run", suite, "--store", "calm")
    assert calm.returncode == 0, calm.stderr
    expected, killer = tables(workplace.folder / "calm"), Killer(random.Random(seed))
    kill_some(workplace, killer, KILLS - ON_DASK, suite, expected)
    kill_some_on_dask(workplace, killer, KILLS, suite, expected)
    print(dict(killer.hit))
    assert killer.hit.total() >= KILLS
