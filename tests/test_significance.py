import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from refbench import significance
from refbench.significance import holm, sign_flip_test


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def p_of(*values: float) -> float:
    return float(sign_flip_test(column(*values))[0])


# Sign flips


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ((1.0, 2.0, 3.0), 2 / 8),  # +6 and -6 of eight sums
        ((1.0, 2.0, -3.0), 1.0),  # 0: every sum is as far
        ((1.0, 1.0, 1.0, -1.0), 10 / 16),  # |sum| of 2 or 4: all but the six sums of 0
        ((-0.5,) * 5, 2 / 32),
        ((0.0, 0.0, 0.0), 1.0),
    ],
)
def test_few_people_are_tested_by_all_patterns(differences: tuple[float, ...], p: float) -> None:
    assert p_of(*differences) == p


def test_sums_that_differ_by_rounding_only_are_equal() -> None:
    assert p_of(0.1, 0.2, 0.3) == p_of(1, 2, 3)
    assert p_of(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1) == 2 / 2**7


def test_who_has_no_figure_does_not_count() -> None:
    columns = np.array([[1.0, 1.0, np.nan], [2.0, np.nan, np.nan], [3.0, 3.0, np.nan], [np.nan, 2.0, np.nan]])
    p = sign_flip_test(columns)
    assert p[:2].tolist() == [0.25, 0.25]
    assert np.isnan(p[2])


@settings(deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=2, max_size=9))
def test_it_is_the_exact_test_of_scipy(differences: list[int]) -> None:
    found = stats.permutation_test(
        (np.array(differences, dtype=float),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert p_of(*differences) == pytest.approx(found.pvalue)


def test_drawn_patterns_come_near_all_patterns_and_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(0.3, 1, (12, 6))
    exact = sign_flip_test(values)
    monkeypatch.setattr(significance, "EXACT", 0)
    monkeypatch.setattr(significance, "FLIPS", 20_000)
    drawn = sign_flip_test(values)
    np.testing.assert_allclose(drawn, exact, atol=4 * np.sqrt(0.25 / 20_000))
    np.testing.assert_array_equal(drawn, sign_flip_test(values))


def test_drawn_patterns_never_give_zero() -> None:
    assert p_of(*[1.0] * 40) == 1 / (1 + significance.FLIPS)


@pytest.mark.slow
def test_without_a_difference_one_test_in_twenty_is_below_0_05() -> None:
    nothing = np.random.default_rng(4).standard_t(3, (14, 2000))
    assert (sign_flip_test(nothing) <= 0.05).mean() == pytest.approx(0.05, abs=0.015)


# Holm


def test_holm_by_hand() -> None:
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which may not fall below the 0.06 before it
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_no_adjusted_p_exceeds_one_and_what_was_not_tested_is_not_counted() -> None:
    np.testing.assert_allclose(holm(np.array([0.4, np.nan, 0.9])), [0.8, np.nan, 0.9])
    np.testing.assert_allclose(holm(np.array([0.7, 0.6])), [1.0, 1.0])
    assert len(holm(np.array([]))) == 0


@settings(deadline=None)
@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=12))
def test_it_rejects_as_the_step_down_rule_does(p: list[float]) -> None:
    rejected = set()
    for step, number in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[number] * (len(p) - step) >= 0.05:
            break
        rejected.add(number)
    assert {number for number, adjusted in enumerate(holm(np.array(p))) if adjusted < 0.05} == rejected
