"""Similarities as likelihood ratios: calibration, and what the ratios are worth.

Source: Brummer & du Preez, "Application-independent evaluation of speaker detection", Computer Speech & Language 20,
2006, sections 4 to 6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.metrics.identification.levels import Masses

Floats = NDArray[np.float64]

SMALLEST_SLOPE = 1e-3
"""Per standard deviation of similarities: calibration never turns their order round."""


def calibrate(genuine: Floats, impostor: Floats) -> tuple[float, float]:
    """Fit `slope * similarity + offset` to be the natural logarithm of the likelihood ratio of genuine to impostor.

    Logistic regression in which both kinds weigh alike, so no prior enters. Where similarities part the two kinds
    without error the fit would run off to infinity: so each pair counts, after Platt, as of the other kind by one part
    in n + 2, n being the smaller number of pairs, as pairs of the same few people are no independent witnesses.
    Source: Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 1999.

    Args:
        genuine: float64 [pairs], similarities of two faces of one person; NaN is left out.
        impostor: of two people.

    Returns:
        Slope, above 0, and offset.

    Raises:
        DataError: no pair of one of the kinds can be compared.
    """
    from scipy.optimize import minimize

    genuine, impostor = genuine[np.isfinite(genuine)], impostor[np.isfinite(impostor)]
    if not (len(genuine) and len(impostor)):
        raise DataError(
            f"{len(genuine)} pairs of one person and {len(impostor)} of two can be compared: ratios need both"
        )
    center = (genuine.mean() + impostor.mean()) / 2
    spread = float(np.sqrt((np.mean((genuine - center) ** 2) + np.mean((impostor - center) ** 2)) / 2)) or 1.0
    x = (np.concatenate([genuine, impostor]) - center) / spread
    weights = np.repeat([0.5 / len(genuine), 0.5 / len(impostor)], [len(genuine), len(impostor)])
    doubt = 1 / (min(len(genuine), len(impostor)) + 2)
    wanted = np.repeat([1 - doubt, doubt], [len(genuine), len(impostor)])

    def loss(parameters: Floats) -> tuple[float, Floats]:
        ratio = parameters[0] * x + parameters[1]
        error = weights * (1 / (1 + np.exp(-np.clip(ratio, -500, 500))) - wanted)
        value = weights @ (np.logaddexp(0, ratio) - wanted * ratio)
        return float(value), np.array([error @ x, error.sum()])

    options = {"ftol": 1e-15, "gtol": 1e-10}
    fit = minimize(
        loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(SMALLEST_SLOPE, None), (None, None)], options=options
    )
    slope = float(fit.x[0]) / spread
    return slope, float(fit.x[1]) - slope * float(center)


def cost_of_ratios(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats]:
    """Bits that each natural log likelihood ratio costs; half the sum of both means is Cllr.

    Args:
        genuine: float64 [pairs], NaN counts as a ratio of 1.
        impostor: the same.

    Returns:
        float64 [pairs] each: 1 where the ratio is 1, less where it points the right way.
    """
    return tuple(np.logaddexp(0, sign * np.nan_to_num(x)) / np.log(2) for sign, x in ((-1, genuine), (1, impostor)))


def cllr(genuine: Floats, impostor: Floats) -> float:
    """Cost of natural log likelihood ratios as they are, bits: 0 perfect, 1 what no recognizer costs, or more."""
    own, others = cost_of_ratios(genuine, impostor)
    return float(own.mean() + others.mean()) / 2


def least_cllr(of: Masses) -> Floats:
    """Cllr after the best calibration that keeps the order, by pooling adjacent violators: bits, float64 [...], 0-1.

    It is fitted to the very pairs it is measured on, so few people look better told apart than they are.
    """
    genuine, impostor = (masses.reshape(-1, masses.shape[-1]) for masses in (of.genuine, of.impostor))
    bits = np.array([_least(*pair) for pair in zip(genuine, impostor, strict=True)])
    return bits.reshape(of.genuine.shape[:-1])


def _least(genuine: Floats, impostor: Floats) -> float:
    from scipy.optimize import isotonic_regression
    from scipy.special import xlogy

    there = genuine + impostor > 0
    genuine, impostor = genuine[there], impostor[there]
    both = genuine + impostor
    share = isotonic_regression(genuine / both, weights=both, increasing=False).x
    nats = xlogy(genuine, share) + xlogy(impostor, 1 - share)
    return float(-nats.sum() / 2 / np.log(2))
