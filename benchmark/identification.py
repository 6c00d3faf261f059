"""Figures of identification: one row for each condition and recognizer, with intervals over people.

A probe that cannot be compared counts as chance: its own face is found with the chance of a blind guess, and the share
of such probes is mixed into the figures of pairs as what chance gives. Intervals are of a bootstrap over people (see
`refbench.statistics`); for figures of pairs a person's weight falls on probe and gallery alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refbench.metrics.identification.levels import Levels, Masses
from refbench.metrics.identification.likelihood import cost_of_ratios, least_cllr
from refbench.metrics.identification.linkability import bins, linkability
from refbench.metrics.identification.ranks import found_within
from refbench.metrics.identification.roc import area, equal_error_rate, true_positives
from refbench.statistics import DRAWS, Estimate, bootstrap_weights, bounds, estimate, resampled_means
from refbench.trials import SERIES, Condition, Trial, trials

RANKS = {"rank1": 1, "rank5": 5}
RATES = {"tpr_1": 0.01, "tpr_01": 0.001}
CHANCE = {"auc": 0.5, "eer": 0.5, **RATES, "d_sys": 0.0, "cllr_min": 1.0}
"""Figures of pairs, and what each is where nothing can be told."""

PAIRS = (*CHANCE, "cllr")
FIGURES = (*RANKS, *PAIRS)

PAIR_DRAWS = 250
"""Resamples of figures of pairs."""

Floats = NDArray[np.float64]


def identification_figures(table: pd.DataFrame) -> pd.DataFrame:
    """Every figure of every condition and recognizer.

    Args:
        table: similarities, see `refbench.face_tables`.

    Returns:
        Columns: those of `SERIES`, probes, people, gallery, chance, moved and placed (shares of probes), then each of
        `FIGURES` with `_low` and `_high`.
    """
    rows = [_about(trial) | _columns({**rank_figures(trial), **pair_figures(trial)}) for trial in trials(table)]
    ends = [f"{figure}{end}" for figure in FIGURES for end in ("", "_low", "_high")]
    about = ["probes", "people", "gallery", "chance", "moved", "placed"]
    return pd.DataFrame(rows, columns=[*SERIES, *about, *ends])


def strongest(trials_: Iterable[Trial]) -> dict[Condition, Trial]:
    """Of each condition the trial of the recognizer with the most `strength`."""
    best: dict[Condition, tuple[tuple[float, float], Trial]] = {}
    for trial in trials_:
        own = strength(trial)
        if trial.condition not in best or own > best[trial.condition][0]:
            best[trial.condition] = own, trial
    return {condition: trial for condition, (_, trial) in best.items()}


def strength(trial: Trial) -> tuple[float, float]:
    """Share of people found first; then, among those that find as many, the area under the curve of their pairs."""
    return round(float(trial.over_people(found_within(1, trial.places)).mean()), 12), _area(trial)


def rank_figures(trial: Trial) -> dict[str, Estimate]:
    """Share of people found within the first ranks, ties being broken at random."""
    of = trial.places
    weights = _weights(tuple(trial.sites), DRAWS)
    shares = {name: trial.over_people(found_within(rank, of)) for name, rank in RANKS.items()}
    return {
        name: estimate(float(own.mean()), resampled_means(own[:, None], weights)[:, 0]) for name, own in shares.items()
    }


def pair_figures(trial: Trial, wanted: Collection[str] = PAIRS) -> dict[str, Estimate]:
    """Figures of all pairs of a probe and a face, or some; undefined where the gallery holds nobody else."""
    pairs = _Pairs(trial, wanted)
    found = pairs.figures(np.ones((1, len(trial.people))))
    drawn = pairs.figures(_weights(tuple(trial.sites), PAIR_DRAWS))
    figures = {}
    for name, value in found.items():
        low, high = bounds(drawn[name][:, None])
        defined = np.isfinite(value[0])
        figures[name] = Estimate(float(value[0]), *(float(end[0]) if defined else np.nan for end in (low, high)))
    return figures


def _area(trial: Trial) -> float:
    pairs = _Pairs(trial)
    known = float(pairs.known.mean())
    return known * float(area(pairs.levels.masses())) + (1 - known) * CHANCE["auc"] if pairs.levels else CHANCE["auc"]


class _Pairs:
    """The pairs of a trial, sorted once for all resamples."""

    def __init__(self, trial: Trial, wanted: Collection[str] = PAIRS) -> None:
        self.trial, self.wanted = trial, wanted
        probes, faces = trial.similarities.shape
        self.other = np.ones((probes, faces), dtype=bool)
        self.other[np.arange(probes), trial.own] = False
        self.genuine = trial.similarities[np.arange(probes), trial.own]
        self.known = np.isfinite(self.genuine)
        impostor = np.where(self.other, trial.similarities, np.nan)
        self.probe, self.face = np.nonzero(np.isfinite(impostor))
        self.levels = None
        if self.known.any() and len(self.probe):
            self.levels = Levels.of(self.genuine[self.known], impostor[self.probe, self.face])

    def figures(self, weights: Floats) -> dict[str, Floats]:
        """Of each resample [draws, people] float64 [draws]; NaN where nobody, or only one person, was drawn."""
        trial = self.trial
        counts = np.bincount(trial.person, minlength=len(trial.people))
        of_probes = weights[:, trial.person] / counts[trial.person]
        of_faces = np.where(trial.face >= 0, weights[:, trial.face], 1.0)
        drawn = _over_pairs(of_probes, self.other, of_faces) > 0
        figures = {name: np.full(len(weights), np.nan) for name in self.wanted}
        if not drawn.any():
            return figures
        of_probes, of_faces = of_probes[drawn], of_faces[drawn]
        known = _mean(of_probes, self.known.astype(np.float64))
        for name, values in self._of_known(of_probes, of_faces).items():
            figures[name][drawn] = known * values + (1 - known) * CHANCE[name]
        for name in RATES.keys() & figures.keys():
            if self.other.sum() * RATES[name] < 1 - 1e-9:
                figures[name][:] = np.nan
        if "cllr" not in figures:
            return figures
        own, others = cost_of_ratios(self.genuine, trial.similarities)
        of_others = _over_pairs(of_probes, np.where(self.other, others, 0.0), of_faces)
        figures["cllr"][drawn] = (_mean(of_probes, own) + of_others / _over_pairs(of_probes, self.other, of_faces)) / 2
        return figures

    def _of_known(self, of_probes: Floats, of_faces: Floats) -> dict[str, Floats]:
        """Figures of the pairs that can be compared; what chance gives where a resample has none."""
        found = {name: np.full(len(of_probes), CHANCE[name]) for name in CHANCE if name in self.wanted}
        if self.levels is None:
            return found
        own, others = of_probes[:, self.known], of_probes[:, self.probe] * of_faces[:, self.face]
        some = (own.sum(axis=1) > 0) & (others.sum(axis=1) > 0)
        if some.any():
            of = self.levels.masses(own[some], others[some])
            for name, values in self._measured(of).items():
                found[name][some] = values
        return found

    def _measured(self, of: Masses) -> dict[str, Floats]:
        assert self.levels is not None
        levels = self.levels
        measures: dict[str, Callable[[], Floats]] = {
            "auc": lambda: area(of),
            "eer": lambda: equal_error_rate(of),
            **{name: partial(true_positives, of, rate) for name, rate in RATES.items()},
            "d_sys": lambda: linkability(of, bins(levels)),
            "cllr_min": lambda: least_cllr(of),
        }
        return {name: measure() for name, measure in measures.items() if name in self.wanted}


@cache
def _weights(sites: tuple[str, ...], draws: int) -> Floats:
    return bootstrap_weights(np.array(sites, dtype=object), draws)


def _over_pairs(of_probes: Floats, values: NDArray[Any], of_faces: Floats) -> Floats:
    """Weighed sum over pairs, float64 [draws]; values [probes, gallery]."""
    total: Floats = ((of_probes @ values.astype(np.float64)) * of_faces).sum(axis=1)
    return total


def _mean(weights: Floats, values: Floats) -> Floats:
    mean: Floats = weights @ values / weights.sum(axis=1)
    return mean


def _about(trial: Trial) -> dict[str, object]:
    probes, gallery = trial.similarities.shape
    return {
        **dict(zip(SERIES, (*trial.condition, trial.recognizer), strict=True)),
        "probes": probes,
        "people": len(trial.people),
        "gallery": gallery,
        "chance": trial.chance,
        "moved": trial.moved,
        "placed": float(np.isfinite(trial.similarities[np.arange(probes), trial.own]).mean()),
    }


def _columns(figures: dict[str, Estimate]) -> dict[str, float]:
    return {column: value for name, own in figures.items() for column, value in own.columns(name).items()}
