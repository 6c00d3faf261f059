"""Recovery of who can be recognised: which part of the way from the floor to the original an attack goes, by rank-1.

    recovery = (rank-1 of the attack - floor) / (rank-1 of the originals - floor)

Each rank-1 is that of its strongest recognizer. The floor is the largest of chance, rank-1 of the release, and that of
the attack-free baselines; which it is stays as it is in all resamples. The ceiling is rank-1 of the originals, released
by `identity`. A person is found or not, so there is no ratio of one person: it is one of means, and all of them are
drawn together, so that what makes people easy to recognise cancels out in the interval.

Undefined where `identity` was not looked for, or its rank-1 does not exceed the floor in at least 95 % of resamples: a
recognizer that hardly knows the originals better than the floor cannot tell how much came back. Resamples in which it
does not are left out of the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from refbench.identification import strongest
from refbench.labels import NOTHING_HIDDEN, plugin_name
from refbench.metrics.identification.ranks import found_within
from refbench.recovery import Recovered, Scale, Training, floor_trainings
from refbench.results import NO_ATTACK
from refbench.statistics import CONFIDENCE, Floats, mean, resampled_means, resampled_over_seeds, seed_weights
from refbench.trials import SERIES, trials

CHANCE, RELEASED = "chance", "released"


@dataclass(frozen=True)
class RecoveredPeople(Recovered):
    """Recovery by rank-1: the table holds each person's chance to be found first after each attack, 0-1.

    Attributes:
        floors: by anonymizer the same at its floor, float64 [people]; NaN for who has no original.
        original: the same of the originals; NaN where they were not looked for.
    """

    floors: Mapping[str, Floats]
    original: pd.Series[float]

    def value(self, trainings: Sequence[Training]) -> float:
        """Over people and seeds."""
        floor, original = self._ends(trainings[0][0])
        gap = mean(original) - mean(floor)
        if not gap > 0 or np.mean(self._drawn(original) > self._drawn(floor)) < CONFIDENCE:
            return float("nan")
        return (mean(self.values(trainings)) - mean(floor)) / gap

    def resampled(self, trainings: Sequence[Training], number: int = 0) -> Floats:
        """Over people and seeds in each resample; NaN where the originals are not above the floor."""
        attacked = resampled_over_seeds(self.values(trainings), self.weights, seed_weights(len(trainings), seed=number))
        floor, original = (self._drawn(end) for end in self._ends(trainings[0][0]))
        gap = original - floor
        ratio: Floats = np.divide(attacked - floor, gap, out=np.full_like(gap, np.nan), where=gap > 0)
        return ratio

    def _ends(self, anonymizer: str) -> tuple[Floats, Floats]:
        """Floor and ceiling of those who have both."""
        floor = self.floors[anonymizer]
        return floor, np.where(np.isfinite(floor), np.asarray(self.original, dtype=np.float64), np.nan)

    def _drawn(self, values: Floats) -> Floats:
        return resampled_means(values[:, None], self.weights)[:, 0]


def recovered_people(identification: pd.DataFrame, cells: pd.DataFrame) -> RecoveredPeople | None:
    """Recovery of every training of a run whose reconstructions were looked for; None where nobody was.

    Args:
        identification: see `refbench.face_tables`.
        cells: see `refbench.results`.
    """
    best = strongest(trials(identification))
    found = {
        condition: pd.Series(trial.over_people(found_within(1, trial.places)), _index(trial.people))
        for condition, trial in best.items()
    }
    attacked = sorted(condition for condition in found if condition[3] == "reconstructed")
    if not attacked:
        return None
    hits = pd.DataFrame(found).sort_index()
    original = _original(hits)
    baselines = floor_trainings(cells)
    floors: dict[str, Floats] = {}
    scales, parts = {}, []
    for anonymizer in dict.fromkeys(condition[0] for condition in attacked):
        own = [condition for condition in attacked if condition[0] == anonymizer]
        chance = pd.Series(best[own[0]].chance, hits.index)
        bases = {
            CHANCE: chance,
            RELEASED: hits.get((anonymizer, NO_ATTACK, 0, "anonymized"), chance),
            **{condition[1]: hits[condition] for condition in own if condition[:3] in baselines},
        }
        base = max(bases, key=lambda name: round(float(bases[name].mean()), 12))
        known = bases[base].notna() & original.notna()
        tested = hits[own].notna().any(axis=1)
        floors[anonymizer] = np.asarray(bases[base].where(known & tested), dtype=np.float64)
        scales[anonymizer] = Scale(
            base=base,
            released=float(bases[RELEASED].mean()) if bases[RELEASED] is not chance else float("nan"),
            floor=float(bases[base].mean()),
            ceiling=float(original.mean()),
            people=int(tested.sum()),
        )
        parts.append(hits[own].where(known, axis=0))
    table = pd.concat(parts, axis=1)
    table.columns = pd.MultiIndex.from_tuples([condition[:3] for condition in attacked], names=SERIES[:3])
    return RecoveredPeople(table, scales, floors, original)


def _original(hits: pd.DataFrame) -> pd.Series[float]:
    """Of every person whether the original is found."""
    for condition in hits.columns:
        if plugin_name(condition[0]) == NOTHING_HIDDEN and condition[3] == "anonymized":
            return hits[condition]
    return pd.Series(np.nan, hits.index)


def _index(people: Sequence[tuple[str, str]]) -> pd.MultiIndex:
    return pd.MultiIndex.from_tuples(people, names=["site", "subject"])
