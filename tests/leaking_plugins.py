"""Plug-ins that reach for what is not theirs, for `test_leaks.py`; a plug-in file of a suite, as a user's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.none import NoAttack
from refbench.datasets.base import Dataset, Scan
from refbench.jobs.task import Task
from refbench.metrics.base import Metric
from refbench.metrics.correlation import Correlation
from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer
from refbench.plugin import param
from refbench.types import Head, Images, Region, ReleasedSlices, SlicePairs


def harness() -> Task:
    """What the job that called us was given."""
    frame = sys._getframe()
    while not isinstance(task := frame.f_locals.get("task"), Task):
        assert frame.f_back is not None
        frame = frame.f_back
    return task


class Reader(Reconstructor):
    """Gives the originals, if it gets hold of them."""

    def __init__(self, plan: Leak) -> None:
        self.plan = plan

    def save(self, folder: Path) -> None:
        (folder / "nothing.json").write_text("{}")

    def reconstruct(self, released: ReleasedSlices) -> Images:
        task = harness()
        found = released.images
        try:
            match self.plan.at:
                case "walk to attack":
                    store = task.scratch.parents[1]
                    found = np.load(next(store.rglob("original.npy")))
                case "read beside":
                    folders = [task.inputs[key] for key in task.identity["test"]]
                    found = np.concatenate([np.load(folder / "original.npy") for folder in folders])
                case "look at the mask":
                    np.load(task.inputs[task.identity["test"][0]] / "changed.npy")
        except Exception:
            if not self.plan.quiet:
                raise
        return found


class Leak(NoAttack):
    """Reads what it was not given, in one way."""

    at: Literal["walk to learn", "walk to attack", "read beside", "look at the mask", "write"] = param(..., "how")
    quiet: bool = param(False, "whether it goes on as if nothing had been")
    region: Literal["estimated", "known"] = param("estimated", "whether it is told what was changed")

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        store = context.folder.parents[1]
        try:
            match self.at:
                case "walk to learn":
                    print([np.load(file).mean() for file in store.rglob("original.npy")])
                case "write":
                    (next(iter(harness().inputs.values())) / "original.npy").write_bytes(b"")
        except Exception:
            if not self.quiet:
                raise
        return Reader(self)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        return Reader(self)


class HeadFiles(Dataset):
    """Files that say in a word whose head they hold, a block of noise; what else they say changes nothing of it."""

    real_people: ClassVar[bool] = False

    path: Path = param(..., "folder of the files")

    def label_names(self) -> frozenset[str]:
        return frozenset({"brain", "face"})

    def scans(self) -> list[Scan]:
        return [Scan(file.name, "A", files=(file,)) for file in sorted(self.path.iterdir())]

    def load(self, scan: Scan) -> Head:
        rng = np.random.default_rng(int(scan.files[0].read_text().split()[0]))
        block = np.zeros((24, 24, 24), dtype=bool)
        block[4:20, 4:20, 4:20] = True
        voxels = np.where(block, rng.uniform(90, 110, block.shape), 0).astype(np.float32)
        return Head(voxels, np.diag([4.0, 4.0, 4.0, 1.0]), labels={"face": block, "brain": block})


class Blind(Metric):
    """Compares the original with itself."""

    def score(self, reference: Images, candidate: Images, region: Region) -> NDArray[np.float64]:
        return Correlation().score(reference, reference, region)


class Diagonal(Recognizer):
    """Takes the first probe for the first of the gallery, the second for the second."""

    def fit(self, faces: Faces, people: NDArray[np.int64], rng: np.random.Generator) -> Matcher:
        return InOrder()

    def load(self, folder: Path) -> Matcher:
        return InOrder()


class InOrder(Matcher):
    def similarity(self, probes: Faces, gallery: Faces) -> Any:
        return np.eye(len(probes), len(gallery))

    def save(self, folder: Path) -> None:
        (folder / "nothing.json").write_text("{}")
