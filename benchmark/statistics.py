"""Means, medians and intervals over subjects: the subject, never the slice, is the unit.

Intervals are percentile intervals of a bootstrap of two levels: trainings of an attacker by other seeds are drawn
first, then subjects within their sites. All trainings are tested on the same people, so one draw of people serves all
the trainings drawn with it.

Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13; for the two levels Davison &
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DRAWS = 10_000
CONFIDENCE = 0.95
TOGETHER = 256
"""Columns whose resamples are held in memory at once."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over people and the bounds of its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float

    def columns(self, name: str) -> dict[str, float]:
        """As columns of a table: `name`, `name_low`, `name_high`."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


UNDEFINED = Estimate(float("nan"), float("nan"), float("nan"))


def per_subject(scores: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean over the images of each subject (all sessions and slices) where the score is defined.

    Args:
        scores: the long table.
        columns: what tells one series of scores from another.

    Returns:
        Rows: subjects (index: site, subject); columns: the combinations of `columns`; NaN where nothing is defined.
    """
    means = scores.groupby([*columns, "site", "subject"], sort=True, observed=True)["value"].mean()
    return means.unstack(columns)


def bootstrap_weights(sites: NDArray[np.object_], draws: int = DRAWS, seed: int = 0) -> Floats:
    """How often each subject is drawn in each resample: float64 [draws, subjects].

    Subjects are drawn with replacement within their site, so that every resample has the sites' own numbers.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((draws, len(sites)))
    for site in sorted(set(sites)):
        members = np.flatnonzero(sites == site)
        weights[:, members] = _draw(len(members), draws, rng)
    return weights


def seed_weights(trainings: int, draws: int = DRAWS, seed: int = 0) -> Floats:
    """How often each training is drawn in each resample: float64 [draws, trainings]; ones where there is only one.

    `seed` sets apart what was trained apart: the two sides of a difference are drawn by two seeds.
    """
    if trainings == 1:
        return np.ones((draws, 1))
    return _draw(trainings, draws, np.random.default_rng([1, seed]))


def _draw(count: int, draws: int, rng: np.random.Generator) -> Floats:
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def mean(values: Floats) -> float:
    """Mean of what is defined; NaN where nothing is."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def median(values: Floats) -> float:
    """Median of what is defined; NaN where nothing is."""
    defined = values[np.isfinite(values)]
    return float(np.median(defined)) if len(defined) else float("nan")


def resampled_means(values: Floats, weights: Floats) -> Floats:
    """The mean of every column in each resample.

    Args:
        values: float64 [subjects, columns]; NaN is left out of its column's means.
        weights: float64 [draws, subjects], see `bootstrap_weights`.

    Returns:
        float64 [draws, columns]; NaN where nobody with a value was drawn.
    """
    sums, counts = _sums(values, weights)
    return _ratio(sums, counts)


def resampled_over_seeds(values: Floats, weights: Floats, trainings: Floats) -> Floats:
    """The mean over trainings and subjects in each resample.

    Args:
        values: float64 [subjects, ..., trainings] of one attack; NaN is left out.
        weights: float64 [draws, subjects], see `bootstrap_weights`.
        trainings: float64 [draws, trainings], see `seed_weights`.

    Returns:
        float64 [draws, ...]; NaN where nothing defined was drawn.
    """
    shape = (len(weights), *values.shape[1:])
    sums, counts = (part.reshape(shape) for part in _sums(values.reshape(len(values), -1), weights))
    return _ratio(np.einsum("d...t,dt->d...", sums, trainings), np.einsum("d...t,dt->d...", counts, trainings))


def _sums(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    defined = np.isfinite(values)
    return weights @ np.where(defined, values, 0.0), weights @ defined.astype(np.float64)


def _ratio(sums: Floats, counts: Floats) -> Floats:
    ratio: Floats = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return ratio


def bounds(resampled: Floats) -> tuple[Floats, Floats]:
    """Bounds of the 95 % percentile interval of every column.

    Args:
        resampled: float64 [draws, columns]; NaN is left out.

    Returns:
        Lower and upper bound, float64 [columns] each; NaN where a column has nothing else.
    """
    tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    columns = np.ascontiguousarray(resampled.T)
    gaps = np.isnan(columns)
    found = np.full((2, len(columns)), np.nan)
    whole, some = ~gaps.any(axis=1), gaps.any(axis=1) & ~gaps.all(axis=1)
    found[:, whole] = np.percentile(columns[whole], tails, axis=1)
    if some.any():  # one by one, and slow
        found[:, some] = np.nanpercentile(columns[some], tails, axis=1)
    return found[0], found[1]


def interval(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Percentile interval of the mean of every column.

    Args:
        values: float64 [subjects, columns]; NaN is left out of its column's means.
        weights: float64 [draws, subjects], see `bootstrap_weights`.

    Returns:
        Lower and upper bound of the 95 % interval, float64 [columns] each; NaN where no subject has a value.
    """
    low, high = np.empty(values.shape[1]), np.empty(values.shape[1])
    for first in range(0, values.shape[1], TOGETHER):
        some = slice(first, first + TOGETHER)
        low[some], high[some] = bounds(resampled_means(values[:, some], weights))
    return low, high


def estimate(value: float, resampled: Floats) -> Estimate:
    """A figure with the interval of its resamples [draws]; undefined where the figure is."""
    if not np.isfinite(value):
        return UNDEFINED
    low, high = bounds(resampled[:, None])
    return Estimate(value, float(low[0]), float(high[0]))
