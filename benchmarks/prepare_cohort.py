"""Prepares a cohort of small phantoms in a process of its own, and says what it took.

    python benchmarks/prepare_cohort.py PEOPLE FOLDER

Every job's process imports what this module imports: no more than it needs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from refbench.engines.local import LocalEngine, warm_server
from refbench.plan import build_plan
from refbench.store import Store
from refbench.suite import load_suite
from refbench.watch.console import ConsoleProgress

SUITE = """
dataset: {{phantom: {{subjects: {people}, scale: 0.25}}}}
slices: {{size: 64}}
anonymizers: [identity, blur: {{region: whole}}]
attackers: [none]
controls: false
"""


def peak_memory_mb() -> float:
    """The most memory this program has held; getrusage would count what the process held that started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def prepare(people: int, folder: Path) -> dict[str, float]:
    """Prepare a cohort in this process, which exists for nothing else, and say what it took."""
    suite_file = folder / "suite.yaml"
    suite_file.write_text(SUITE.format(people=people))
    suite, store = load_suite(str(suite_file)), Store(folder / "store")
    started = time.perf_counter()
    plan = build_plan(suite, store)
    stages = [stage for stage in plan.stages() if stage.name in ("prepare", "anonymize")]
    jobs = [job for stage in stages for shard in stage.shards for job in shard]
    slots = os.cpu_count() or 1
    with Path(os.devnull).open("w") as nowhere, warm_server({job.kind for job in jobs}, deep=False):
        engine = LocalEngine(store, suite.file.limits, (), ConsoleProgress(Console(file=nowhere)), slots)
        for stage in stages:
            engine.run(stage.shards)
    seconds = time.perf_counter() - started
    records = [store.status(job.key) or {} for job in jobs]
    assert all(record.get("status") == "ok" for record in records)
    return {
        "people": people,
        "seconds": seconds,
        "runner_mb": peak_memory_mb(),
        "job_mb": max(record["peak_memory_mb"] for record in records),
        "disk_mb": sum(path.stat().st_size for path in store.root.rglob("*")) / 1e6,
    }


if __name__ == "__main__":
    print(json.dumps(prepare(int(sys.argv[1]), Path(sys.argv[2]))))
