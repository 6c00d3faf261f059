"""Means and intervals over subjects: the subject, never the slice, is the unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DRAWS = 10_000
CONFIDENCE = 0.95


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


def bootstrap_weights(sites: NDArray[np.object_], draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """How often each subject is drawn in each resample: float64 [draws, subjects].

    Subjects are drawn with replacement within their site, so that every resample has the sites' own numbers.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((draws, len(sites)))
    for site in sorted(set(sites)):
        members = np.flatnonzero(sites == site)
        weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
    return weights


def interval(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Percentile interval of the mean of every column.

    Args:
        values: float64 [subjects, columns]; NaN is left out of its column's means.
        weights: float64 [draws, subjects], see `bootstrap_weights`.

    Returns:
        Lower and upper bound of the 95 % interval, float64 [columns] each; NaN where no subject has a value.
    """
    defined = np.isfinite(values)
    sums = weights @ np.where(defined, values, 0.0)
    counts = weights @ defined.astype(np.float64)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    tail = 100 * (1 - CONFIDENCE) / 2
    bounds = np.full((2, values.shape[1]), np.nan)
    some = defined.any(axis=0)
    if some.any():
        bounds[:, some] = np.nanpercentile(means[:, some], [tail, 100 - tail], axis=0)
    return bounds[0], bounds[1]
