"""What an attacker brings back from memory: copies of training faces, and one face for everybody.

Read from what the job `memory` of a cell left; the formulas stand in docs/metrics.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refbench.cell_plan import Cell
from refbench.plan import Plan
from refbench.records import Records
from refbench.statistics import UNDEFINED, Estimate, Floats, bootstrap_weights, estimate, mean, resampled_means
from refbench.store import Store

SHARED = 0.5
"""A copy shares more than this of what sets the training face apart from the average: of its variance, the square of
likeness. Where training people are few, the two most alike are no measure: a hole is more like one of ten faces than
these are to each other."""

COPIED_SHARE = 0.1
"""A cell with no larger share of copies is left alone: they would hardly move its figures."""

BY_CHANCE = 0.01
"""As many copies as in a cell that is distrusted, chance would give with this probability at most."""


@dataclass(frozen=True)
class Finding:
    """An array of one number a test scan for each; see `refbench.jobs.memory.run`."""

    own: Floats
    nearest: Floats
    person: NDArray[np.int64]
    rank: NDArray[np.int64]
    most_alike: Floats
    reconstructions: Floats
    originals: Floats

    @classmethod
    def read(cls, lists: Mapping[str, Sequence[float | None]]) -> Finding:
        """From the lists of the file."""
        floats = {name: np.array(values, np.float64) for name, values in lists.items()}
        return cls(
            floats["own"],
            floats["nearest"],
            floats["person"].astype(np.int64),
            floats["rank"].astype(np.int64),
            floats["most_alike"],
            floats["reconstructions"],
            floats["originals"],
        )

    @property
    def nearer(self) -> NDArray[np.bool_]:
        """Whose reconstruction is more like a training person's face than like its own."""
        return self.nearest > self.own

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Of these, which are more like it than any two training people are to each other, and `SHARED` says."""
        more: NDArray[np.bool_] = self.nearest > np.maximum(self.most_alike, np.sqrt(SHARED))
        return self.nearer & more


@dataclass(frozen=True)
class Memory:
    """What one cell's job `memory` found, of faces that were aligned, and of faces as they lie."""

    training_people: int
    aligned: Finding
    as_they_lie: Finding

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Which reconstructions are copies of training faces, one way or the other, bool [test scans]."""
        return self.aligned.copies | self.as_they_lie.copies

    @property
    def collapse(self) -> Floats:
        """How much more alike each reconstruction is to those of others than its original is to theirs."""
        return self.aligned.reconstructions - self.aligned.originals


@dataclass(frozen=True)
class MemoryFigures:
    """Of one cell, over test people.

    Attributes:
        nearer: share of people whose reconstruction is more like a training person's face than like its own.
        copies: share whose reconstruction is a copy.
        collapse: likeness to other people's reconstructions, less that of the originals; 0: as unlike as they were.
    """

    nearer: Estimate
    copies: Estimate
    collapse: Estimate

    def columns(self) -> dict[str, float]:
        """As columns of a table."""
        named = {"nearer": self.nearer, "copies": self.copies, "collapse": self.collapse}
        return {name: value for figure, one in named.items() for name, value in one.columns(figure).items()}


def read_memory(folder: Path) -> Memory:
    """What the job `memory` left in its folder of the store."""
    found = json.loads((folder / "memory.json").read_text())
    return Memory(found["training_people"], Finding.read(found["aligned"]), Finding.read(found["as_they_lie"]))


def memory_figures(memory: Memory, people: Sequence[tuple[str, str]]) -> MemoryFigures:
    """Means over people with intervals; scans of one person are averaged first.

    Args:
        memory: of one cell.
        people: (site, subject) of each test scan, in the order of the job's `test`.
    """
    names = sorted(set(people))
    number = np.array([names.index(name) for name in people])
    counts = np.bincount(number)
    weights = bootstrap_weights(np.array([site for site, _ in names], dtype=object))

    def over_people(of_scans: Floats) -> Estimate:
        values = np.bincount(number, of_scans) / counts
        return estimate(mean(values), resampled_means(values[:, None], weights)[:, 0])

    # With fewer than three training people nobody knows what a copy is.
    copies = np.where(np.isfinite(memory.aligned.most_alike), memory.copies.astype(np.float64), np.nan)
    return MemoryFigures(
        over_people(memory.aligned.nearer.astype(np.float64)), over_people(copies), over_people(memory.collapse)
    )


def copied(memory: Memory) -> str:
    """Why a cell is not to be trusted, as its reconstructions are training people's faces; empty if they are not.

    Not for floors: `nearest` copies, and says so.

    That somebody is more like one of n training people than any two of these are to each other, happens to real faces
    too: of n + 1 people the two most similar hold any given one with a probability of 2 / (n + 1), and it is looked at
    in two ways. So copies count only where they are more than `COPIED_SHARE` of the reconstructions, and so many that
    a binomial number with that probability would reach them in `BY_CHANCE` of all cells at most. Of few training people
    none ever do.
    """
    from scipy.special import bdtrc

    copies, tested = int(memory.copies.sum()), len(memory.copies)
    chance = min(1.0, 2 * 2 / (memory.training_people + 1))
    if copies <= COPIED_SHARE * tested or bdtrc(copies - 1, tested, chance) > BY_CHANCE:
        return ""
    return f"{copies} of {tested} reconstructions are copies of training faces"


def memory_columns(cell: Cell, plan: Plan, store: Store, records: Records) -> dict[str, float | str]:
    """Of a row of cells.csv: the figures of its job `memory`, and why it is not to be trusted; empty if it is."""
    nothing = MemoryFigures(UNDEFINED, UNDEFINED, UNDEFINED)
    if cell.memory is None or cell.memory.key not in records.done:
        return {**nothing.columns(), "copied": ""}
    memory = read_memory(store.folder(cell.memory.key))
    people = [(item.scan.site, item.scan.subject) for item in plan.tested[cell.anonymizer]]
    return {**memory_figures(memory, people).columns(), "copied": copied(memory)}
