"""Paired differences: between anonymizers, and of every attack against no attack.

A difference is taken person by person, so what makes one face easier than another cancels out; that is why two rows
of a leaderboard may be told apart although their intervals overlap. An attack that was trained by several seeds
counts by the mean over them, with the seeds as the outer level of the interval; the ranks go by the strongest seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refbench.errors import RefbenchError
from refbench.face_columns import FaceFigures
from refbench.leaderboard import Leaderboard, View, build_leaderboard
from refbench.merge import merge
from refbench.results import NO_ATTACK, Run
from refbench.significance import holm, sign_flip_test
from refbench.statistics import (
    UNDEFINED,
    Estimate,
    bootstrap_weights,
    estimate,
    mean,
    median,
    per_subject,
    resampled_over_seeds,
    seed_weights,
)

LEVEL = 0.05
"""A difference whose adjusted p is below is called apart."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Attacked:
    """One side of a difference: an anonymizer, and an attack on it (`NO_ATTACK`: the release itself)."""

    anonymizer: str
    attacker: str


@dataclass(frozen=True)
class Difference:
    """How much more of the face `more` gives back than `less`: the mean of its score minus the other's over people.

    Attributes:
        people: who has both figures; the others are left out.
        seeds: trainings behind `more` and `less`.
        overall: mean and 95 % interval. middle: the median person's difference. sites: the same as overall, by site.
        p: of the sign-flip test, overall. holm: adjusted for all tests of its table.
    """

    more: Attacked
    less: Attacked
    people: int
    seeds: tuple[int, int]
    overall: Estimate
    middle: float
    sites: dict[str, Estimate]
    p: float
    holm: float

    @property
    def apart(self) -> bool:
        """Whether the test tells the two apart, after the adjustment."""
        return self.holm < LEVEL


@dataclass(frozen=True)
class Differences:
    """Two tables, each adjusted for its own number of tests.

    Attributes:
        anonymizers: all pairs with a rank, each under its strongest attack; `less` is the one that ranks before.
        attacks: every attack against no attack, by anonymizer, the strongest first.
        board: the leaderboard they belong to. notes: what was left out, and why.
    """

    anonymizers: tuple[Difference, ...]
    attacks: tuple[Difference, ...]
    board: Leaderboard
    notes: tuple[str, ...]


def build_differences(runs: Sequence[Run], view: View) -> Differences:
    """All differences by the metric that ranks (`view.by`) in the region of the view.

    Raises:
        RefbenchError: as `build_leaderboard`.
    """
    board = build_leaderboard(runs, replace(view, metrics=(view.by,), attackers=True), FaceFigures())
    scores, *others = merge(runs).populations
    if others:
        raise RefbenchError(
            "the people of these runs go by different pseudonyms, so nobody can be compared with themselves; take "
            "bundles that one store exported, or the runs themselves"
        )
    scores = scores[(scores["region"] == view.region) & (scores["metric"] == view.by)]
    people = _People(scores[scores["site"].isin(board.sites)])
    strongest = board.rows.drop_duplicates("anonymizer")
    ranked = strongest[strongest["rank"].notna()]
    best = [Attacked(row["anonymizer"], row["attacker"]) for _, row in ranked.iterrows()]
    pairs = [(more, less) for less, more in combinations(best, 2)]
    notes = [f"{name} has no rank, and is not compared" for name in strongest[strongest["rank"].isna()]["anonymizer"]]
    if view.region == "changed":
        pairs = []
        notes.append("anonymizers change different pixels: in the region `changed` only attacks are compared")
    attacks = [
        Attacked(row["anonymizer"], row["attacker"])
        for _, row in board.rows.drop_duplicates(["anonymizer", "attacker"]).iterrows()
    ]
    gains = [(attack, replace(attack, attacker=NO_ATTACK)) for attack in attacks]
    return Differences(_compared(people, pairs), _compared(people, gains), board, tuple(notes))


class _People:
    """The scores of one metric in one region, person by person, and one draw of people for all differences."""

    def __init__(self, scores: pd.DataFrame) -> None:
        self._wide = per_subject(scores, ["anonymizer", "attacker", "seed"])
        self.of_site = self._wide.index.get_level_values("site").to_numpy()
        self.sites = tuple(sorted(set(self.of_site)))
        self.weights = bootstrap_weights(self.of_site)

    def trainings(self, side: Attacked) -> Floats:
        """Scores of an attack [people, trainings]; trainings without any score are left out."""
        numbers = [
            number
            for number, series in enumerate(self._wide.columns)
            if tuple(series)[:2] == (side.anonymizer, side.attacker)
        ]
        values = self._wide.iloc[:, numbers].to_numpy(dtype=np.float64)
        return values[:, np.isfinite(values).any(axis=0)]


def _compared(people: _People, pairs: Sequence[tuple[Attacked, Attacked]]) -> tuple[Difference, ...]:
    if not pairs:
        return ()
    sides = [(people.trainings(more), people.trainings(less)) for more, less in pairs]
    paired = np.column_stack([_paired(more, less) for more, less in sides])
    p = sign_flip_test(paired)
    adjusted = holm(p)
    return tuple(
        _difference(people, pair, side, paired[:, number], p=float(p[number]), holm=float(adjusted[number]))
        for number, (pair, side) in enumerate(zip(pairs, sides, strict=True))
    )


def _paired(more: Floats, less: Floats) -> Floats:
    """The difference of the means over trainings [people]; NaN for who lacks a figure of one of them."""
    if not more.shape[1] or not less.shape[1]:
        return np.full(len(more), np.nan)
    difference: Floats = more.mean(axis=1) - less.mean(axis=1)
    return difference


def _difference(
    people: _People, pair: tuple[Attacked, Attacked], side: tuple[Floats, Floats], paired: Floats, p: float, holm: float
) -> Difference:
    both = np.isfinite(paired)
    groups = np.column_stack([both, *(both & (people.of_site == site) for site in people.sites)])
    estimates = [UNDEFINED] * groups.shape[1]
    if both.any():
        # Others are left out as undefined: to cut them from the weights copies all draws for every group and pair.
        more, less = (
            resampled_over_seeds(
                np.where(groups[:, :, None], values[:, None, :], np.nan),
                people.weights,
                seed_weights(values.shape[1], seed=number),
            )
            for number, values in enumerate(side)
        )
        estimates = [
            estimate(mean(paired[group]), drawn) for group, drawn in zip(groups.T, (more - less).T, strict=True)
        ]
    return Difference(
        *pair,
        people=int(both.sum()),
        seeds=(side[0].shape[1], side[1].shape[1]),
        overall=estimates[0],
        middle=median(paired),
        sites=dict(zip(people.sites, estimates[1:], strict=True)),
        p=p,
        holm=holm,
    )
