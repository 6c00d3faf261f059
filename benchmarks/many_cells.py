"""Suites of any number of cells, and stores that hold made-up results of them: for what the harness itself costs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import yaml

from refbench.job import Job
from refbench.plan import build_plan
from refbench.provenance import hardware, software
from refbench.store import Store
from refbench.suite import Suite, load_suite

SHAPES = {20: (2, 10, 1), 100: (10, 10, 1), 1000: (20, 10, 5), 10_000: (40, 25, 10)}
"""Cells to how many anonymizers, attackers and seeds they are."""
COUNT = 21
REGIONS = 4


def write_suite(folder: Path, cells: int) -> Suite:
    """A suite of so many cells on as many phantoms as the demo has; all of its plug-ins come with refbench."""
    anonymizers, attackers, seeds = SHAPES[cells]
    content = {
        "dataset": {"phantom": {"subjects": 24, "scale": 0.25}},
        "slices": {"count": COUNT, "size": 64},
        "split": {"test": 8, "validation": 3},
        "anonymizers": [{"blur": {"strength_mm": [1 + number / 8 for number in range(anonymizers)]}}],
        "attackers": [{"regression": {"ridge": [(1 + number) / 1000 for number in range(attackers)]}}],
        "seeds": list(range(seeds)),
        "controls": False,
    }
    path = folder / f"cells_{cells}.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_suite(str(path))


def fill(suite: Suite, store: Store) -> None:
    """Put a made-up result of every job of a suite into a store, as its own process would: scores are random."""
    rng = np.random.default_rng(0)
    environment = store.keep_environment(software())
    for job in build_plan(suite, store).jobs():
        result = store.scratch(job.key) / "result"
        result.mkdir(parents=True)
        _make_up(job, result, rng)
        record = {
            "status": "ok",
            "error": "",
            "label": job.label,
            "started": time.time(),
            "seconds": 1.0,
            "peak_memory_mb": 100.0,
            "device": "cpu",
            "threads": 1,
            "where": dict(job.where),
            "environment": environment,
            "hardware": hardware(),
        }
        store.commit(job, result, record)


def _make_up(job: Job, result: Path, rng: np.random.Generator) -> None:
    if job.kind == "score":
        np.save(result / "scores.npy", rng.uniform(0, 1, (REGIONS, COUNT * len(job.identity["test"]))))
    elif job.kind == "check":
        (result / "check.json").write_text(json.dumps({"outcome": "ok", "note": "", "face_changed": 0.9}))
    else:
        (result / "made_up.txt").write_text(job.label)
