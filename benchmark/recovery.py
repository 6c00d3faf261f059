"""Recovery: which part of the way from the floor to the original face an attack goes. 0: the floor; 1: the original.

    recovery = (score - floor) / (ceiling - floor), person by person, then the mean over people

The floor of an anonymizer is the best, by the mean over people, of its release (no attack) and of attack-free baselines
(`none`, `mean_face`, `nearest`, by any seed): that one's own score of the person. Its choice stays as it is in all
resamples. The ceiling is what the person's original scores, released by `identity`; where that was not run, or has no
score (nothing changed in the region `changed`), it is the metric's own ceiling. An attack that is worse than the floor
has a recovery below 0.

The mean of ratios is taken, not the ratio of means, so that everybody counts alike. Such a mean has a heavy tail to one
side: nobody exceeds 1, but who is hardly hidden (a floor near the ceiling) can be far below 0, and would make attacks
look weaker than they are. So people whose gap between floor and ceiling is less than `SMALL_GAP` of the median person's
have no recovery, and are counted; nor have those with no gap at all. Both rules are about the release and the
baselines, never about the attack.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from refbench.errors import PluginError, RefbenchError
from refbench.labels import NOTHING_HIDDEN, plugin_name
from refbench.metrics.base import Metric
from refbench.registry import Registry
from refbench.results import NO_ATTACK
from refbench.statistics import (
    Estimate,
    Floats,
    bootstrap_weights,
    estimate,
    mean,
    per_subject,
    resampled_over_seeds,
    seed_weights,
)

SMALL_GAP = 0.1
"""Of the median person's gap between floor and ceiling: whose own gap is smaller has no recovery."""
NO_GAP = 1e-4
"""A gap below this is none: to all printed digits the floor is the original."""
FLOORS = ("none", "mean_face", "nearest")
"""Attackers that are floors in tables without a column `floor`."""

Training = tuple[str, str, int]
"""Anonymizer, attacker, seed."""
Trusted = Callable[[str, str, int], bool]
"""Whether a training (anonymizer, attacker, seed) counts."""


def everything(anonymizer: str, attacker: str, seed: int) -> bool:
    """Trusts every training."""
    return True


@dataclass(frozen=True)
class Scale:
    """Between what recovery is measured for an anonymizer.

    Attributes:
        base: what the floor is: an attacker's label, `released`, or (of identification) `chance`.
        released, floor, ceiling: means over test people; NaN where undefined.
        people: who was tested.
    """

    base: str
    released: float
    floor: float
    ceiling: float
    people: int


@dataclass(frozen=True)
class Recovery:
    """Recovery of an attack, over its seeds if there are several.

    Attributes:
        overall: mean over people and seeds, with a 95 % interval over both.
        smallest, largest: mean over people of the weakest and of the strongest seed.
        seeds: trainings. people: who has a recovery. left_out: tested people who have none.
        base: what the floor was, see `Scale`.
    """

    overall: Estimate
    smallest: float
    largest: float
    seeds: int
    people: int
    left_out: int
    base: str


@dataclass(frozen=True)
class Recovered(ABC):
    """All trainings of a run, floors among them, person by person.

    Attributes:
        table: one figure per person (rows; index: site, subject) and training (columns: anonymizer, attacker, seed).
        scales: by anonymizer.
    """

    table: pd.DataFrame
    scales: Mapping[str, Scale]

    @abstractmethod
    def value(self, trainings: Sequence[Training]) -> float:
        """Recovery of trainings of one attack by several seeds; NaN where it is undefined."""

    @abstractmethod
    def resampled(self, trainings: Sequence[Training], number: int = 0) -> Floats:
        """The same in each resample, float64 [draws]. People are drawn alike for all; trainings by `number`."""

    def estimate(self, trainings: Sequence[Training], number: int = 0) -> Estimate:
        """The same with its 95 % interval."""
        return estimate(self.value(trainings), self.resampled(trainings, number))

    def by_training(self) -> dict[Training, Recovery]:
        """Of every training by itself: the interval holds people only."""
        return {training: self.of([training]) for training in self.trainings}

    def by_attack(self) -> dict[tuple[str, str], Recovery]:
        """Of every anonymizer and attacker over its seeds."""
        found: dict[tuple[str, str], list[Training]] = {}
        for training in self.trainings:
            found.setdefault(training[:2], []).append(training)
        return {attack: self.of(own) for attack, own in found.items()}

    def of(self, trainings: Sequence[Training]) -> Recovery:
        """Of trainings of one attack by several seeds."""
        scale = self.scales[trainings[0][0]]
        means = [value for training in trainings if np.isfinite(value := self.value([training]))] or [float("nan")]
        people = int(np.isfinite(self.values(trainings)).any(axis=1).sum())
        return Recovery(
            self.estimate(trainings),
            smallest=min(means),
            largest=max(means),
            seeds=len(trainings),
            people=people,
            left_out=scale.people - people,
            base=scale.base,
        )

    @cached_property
    def trainings(self) -> list[Training]:
        """All there are."""
        return [_training(column) for column in self.table.columns]

    def __contains__(self, training: Training) -> bool:
        """Whether a training has been scored."""
        return training in self._column

    def values(self, trainings: Sequence[Training]) -> Floats:
        """Figures of people, float64 [people, trainings]."""
        return self._figures[:, [self._column[training] for training in trainings]]

    @cached_property
    def _figures(self) -> Floats:
        return self.table.to_numpy(dtype=np.float64)

    @cached_property
    def _column(self) -> dict[Training, int]:
        return {training: number for number, training in enumerate(self.trainings)}

    @cached_property
    def weights(self) -> Floats:
        """How often each person is drawn in each resample, float64 [draws, people]."""
        return bootstrap_weights(self.table.index.get_level_values("site").to_numpy())


class RecoveredScores(Recovered):
    """Recovery by a metric: the table holds each person's."""

    def value(self, trainings: Sequence[Training]) -> float:
        """Mean over people and seeds."""
        return mean(self.values(trainings))

    def resampled(self, trainings: Sequence[Training], number: int = 0) -> Floats:
        """Mean over people and seeds in each resample."""
        return resampled_over_seeds(self.values(trainings), self.weights, seed_weights(len(trainings), seed=number))


def recovered_scores(scores: pd.DataFrame, cells: pd.DataFrame, region: str, metric: str) -> RecoveredScores:
    """Recovery of every training of a run by one metric in one region.

    Args:
        scores: table of a run, see `refbench.results`; of people who are told apart by their names.
        cells: the same.
        region: as in the table.
        metric: as in the table.

    Raises:
        RefbenchError: there is no such score.
    """
    own = scores[scores["region"].eq(region) & scores["metric"].eq(metric)]
    if own.empty:
        raise RefbenchError(f"no recovery: nothing is scored by {metric!r} in the region {region!r}")
    wide = per_subject(own, ["anonymizer", "attacker", "seed"])
    ceiling = _ceilings(wide, metric)
    baselines = floor_trainings(cells)
    tested = own.drop_duplicates(["anonymizer", "site", "subject"])["anonymizer"].value_counts()
    scales, parts = {}, []
    for anonymizer in dict.fromkeys(wide.columns.get_level_values("anonymizer")):
        mine = wide.loc[:, wide.columns.get_level_values("anonymizer") == anonymizer]
        release = (anonymizer, NO_ATTACK, 0)
        base = _best(mine, [release, *(training for training in baselines if training[0] == anonymizer)])
        floor = mine[base] if base else pd.Series(np.nan, index=mine.index)
        gap = ceiling - floor
        gap = gap.where(gap >= max(NO_GAP, SMALL_GAP * gap.median()))
        attacked = mine.loc[:, mine.columns.get_level_values("attacker") != NO_ATTACK]
        parts.append(attacked.sub(floor, axis=0).div(gap, axis=0))
        scales[str(anonymizer)] = Scale(
            base="released" if base in (release, None) else base[1],
            released=float(mine[release].mean()) if release in mine else np.nan,
            floor=float(floor.mean()),
            ceiling=float(ceiling[floor.notna()].mean()),
            people=int(tested[anonymizer]),
        )
    return RecoveredScores(pd.concat(parts, axis=1), scales)


def floor_trainings(cells: pd.DataFrame) -> list[Training]:
    """The attack-free baselines of a run; of tables that do not say which these are, by the names of their plug-ins."""
    if "floor" in cells:
        floors = cells["floor"].astype(str) == "True"
    else:
        floors = cells["attacker"].map(plugin_name).isin(FLOORS)
    return _trainings(cells[floors])


def attack_trainings(cells: pd.DataFrame) -> list[Training]:
    """What are attacks: neither baselines nor controls."""
    controls = cells["control"] != "" if "control" in cells else np.zeros(len(cells), dtype=bool)
    floors = set(floor_trainings(cells))
    return [training for training in _trainings(cells[~controls]) if training not in floors]


def counted_attacks(
    recovered: Recovered, cells: pd.DataFrame, trusted: Trusted = everything
) -> dict[str, dict[str, list[Training]]]:
    """Attacks that have been scored and are trusted: by anonymizer and attacker, the trainings by its seeds."""
    known = set(recovered.trainings)
    found: dict[str, dict[str, list[Training]]] = {}
    for training in attack_trainings(cells):
        if training in known and trusted(*training):
            found.setdefault(training[0], {}).setdefault(training[1], []).append(training)
    return found


def _trainings(cells: pd.DataFrame) -> list[Training]:
    return sorted(_training(row) for row in cells[["anonymizer", "attacker", "seed"]].itertuples(index=False))


def _training(names: Sequence[Any]) -> Training:
    return str(names[0]), str(names[1]), int(names[2])


def _ceilings(wide: pd.DataFrame, metric: str) -> pd.Series[float]:
    """Of every person what the original scores."""
    own = pd.Series(np.nan, index=wide.index)
    for training in map(_training, wide.columns):
        if plugin_name(training[0]) == NOTHING_HIDDEN and training[1] == NO_ATTACK:
            own = own.fillna(wide[training])
    return own.fillna(_metric_ceiling(metric))


def _metric_ceiling(metric: str) -> float:
    """Of a metric that is not installed here it is not known: NaN."""
    try:
        plugin = Registry.discover().find("metric", plugin_name(metric)).load()
    except PluginError:
        return np.nan
    return plugin.ceiling if issubclass(plugin, Metric) else np.nan


def _best(mine: pd.DataFrame, bases: Sequence[Training]) -> Training | None:
    """The base with the best mean, the first of equals; those that most people have no score of are none.

    So a face removed to a constant, which has no correlation but for slices that missed the face, is no floor.
    """
    means = {base: (mine[base].count(), round(mine[base].mean(), 12)) for base in bases if base in mine}
    most = max((count for count, _ in means.values()), default=0)
    known = {base: value for base, (count, value) in means.items() if count and 2 * count > most}
    return max(known, key=lambda base: known[base]) if known else None
