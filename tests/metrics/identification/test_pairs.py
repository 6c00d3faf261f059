"""Figures of pairs against known answers and against scikit-learn, an independent implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss, roc_auc_score, roc_curve

from refbench.errors import DataError
from refbench.metrics.identification.levels import Levels, masses
from refbench.metrics.identification.likelihood import calibrate, cllr, cost_of_ratios, least_cllr
from refbench.metrics.identification.linkability import bins, linkability
from refbench.metrics.identification.roc import area, equal_error_rate, true_positives

Floats = np.ndarray[Any, np.dtype[np.float64]]

scores = st.lists(st.integers(-4, 4), min_size=1, max_size=12).map(lambda own: np.array(own, dtype=float))


def linked(genuine: Floats, impostor: Floats) -> float:
    levels = Levels.of(genuine, impostor)
    return float(linkability(levels.masses(), bins(levels)))


def figures(genuine: Floats, impostor: Floats) -> list[float]:
    of = masses(genuine, impostor)
    found = [area(of), equal_error_rate(of), true_positives(of, 0.1), least_cllr(of)]
    return [float(figure) for figure in found] + [linked(genuine, impostor)]


def test_by_hand() -> None:
    """One impostor of four above one genuine of two: 7 of 8 pairs of pairs are in order."""
    of = masses(np.array([3.0, 1]), np.array([2.0, 0, 0, 0]))
    assert area(of) == pytest.approx(7 / 8)
    assert equal_error_rate(of) == pytest.approx(1 / 4)
    assert [float(true_positives(of, rate)) for rate in (0, 0.2, 0.25)] == pytest.approx([1 / 2, 1 / 2, 1])


def test_apart_and_alike() -> None:
    low, high, same = np.arange(20.0), np.arange(20.0) + 100, np.full(20, 0.3)
    assert figures(high, low) == pytest.approx([1, 0, 1, 0, 1])
    assert figures(low, high)[:3] == pytest.approx([0, 1, 0])
    assert figures(same, same) == pytest.approx([0.5, 0.5, 0.1, 1, 0])


@settings(max_examples=40)
@given(scores, scores)
def test_as_scikit_learn_says(genuine: Floats, impostor: Floats) -> None:
    truth = np.repeat([1, 0], [len(genuine), len(impostor)])
    both = np.concatenate([genuine, impostor])
    of = masses(genuine, impostor)
    assert area(of) == pytest.approx(roc_auc_score(truth, both))
    false, true, _ = roc_curve(truth, both, drop_intermediate=False)
    rate = float(equal_error_rate(of))
    # straight between its points, the curve passes through (rate, 1 - rate)
    assert np.any(
        [
            abs((1 - rate - true[k]) * (false[k + 1] - false[k]) - (rate - false[k]) * (true[k + 1] - true[k])) < 1e-9
            and false[k] - 1e-9 <= rate <= false[k + 1] + 1e-9
            and true[k] - 1e-9 <= 1 - rate <= true[k + 1] + 1e-9
            for k in range(len(false) - 1)
        ]
    )
    weights = np.repeat([0.5 / len(genuine), 0.5 / len(impostor)], [len(genuine), len(impostor)])
    best = IsotonicRegression().fit(both, truth, sample_weight=weights).predict(both)
    expected = log_loss(truth, best, sample_weight=weights, labels=[0, 1]) / np.log(2)
    assert least_cllr(of) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40)
@given(scores, scores)
def test_only_the_order_counts(genuine: Floats, impostor: Floats) -> None:
    assert figures(np.exp(genuine) - 7, np.exp(impostor) - 7) == pytest.approx(figures(genuine, impostor))


@settings(max_examples=30)
@given(scores, scores)
def test_a_pair_that_weighs_twice_is_two_pairs(genuine: Floats, impostor: Floats) -> None:
    levels = Levels.of(genuine, impostor)
    weighed = levels.masses(np.arange(len(genuine)) + 1.0, np.arange(len(impostor)) + 1.0)
    repeated = masses(*(np.repeat(own, np.arange(len(own)) + 1) for own in (genuine, impostor)))
    for figure in (area, equal_error_rate, least_cllr):
        assert figure(weighed) == pytest.approx(figure(repeated))


def test_many_draws_are_one_array() -> None:
    rng = np.random.default_rng(1)
    levels = Levels.of(rng.normal(1, 1, 6), rng.normal(0, 1, 30))
    genuine, impostor = rng.integers(1, 4, (5, 6)).astype(float), rng.integers(1, 4, (5, 30)).astype(float)
    together = levels.masses(genuine, impostor)
    for figure in (area, equal_error_rate, least_cllr, lambda of: linkability(of, bins(levels))):
        one_by_one = [float(figure(levels.masses(*own))) for own in zip(genuine, impostor, strict=True)]
        assert figure(together) == pytest.approx(one_by_one)


@pytest.mark.parametrize("distance", [0.0, 1.0, 3.0])
def test_linkability_of_two_bells(distance: float) -> None:
    """D_sys is the integral of p1 max(0, (p1 - p0) / (p1 + p0)), done here by quadrature."""

    def integrand(x: float) -> float:
        own, other = norm.pdf(x, distance), norm.pdf(x)
        return float(own * max(0.0, (own - other) / (own + other)))

    rng = np.random.default_rng(2)
    found = linked(rng.normal(distance, 1, 20_000), rng.normal(0, 1, 100_000))
    assert found == pytest.approx(quad(integrand, -8, 8 + distance)[0], abs=0.03)


def test_of_few_people_alike_linkability_is_small() -> None:
    rng = np.random.default_rng(3)
    found = [linked(rng.normal(size=30), rng.normal(size=870)) for _ in range(100)]
    assert np.mean(found) < 0.1


def test_costs_of_ratios_by_hand() -> None:
    assert cllr(np.zeros(3), np.full(2, np.nan)) == pytest.approx(1)
    assert cllr(np.log([3.0]), np.log([1 / 3])) == pytest.approx(np.log2(4 / 3))
    assert cllr(np.array([-20.0]), np.array([20.0])) > 28
    own, others = cost_of_ratios(np.array([800.0]), np.array([-800.0]))
    assert (own[0], others[0]) == pytest.approx((0, 0))


def test_calibration_finds_the_ratio_of_two_bells() -> None:
    """For two bells of one width log LR is a line: slope d / s^2, zero half way between the means."""
    rng = np.random.default_rng(4)
    genuine, impostor = rng.normal(50, 10, 20_000), rng.normal(30, 10, 40_000)
    slope, offset = calibrate(genuine, impostor)
    assert slope == pytest.approx(0.2, rel=0.03)
    assert -offset / slope == pytest.approx(40, abs=0.5)
    assert cllr(slope * genuine + offset, slope * impostor + offset) == pytest.approx(
        float(least_cllr(masses(genuine, impostor))), abs=0.01
    )


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_calibration_of_what_is_apart_stays_modest(scale: float) -> None:
    rng = np.random.default_rng(5)
    genuine, impostor = scale * rng.normal(10, 1, 30), scale * rng.normal(0, 1, 870)
    slope, offset = calibrate(np.append(genuine, np.nan), impostor)
    own, others = slope * genuine + offset, slope * impostor + offset
    assert 0 < others.max() + 20 < own.min() + 20 < 40
    assert np.exp(np.median(own)) == pytest.approx(31, rel=0.2)  # n + 1 to 1: no more is known from n people
    assert cllr(own, others) < 0.1


def test_calibration_of_what_tells_nothing_is_a_ratio_of_one_and_keeps_the_order() -> None:
    slope, offset = calibrate(np.full(3, 2.0), np.full(9, 2.0))
    assert slope * 2 + offset == pytest.approx(0, abs=0.01)
    slope, offset = calibrate(np.array([0.0, 1, 2]), np.array([3.0, 4, 5]))
    assert slope > 0
    assert slope * 5 + offset < 0.01


def test_calibration_needs_both_kinds() -> None:
    with pytest.raises(DataError, match="0 pairs of one person and 2 of two"):
        calibrate(np.array([np.nan]), np.ones(2))
