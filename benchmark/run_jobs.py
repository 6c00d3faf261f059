"""The jobs of a finished run by their labels: what was run then, whatever code and data files are now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refbench.errors import PluginError, StoreError
from refbench.registry import Registry
from refbench.results import Run
from refbench.store import Store
from refbench.types import Images

WARNING = "faces of real people: for local use only"


def job_keys(run: Run) -> dict[str, str]:
    """Key of every job by its label.

    Raises:
        StoreError: the run's list of jobs cannot be read.
    """
    file = run.folder / "jobs.json"
    try:
        keys: dict[str, str] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read ({error}); run the suite again") from error
    return keys


def shows_real_people(keys: Mapping[str, str], store: Store) -> bool:
    """Whether pictures of a run may show somebody's face.

    They may where no head can be looked up in the store, and where a dataset is not installed here.
    """
    heads = [store.identity(key) for label, key in keys.items() if label.startswith("head ")]
    names = {head["dataset"]["name"] for head in heads if head}
    try:
        datasets = [Registry.discover().find("dataset", name).load() for name in names]
    except PluginError:
        return True
    return not datasets or any(getattr(dataset, "real_people", True) for dataset in datasets)


@dataclass(frozen=True)
class CellImages:
    """Where the images of one scan under one attack lie in a store.

    Attributes:
        slices: key of the job that cut them. made: key of the job that reconstructed those of all test scans.
    """

    store: Store
    slices: str
    made: str

    @classmethod
    def find(
        cls, store: Store, keys: Mapping[str, str], who: str, anonymizer: str, attacker: str, seed: int
    ) -> CellImages | None:
        """Look them up by the labels of their jobs; None where the store has not all of them any more."""
        slices, name = keys.get(f"slice {who} {anonymizer}", ""), f"reconstruct {anonymizer} × {attacker}"
        made = keys.get(f"{name} seed {seed}") or keys.get(name, "")
        there = slices and made and store.has(slices) and store.has(made)
        return cls(store, slices, made) if there else None

    @property
    def folder(self) -> Path:
        """Where the slices lie."""
        return self.store.folder(self.slices)

    def reconstructed(self, count: int) -> Images:
        """What the attacker made of the scan's slices, of which every scan has `count`: float32 [count, h, w], 0-1."""
        start = self.store.identity(self.made)["test"].index(self.slices) * count
        whole = np.load(self.store.folder(self.made) / "reconstructed.npy", mmap_mode="r")
        return np.array(whole[start : start + count])
