"""Learning curves: recovery against the number of people that an attack learnt from, or how long it trained.

Whether a curve still rises at its end: the difference of its last two points, on the same people, is above 0 with its
95 % interval. Then the strongest attack is not known yet: with more, more would come back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from refbench.plots.series import Sweep, sweeps
from refbench.recovery import Recovered, Trusted, counted_attacks, everything
from refbench.statistics import Estimate, estimate

EFFORTS = ("share", "budget_minutes", "steps")
"""Parameters of attackers that say how much they learn from, or how long."""


@dataclass(frozen=True)
class LearningCurve:
    """Recovery of one attacker on one anonymizer.

    Attributes:
        points: value of the parameter, the attacker's label, recovery over its seeds; by value.
        last_step: recovery at the last value minus that at the one before, on the same people.
    """

    anonymizer: str
    name: str
    parameter: str
    points: tuple[tuple[float, str, Estimate], ...]
    last_step: Estimate

    @property
    def rises(self) -> bool:
        """Whether it still rises at its end."""
        return self.last_step.low > 0


def efforts(cells: pd.DataFrame) -> list[Sweep]:
    """Attackers of a run that differ in nothing but one of `EFFORTS`."""
    return [sweep for sweep in sweeps(cells, "attacker") if sweep.parameter in EFFORTS]


def learning_curves(
    recovered: Recovered, cells: pd.DataFrame, sweep: Sweep, trusted: Trusted = everything
) -> list[LearningCurve]:
    """One for every anonymizer on which two or more of these attackers have a recovery.

    Args:
        recovered: by a metric in a region, or by who is recognised.
        cells: see `refbench.results`.
        sweep: one of `efforts(cells)`.
        trusted: which trainings count.
    """
    found = []
    for anonymizer, attacks in counted_attacks(recovered, cells, trusted).items():
        known = [(value, label) for value, label in sweep.members if label in attacks]
        known = [(value, label) for value, label in known if math.isfinite(recovered.value(attacks[label]))]
        if len(known) > 1:
            # People are drawn alike, and what was trained apart is drawn apart.
            drawn = [recovered.resampled(attacks[label], number) for number, (_, label) in enumerate(known)]
            values = [recovered.value(attacks[label]) for _, label in known]
            points = tuple(
                (value, label, estimate(middle, resampled))
                for (value, label), middle, resampled in zip(known, values, drawn, strict=True)
            )
            last_step = estimate(values[-1] - values[-2], drawn[-1] - drawn[-2])
            found.append(LearningCurve(anonymizer, sweep.name, sweep.parameter, points, last_step))
    return found
