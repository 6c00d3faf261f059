"""On whom a run's figures were measured, in numbers that fit into one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from refbench.datasets.base import Dataset
from refbench.plan import Plan
from refbench.store import Store


def data_facts(plan: Plan, store: Store, done: Container[str]) -> dict[str, Any]:
    """Of a plan whose heads are in the store.

    Returns:
        JSON values: `name` (of the data sets), `real` (people, at least some), `people`, `sites` (their number at
        each), `sessions` (the most of one person), `voxel_mm` (median edges over heads; empty where no head is left in
        the store).
    """
    datasets = [chosen.plugin for chosen in plan.suite.datasets.values()]
    sites = {item.scan.subject: item.scan.site for item in plan.scans}
    sessions = Counter(item.scan.subject for item in plan.scans)
    edges = [
        np.sqrt((np.load(affine)[:3, :3] ** 2).sum(axis=0))
        for item in plan.scans
        if item.head.key in done and (affine := store.folder(item.head.key) / "affine.npy").is_file()
    ]
    return {
        "name": plan.suite.data_names,
        "real": any(isinstance(dataset, Dataset) and dataset.real_people for dataset in datasets),
        "people": len(sites),
        "sites": dict(sorted(Counter(sites.values()).items())),
        "sessions": max(sessions.values(), default=0),
        "voxel_mm": [round(float(edge), 2) for edge in np.median(edges, axis=0)] if edges else [],
    }


def data_in_words(info: Mapping[str, Any]) -> str:
    """Of a run's `info`: `ixi, 120 people of one site (HH), voxels of 2 x 2 x 2 mm, T1-weighted`."""
    facts = info.get("data")
    if not facts:
        return str(info.get("dataset", "unknown data"))
    sites = facts["sites"]
    where = f"of one site ({next(iter(sites))})" if len(sites) == 1 else f"of {len(sites)} sites ({', '.join(sites)})"
    who = "people" if facts["real"] else "virtual people"
    visits = "" if facts["sessions"] < 2 else f", up to {facts['sessions']} sessions each"
    edges = " x ".join(f"{edge:g}" for edge in facts["voxel_mm"])
    size = f", voxels of {edges} mm" if edges else ""
    return f"{facts['name']}, {facts['people']} {who} {where}{visits}{size}, T1-weighted"
