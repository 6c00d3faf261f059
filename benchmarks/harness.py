"""What the harness itself costs: plans and cached runs of more and more cells, and jobs that do next to nothing.

    python benchmarks/harness.py [--cells 100 1000 10000] [--jobs 20] [--anyway] [--dry]

Every figure is of a whole command, its start and its imports included, or the time from one job's start to the next. A
store is filled with made-up results before a cached run; the largest suite is only planned.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from common import arguments, publish, table
from many_cells import fill, write_suite

from refbench.attackers.pace_choice import processor
from refbench.job import Job
from refbench.job_file import write_jobs
from refbench.machine import cores
from refbench.plan import build_plan
from refbench.store import Store
from refbench.suite import load_suite

MOST_LOAD = 0.5
MOST_CACHED = 1000
"""Cells of the largest suite that is run: ten times as many would have 14 million scores."""
HERE = Path(__file__).resolve().parent
ATTACKERS = {"none": "without torch", "imports_torch": "with torch"}


def refbench(*arguments: str) -> dict[str, float]:
    """Run a command of refbench; what it took, see `measured.py`."""
    command = [sys.executable, str(HERE / "measured.py"), sys.executable, "-m", "refbench", *arguments]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    figures: dict[str, float] = json.loads(said)
    return figures


def grown(folder: Path, cells: int) -> dict[str, Any]:
    """What a plan takes of nothing done and of everything done, a run of the first job alone, and one of none."""
    suite, store = write_suite(folder, cells), Store(folder / f"store_{cells}")
    command = [str(suite.path), "--store", str(store.root)]
    jobs = len(list(build_plan(suite, store).jobs()))
    found: dict[str, Any] = {"cells": cells, "jobs": jobs, "plan": refbench("plan", *command)}
    found["first_job"] = refbench("run", *command, "--jobs", "1", "--only", "subject=P001", "--only", "kind=head")
    if cells <= MOST_CACHED:
        fill(suite, store)
        found |= {"cached_plan": refbench("plan", *command), "cached_run": refbench("run", *command)}
    return found


def job_costs(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """What one training takes that does next to nothing, by whether it imports torch and by what starts it."""
    store, found = Store(folder / "store_jobs"), {}
    for attacker, name in ATTACKERS.items():
        refbench("run", str(_suite(folder, attacker, count)), "--store", str(store.root), "--jobs", "1")
        times = _times_between_starts(store, f"train identity × {attacker}")
        suite = load_suite(str(_suite(folder, attacker, 2 * count + 1)))
        train = [cell.train for cell in build_plan(suite, store).cells]
        first, *bundle = [job for job in train if not store.has(job.key)]
        write_jobs(store, [first, *bundle], suite.plugin_files, suite.file.limits)
        alone, together = _by_command(store, [first]), _by_command(store, bundle)
        found[name] = {"run": statistics.median(times), "least": min(times), "alone": alone, "bundle": together}
    return found


def _suite(folder: Path, attacker: str, seeds: int) -> Path:
    content = {
        "plugins": [str(HERE / "torch_attacker.py")],
        "dataset": {"phantom": {"subjects": 4, "scale": 0.2}},
        "slices": {"count": 1, "size": 16},
        "split": {"test": 1, "validation": 1},
        "anonymizers": ["identity"],
        "attackers": [attacker],
        "seeds": list(range(seeds)),
        "metrics": ["correlation"],
        "regions": ["whole"],
        "controls": False,
    }
    path = folder / f"{attacker}_{seeds}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _times_between_starts(store: Store, label: str) -> list[float]:
    """From the start of each job of this label to the start of whatever came next, one job at a time."""
    records = [store.status(key) or {} for key in list(store.keys())]
    records.sort(key=lambda record: float(record["started"]))
    return [
        after["started"] - record["started"] for record, after in pairwise(records) if record["label"].startswith(label)
    ]


def _by_command(store: Store, jobs: list[Job]) -> dict[str, float]:
    """What each of these jobs takes where one `refbench job` runs them all, as engines start it elsewhere."""
    took = refbench("job", "--store", str(store.root), "--device", "cpu", *(job.key for job in jobs))
    return {"seconds": took["seconds"] / len(jobs), "processor": took["processor"] / len(jobs)}


def _told(figures: dict[str, float]) -> list[str]:
    return [f"{figures['seconds']:.1f}", f"{figures['processor']:.1f}", f"{figures['mb']:.0f}"]


def main() -> None:
    """Measure, print and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--jobs", type=int, default=20, help="so many trainings of each kind")
    given = arguments(parser, MOST_LOAD)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        growth = []
        for cells in given.cells:
            growth.append(grown(Path(folder), cells))
            print(growth[-1], flush=True)
        jobs = job_costs(Path(folder), given.jobs)
    commands = {
        "plan": "plan",
        "cached_plan": "plan, all cached",
        "first_job": "run, one job of them",
        "cached_run": "run, all cached",
    }
    rows = [
        [f"{what}, {one['cells']} cells", str(one["jobs"]), *_told(one[key])]
        for key, what in commands.items()
        for one in growth
        if key in one
    ]
    costs = [
        [
            name,
            f"{one['run']:.2f} ({one['least']:.2f})",
            f"{one['alone']['seconds']:.2f} ({one['alone']['processor']:.2f})",
            f"{one['bundle']['seconds']:.2f} ({one['bundle']['processor']:.2f})",
        ]
        for name, one in jobs.items()
    ]
    text = table(["command", "jobs", "seconds", "of the processor", "MB"], rows) + "\n\n"
    text += table(
        ["a job", "in a run, s (least)", "`refbench job` of one, s (processor)", f"of {given.jobs}, each"], costs
    )
    text += f"\n\nThe machine has {cores()} cores; its load when this began: {load:.1f}."
    if given.dry:
        print(text)
    else:
        publish("harness", text, {"load": load, "growth": growth, "jobs": jobs}, processor())


if __name__ == "__main__":
    main()
