"""The table of similarities as matrices: one trial for each condition and recognizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refbench.metrics.identification.ranks import Places, places

SERIES = ["anonymizer", "attacker", "seed", "condition", "recognizer"]
"""What tells one trial from another."""

Condition = tuple[str, str, int, str]
"""Anonymizer, attacker, seed, condition."""


@dataclass(frozen=True)
class Trial:
    """Who was taken for whom, by one recognizer in one condition.

    Attributes:
        condition: what became of the probes. recognizer: its label.
        similarities: float64 [probes, gallery], natural log likelihood ratios; NaN where there is no comparing.
        own: int [probes], the column of each probe's own face.
        people: the people of the probes, (site, subject), sorted.
        person: int [probes], whose probe it is, in `people`.
        face: int [gallery], whose face it is, in `people`; -1 where nobody of them.
        moved: share of the probes that are of the very scan in the gallery, tilted and turned.
    """

    condition: Condition
    recognizer: str
    similarities: NDArray[np.float64]
    own: NDArray[np.int64]
    people: tuple[tuple[str, str], ...]
    person: NDArray[np.int64]
    face: NDArray[np.int64]
    moved: float

    @property
    def sites(self) -> NDArray[np.object_]:
        """Of `people`."""
        return np.array([site for site, _ in self.people], dtype=object)

    @property
    def chance(self) -> float:
        """Of being found first by a blind guess."""
        return 1 / len(self.face)

    @property
    def places(self) -> Places:
        """Where the own faces stand."""
        return places(self.similarities, self.own)

    def over_people(self, of_probes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the probes of each person: float64 [people]."""
        counts = np.bincount(self.person, minlength=len(self.people))
        return np.bincount(self.person, of_probes, minlength=len(self.people)) / counts


def trials(table: pd.DataFrame) -> Iterator[Trial]:
    """All trials of a table of similarities, in its order; probes whose own face is not in the gallery are left out."""
    if table.empty:
        return
    visit = table.groupby(["site", "subject", "session"], sort=True, observed=True).ngroup().to_numpy()
    for _, own in table.assign(visit=visit).groupby(SERIES, sort=False, observed=True):
        gallery, column = np.unique(own["gallery"].to_numpy(dtype=str), return_inverse=True)
        _, first, probe = np.unique(own["visit"].to_numpy(), return_index=True, return_inverse=True)
        similarities = np.full((len(first), len(gallery)), np.nan)
        similarities[probe, column] = own["similarity"].to_numpy(dtype=np.float64)
        probes = own.iloc[first]
        place = {name: number for number, name in enumerate(gallery)}
        there = probes["subject"].astype(str).isin(place).to_numpy()
        if not there.any():
            continue
        probes, similarities = probes[there], similarities[there]
        who = list(zip(probes["site"].astype(str), probes["subject"].astype(str), strict=True))
        people = tuple(sorted(set(who)))
        number = {name: index for index, name in enumerate(people)}
        by_name = {subject: index for (_, subject), index in number.items()}
        about = own.iloc[0]
        yield Trial(
            (str(about["anonymizer"]), str(about["attacker"]), int(about["seed"]), str(about["condition"])),
            str(about["recognizer"]),
            similarities,
            np.array([place[subject] for _, subject in who]),
            people,
            np.array([number[name] for name in who]),
            np.array([by_name.get(str(name), -1) for name in gallery]),
            float(probes["moved"].astype(float).mean()),
        )
