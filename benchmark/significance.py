"""Tests of paired differences over subjects, and what many of them at once are worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLIPS = 100_000
EXACT = 16
"""Up to so many people every pattern of signs is tried (65 536); beyond, `FLIPS` patterns are drawn."""

CHUNK = 10_000


def sign_flip_test(differences: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Two-sided paired permutation test of every column's mean difference against zero.

    If two attacks were worth the same, each person's difference would as well have the other sign. p is the share of
    all patterns of signs under which the mean is at least as far from zero as it was found. Of drawn patterns the one
    that was found counts as one more, so that p is never zero.

    Source: Fisher, The Design of Experiments, 1935, section 21; the count for drawn patterns: Phipson & Smyth,
    Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9, 2010.

    Args:
        differences: float64 [subjects, columns], one figure per person; NaN: the person is left out of the column.
        seed: draws the patterns, the same for all columns.

    Returns:
        p, float64 [columns]; NaN where nobody has a figure.
    """
    values = np.where(np.isfinite(differences), differences, 0.0)
    observed = np.abs(values.sum(axis=0))
    # Sums of the same numbers in another order differ in their last digits, and count as equal.
    reached = observed - 1e-12 * np.abs(values).sum(axis=0)
    people = len(values)
    exact = people <= EXACT
    patterns = 2**people if exact else FLIPS
    rng = np.random.default_rng(seed)
    hits = np.zeros(values.shape[1])
    for start in range(0, patterns, CHUNK):
        count = min(CHUNK, patterns - start)
        if exact:
            flipped = np.arange(start, start + count)[:, None] >> np.arange(people) & 1
        else:
            flipped = rng.integers(0, 2, (count, people), dtype=np.int8)
        hits += (np.abs((1.0 - 2.0 * flipped) @ values) >= reached).sum(axis=0)
    p = hits / patterns if exact else (1 + hits) / (1 + patterns)
    return np.where(np.isfinite(differences).any(axis=0), p, np.nan)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p for their number by Holm's step-down rule: who goes by 0.05 errs in at most 5 % of such tables.

    The smallest of m is multiplied by m, the next by m - 1, ...; none may fall below the one before, none exceeds 1.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979.

    Args:
        p: float64 [m]; NaN: no test was made, and none is counted.

    Returns:
        float64 [m], in the order of `p`; NaN stays NaN.
    """
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted
