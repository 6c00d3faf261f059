"""How well a threshold on similarity tells pairs of one person from pairs of two.

The receiver operating characteristic runs straight between its points: where similarities are equal, pairs are accepted
at random. So similarities that are all equal give exactly what chance gives.

Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.identification.levels import Masses

Floats = NDArray[np.float64]

ROUNDING = 1e-12
"""Of sums of shares."""


def roc(of: Masses) -> tuple[Floats, Floats]:
    """False and true positive rates at falling thresholds: float64 [..., levels + 1] each, from 0 to 1."""
    return _from_zero(of.impostor), _from_zero(of.genuine)


def area(of: Masses) -> Floats:
    """Area under the curve, float64 [...], 0-1: the chance that a genuine pair is more alike than an impostor pair."""
    false, true = roc(of)
    under: Floats = (np.diff(false, axis=-1) * (true[..., 1:] + true[..., :-1]) / 2).sum(axis=-1)
    return under


def true_positives(of: Masses, false_positive_rate: float) -> Floats:
    """Share of genuine pairs accepted where this share of impostor pairs is: float64 [...], 0-1.

    Straight between the curve's points; the upper end of a step that lies at this very rate.
    """
    false, true = roc(of)
    before = (false <= false_positive_rate + ROUNDING).sum(axis=-1, keepdims=True) - 1
    return _between(false, true, before, false_positive_rate)


def equal_error_rate(of: Masses) -> Floats:
    """Where as many genuine pairs are refused as impostor pairs accepted: float64 [...], 0-1.

    On the curve itself, straight between its points, and not on its convex hull, which promises more than few people
    can show.
    """
    false, true = roc(of)
    excess = false + true - 1  # rises from -1 to 1
    before = np.minimum((excess <= ROUNDING).sum(axis=-1, keepdims=True) - 1, excess.shape[-1] - 2)
    return _between(excess, false, before, 0.0)


def _from_zero(masses: Floats) -> Floats:
    start = np.zeros((*masses.shape[:-1], 1))
    rates: Floats = np.minimum(np.concatenate([start, np.cumsum(masses, axis=-1)], axis=-1), 1.0)
    return rates


def _between(x: Floats, y: Floats, before: NDArray[np.int64], at: float) -> Floats:
    """Value of y where x, which rises, is `at`, between points `before` and the next one."""
    after = np.minimum(before + 1, x.shape[-1] - 1)
    x0, x1, y0, y1 = (np.asarray(np.take_along_axis(a, b, -1))[..., 0] for a in (x, y) for b in (before, after))
    share: Floats = np.divide(at - x0, x1 - x0, out=np.zeros_like(x0), where=x1 > x0)
    value: Floats = y0 + np.clip(share, 0.0, 1.0) * (y1 - y0)
    return value
