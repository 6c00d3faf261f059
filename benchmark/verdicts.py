"""What a leaderboard says of its own figures: who is to be trusted, what is recovered, and why a row has no rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from refbench.labels import CONTROLS
from refbench.recovery import Recovered, Training, recovered_scores
from refbench.statistics import UNDEFINED
from refbench.trust import IDLE, UNPROVEN, Trust, trust_in

CONTROL = "a control"
"""Why `identity` and `constant` have no rank."""

CHECKS = ("shuffled", "crossed")
"""Controls that are attacks on other anonymizers than those."""

RECOVERY, RECOVERY_RANK1 = "recovery", "recovery_rank1"


@dataclass(frozen=True)
class Verdicts:
    """What is said of every row.

    Attributes:
        trust: what the controls say. controls: anonymizers that are controls.
        scores: recovery by the metric that ranks, in the region shown. people: recovery by rank-1. One for each group
            of people who cannot be told to be the same.
    """

    trust: Trust = field(default_factory=Trust)
    controls: frozenset[str] = frozenset()
    scores: Sequence[Recovered] = ()
    people: Sequence[Recovered] = ()

    def columns(self, anonymizer: str, attacker: str, seed: int) -> dict[str, Any]:
        """Of a row of a leaderboard: what it recovers, and why it must not be believed.

        `recovery` and `recovery_rank1`, each with `_low`, `_high` and `_over` (what the floor was); of several seeds
        also `_over_seeds` (mean over people and seeds, with bounds) and `_smallest` and `_largest` seed. `untrusted`,
        empty if it may be believed.
        """
        training = anonymizer, attacker, seed
        row: dict[str, Any] = {}
        for name, several in ((RECOVERY, self.scores), (RECOVERY_RANK1, self.people)):
            if several:
                found = next((one for one in several if training in one), None)
                row |= (found.estimate([training]) if found else UNDEFINED).columns(name)
                row[f"{name}_over"] = found.scales[anonymizer].base if found else ""
                seeds = [one for one in found.trainings if one[:2] == training[:2]] if found else []
                if found and len(seeds) > 1:
                    spread = found.of(sorted(seeds))
                    row |= spread.overall.columns(f"{name}_over_seeds")
                    row |= {f"{name}_smallest": spread.smallest, f"{name}_largest": spread.largest}
        return row | {"untrusted": "; ".join(self.trust.untrusted.get(training, ()))}

    def unranked(self, anonymizer: str, attacker: str, seed: int, missing: str, score: float) -> str:
        """Why an anonymizer has no rank, given its strongest attack; empty if it has one."""
        if anonymizer in self.controls:
            return CONTROL
        if missing:
            return missing
        if anonymizer in self.trust.unproven:
            return UNPROVEN
        if not self.trust.trusts(anonymizer, attacker, seed):
            return "no attack on it can be trusted"
        return "" if math.isfinite(score) else "it has no score"


def without_checks(cells: pd.DataFrame) -> pd.DataFrame:
    """Without the attacks that are controls on other anonymizers than those."""
    return cells[~cells["control"].isin(CHECKS)] if "control" in cells else cells


def controls_in(cells: pd.DataFrame) -> frozenset[str]:
    """Anonymizers that are controls."""
    return frozenset(cells[cells["control"].isin(CONTROLS)]["anonymizer"] if "control" in cells else ())


def recovered_in_all(
    populations: Sequence[pd.DataFrame], cells: pd.DataFrame, region: str, metric: str, sites: Sequence[str]
) -> tuple[Recovered, ...]:
    """Recovery of the people of these sites, for each group of them who cannot be told to be the same.

    Args:
        populations: scores, a table for each group.
        cells: of all.
        region: where.
        metric: by what.
        sites: whose people.
    """
    own = (one[one["site"].isin(sites)] for one in populations)
    return tuple(recovered_scores(one, cells, region, metric) for one in own if _scored(one, region, metric))


def trust_in_all(populations: Sequence[pd.DataFrame], cells: pd.DataFrame, region: str, metric: str) -> Trust:
    """What the controls say of several groups of people; whoever fails with one of them is not trusted."""
    trusts = [trust_in(one, cells, region, metric) for one in populations if _scored(one, region, metric)]
    untrusted: dict[Training, tuple[str, ...]] = {}
    for one in trusts:
        untrusted |= {training: why for training, why in one.untrusted.items() if why != (IDLE,) or len(trusts) == 1}
    unproven = frozenset[str]() if not trusts else frozenset.intersection(*(one.unproven for one in trusts))
    return Trust(tuple(check for one in trusts for check in one.checks), untrusted, unproven)


def _scored(scores: pd.DataFrame, region: str, metric: str) -> bool:
    return bool((scores["region"].eq(region) & scores["metric"].eq(metric)).any())
