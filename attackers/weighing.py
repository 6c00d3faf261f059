"""How far to trust a proposal: never so far that new people would be worse off than without an attack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares of the way from what was released to what is proposed; the first is no attack."""

ERRORS = 2.0
"""Standard errors that a gain must exceed. One is too few: the best of many weights and proposals looks lucky."""

DIGITS = 6
"""Gains that differ by less are the same."""


def choose(scores: NDArray[np.float64]) -> tuple[int, float]:
    """Pick one of several proposals, and how far to go towards it.

    The largest mean gain over no attack decides, among those of more than `ERRORS` standard errors over people: a gain
    that chance explains is none. (In the spirit of the one-standard-error rule of Breiman et al., "Classification and
    regression trees", 1984, section 3.4.3, and Hastie et al., "The elements of statistical learning", 2009, section
    7.10.) With one person there is no standard error and the gain itself counts. Where no attack cannot be scored, as
    the correlation of a constant release, every attack that can be scored is better. A proposal that cannot be scored
    on anybody is out.

    Args:
        scores: float64 [people, proposals, weights], larger is better, NaN where undefined; along the last axis the
            weights are `WEIGHTS`.

    Returns:
        Index of the proposal, and its weight: the largest of equally good ones; 0 where nothing is gained.
    """
    scorable = np.flatnonzero(np.isfinite(scores[:, :, 1:]).any(axis=(0, 2)))
    scores = scores[:, scorable]
    judged = scores[np.isfinite(scores[:, :, 1:]).all(axis=(1, 2))]
    if not judged.size:
        return 0, 0.0
    nothing = judged[:, :1, :1]
    silent = bool(np.isnan(nothing).any())
    attacks = judged[:, :, 1:]
    # Against a release without a score, gains are counted from the worst attack of the same person.
    gains = attacks - np.where(np.isnan(nothing), attacks.min(axis=(1, 2), keepdims=True), nothing)
    mean = np.round(gains.mean(axis=0), DIGITS)
    if not silent:
        error = gains.std(axis=0, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
        mean = np.where(mean > ERRORS * error, mean, -np.inf)
    if not (mean > -np.inf).any():
        return 0, 0.0
    proposal = int(mean.max(axis=1).argmax())
    weight = int(np.flatnonzero(mean[proposal] == mean[proposal].max())[-1])
    return int(scorable[proposal]), WEIGHTS[1 + weight]
