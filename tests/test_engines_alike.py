"""60 cells through every engine: the same table, byte for byte."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from conftest import MadeOnce, Workplace
from slurm_cluster import slurm

pytestmark = pytest.mark.slow

CELLS = """
dataset: {tiny_heads: {people: 3}}
slices: {count: 1, size: 16, spacing_mm: 8}
split: {test: 1, validation: 1}
anonymizers: [smear: {reach: [0, 1, 2, 3, 4]}]
attackers: [none, offset: {pause: [0, 0.0001, 0.0002]}]
seeds: [0, 1, 2]
regions: [whole]
"""
OTHERS = {
    "dask": "dask: {cluster_options: {n_workers: 2, threads_per_worker: 1}, bundle: 100}",
    "slurm": "slurm: {bundle: 100}",
}
CLUSTERS = {"dask": nullcontext, "slurm": slurm}
PACKAGES = {"dask": "distributed", "slurm": "submitit"}


@pytest.fixture(scope="module")
def here(made_once: MadeOnce) -> Path:
    """The run of this machine's engine."""
    return Workplace(made_once("engines_alike", lambda folder: run(Workplace(folder), "local"))).run_folder()


def run(workplace: Workplace, engine: str) -> Path:
    result = workplace.refbench("run", workplace.suite(CELLS), "--engine", engine)
    assert result.returncode == 0, result.stderr
    return workplace.run_folder()


@pytest.mark.parametrize("engine", OTHERS)
def test_60_cells_give_the_same_table_wherever_they_ran(workplace: Workplace, here: Path, engine: str) -> None:
    pytest.importorskip(
        PACKAGES[engine], reason=f"the extra {engine} is not installed: pip install 'refbench[{engine}]'"
    )
    with CLUSTERS[engine]():
        there = run(workplace, OTHERS[engine])
    cells = pd.read_csv(there / "cells.csv", keep_default_na=False)
    assert (len(cells), set(cells["status"])) == (60, {"ok"})
    assert there.name == here.name
    assert (there / "scores.parquet").read_bytes() == (here / "scores.parquet").read_bytes()
