import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.statistics import (
    TOGETHER,
    UNDEFINED,
    bootstrap_weights,
    bounds,
    estimate,
    interval,
    mean,
    median,
    per_subject,
    resampled_means,
    resampled_over_seeds,
    seed_weights,
)


def scores(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["site", "subject", "metric", "value"])


def test_the_subject_not_the_slice_is_the_unit() -> None:
    table = scores([("A", "1", "m", 0.0), ("A", "2", "m", 1.0), ("A", "2", "m", 1.0), ("A", "2", "m", 1.0)])
    assert per_subject(table, ["metric"])["m"].tolist() == [0.0, 1.0]


def test_undefined_scores_are_left_out_of_their_subject_and_a_subject_without_any_is_undefined() -> None:
    table = scores([("A", "1", "m", 0.5), ("A", "1", "m", np.nan), ("A", "2", "m", np.nan), ("A", "2", "n", 1.0)])
    wide = per_subject(table, ["metric"])
    assert wide.loc[("A", "1"), "m"] == 0.5
    assert np.isnan(wide.loc[("A", "2"), "m"])
    assert np.isnan(wide.loc[("A", "1"), "n"])
    assert wide.loc[("A", "2"), "n"] == 1.0


def test_rows_are_in_no_particular_order() -> None:
    table = scores([("B", "3", "m", 3.0), ("A", "1", "m", 1.0), ("A", "2", "m", 2.0)])
    forwards, backwards = per_subject(table, ["metric"]), per_subject(table[::-1], ["metric"])
    pd.testing.assert_frame_equal(forwards, backwards)
    assert forwards.index.tolist() == [("A", "1"), ("A", "2"), ("B", "3")]


@settings(deadline=None)
@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=20), st.integers(0, 100))
def test_every_resample_has_the_sites_own_numbers(sites: list[str], seed: int) -> None:
    of_site = np.array(sites, dtype=object)
    weights = bootstrap_weights(of_site, draws=20, seed=seed)
    assert weights.shape == (20, len(sites))
    assert (weights >= 0).all()
    for site in set(sites):
        assert (weights[:, of_site == site].sum(axis=1) == sites.count(site)).all()
    np.testing.assert_array_equal(weights, bootstrap_weights(of_site, draws=20, seed=seed))


def test_another_seed_is_another_draw() -> None:
    of_site = np.array(["A"] * 10, dtype=object)
    assert (bootstrap_weights(of_site, 5, seed=0) != bootstrap_weights(of_site, 5, seed=1)).any()


def test_the_interval_is_the_percentile_bootstrap_of_numpy() -> None:
    rng = np.random.default_rng(5)
    of_site = np.array(["A"] * 12 + ["B"] * 8, dtype=object)
    values = np.concatenate([rng.normal(0.8, 0.1, 12), rng.normal(0.5, 0.05, 8)])
    low, high = interval(values[:, None], bootstrap_weights(of_site))
    draw = np.random.default_rng(6)
    means = np.concatenate(
        [draw.choice(values[:12], (20_000, 12)), draw.choice(values[12:], (20_000, 8))], axis=1
    ).mean(axis=1)
    expected = np.percentile(means, [2.5, 97.5])
    # The two bootstraps draw differently: they agree to a few per cent of the interval's width.
    assert [low[0], high[0]] == pytest.approx(expected, abs=0.05 * (expected[1] - expected[0]))
    # Without strata the difference of the sites would widen it.
    unstratified = np.percentile(draw.choice(values, (20_000, 20)).mean(axis=1), [2.5, 97.5])
    assert high[0] - low[0] < 0.8 * (unstratified[1] - unstratified[0])


def test_the_interval_is_exactly_the_percentiles_of_the_weighted_means() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((9, 3))
    weights = bootstrap_weights(np.array(["A"] * 9, dtype=object), draws=500)
    low, high = interval(values, weights)
    means = np.array([[np.average(values[:, column], weights=row) for column in range(3)] for row in weights])
    np.testing.assert_allclose([low, high], np.percentile(means, [2.5, 97.5], axis=0))


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.7, 0.1, (60, 400))
    low, high = interval(values, bootstrap_weights(np.array(["A"] * 60, dtype=object), draws=1000))
    assert 0.90 < ((low <= 0.7) & (high >= 0.7)).mean() < 0.98


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_the_interval_holds_the_mean_and_stays_between_the_extremes(values: list[float]) -> None:
    column = np.array(values)[:, None]
    low, high = interval(column, bootstrap_weights(np.array(["A"] * len(values), dtype=object), draws=300))
    assert min(values) - 1e-9 <= low[0] <= high[0] <= max(values) + 1e-9


def test_one_subject_has_an_interval_of_no_width() -> None:
    low, high = interval(np.array([[0.25]]), bootstrap_weights(np.array(["A"], dtype=object)))
    assert (low[0], high[0]) == (0.25, 0.25)


def test_undefined_values_are_left_out_of_their_column_only() -> None:
    values = np.array([[0.5, 1.0, np.nan], [np.nan, 2.0, np.nan], [0.5, 3.0, np.nan]])
    weights = bootstrap_weights(np.array(["A"] * 3, dtype=object), draws=2000)
    low, high = interval(values, weights)
    assert (low[0], high[0]) == (0.5, 0.5)
    assert (low[1], high[1]) == (1.0, 3.0)
    assert np.isnan(low[2])
    assert np.isnan(high[2])


def test_means_and_medians_are_of_what_is_defined() -> None:
    values = np.array([1.0, np.nan, 2.0, 6.0])
    assert (mean(values), median(values)) == (3.0, 2.0)
    assert np.isnan([mean(values[1:2]), median(values[1:2])]).all()


def test_bounds_leave_out_resamples_without_a_figure() -> None:
    resampled = np.stack([np.arange(101.0), np.arange(101.0), np.full(101, np.nan)], axis=1)
    resampled[51:, 1] = np.nan
    low, high = bounds(resampled)
    np.testing.assert_allclose(low, [2.5, 1.25, np.nan])
    np.testing.assert_allclose(high, [97.5, 48.75, np.nan])


def test_an_undefined_figure_has_no_interval() -> None:
    assert estimate(float("nan"), np.ones(10)) is UNDEFINED


# Seeds


def test_a_resample_draws_trainings_and_then_people() -> None:
    values = np.array([[1.0, 10.0], [3.0, 30.0]])  # two people, two trainings
    people = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    trainings = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    # (1 + 3 + 10 + 30) / 4; the first person twice in the first training; the second person in the second
    assert resampled_over_seeds(values, people, trainings).tolist() == [11.0, 1.0, 30.0]


def test_a_figure_that_is_undefined_is_left_out_of_its_training() -> None:
    values = np.array([[1.0, np.nan], [3.0, 30.0]])
    found = resampled_over_seeds(values, np.array([[1.0, 1.0], [2.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 2.0]]))
    np.testing.assert_allclose(found, [34 / 3, np.nan])


def test_one_training_is_the_plain_bootstrap() -> None:
    values = np.random.default_rng(0).random((9, 1))
    weights = bootstrap_weights(np.array(["A"] * 9, dtype=object), draws=200)
    over = resampled_over_seeds(values, weights, seed_weights(1, draws=200))
    np.testing.assert_array_equal(over, resampled_means(values, weights)[:, 0])


def test_every_draw_has_as_many_trainings_as_there_are_and_sides_are_drawn_apart() -> None:
    one, other = seed_weights(3, draws=50), seed_weights(3, draws=50, seed=1)
    assert (one.sum(axis=1) == 3).all()
    assert (one != other).any()
    np.testing.assert_array_equal(one, seed_weights(3, draws=50))


def test_trainings_that_differ_widen_the_interval() -> None:
    people = np.random.default_rng(0).normal(0.7, 0.01, (30, 1))
    weights = bootstrap_weights(np.array(["A"] * 30, dtype=object), draws=2000)
    apart = people + np.array([[-0.1, 0.0, 0.1]])
    low, high = bounds(resampled_over_seeds(apart, weights, seed_weights(3, draws=2000))[:, None])
    alone_low, alone_high = interval(people, weights)
    # The mean of three draws of -0.1, 0, 0.1 has a spread of 0.047: its tails are at 0.1.
    assert high[0] - low[0] == pytest.approx(0.2, abs=0.03)
    assert alone_high[0] - alone_low[0] < 0.01


@pytest.mark.slow
def test_with_seeds_the_interval_covers_the_truth_of_all_trainings_and_without_it_would_not() -> None:
    rng = np.random.default_rng(2)
    of_site, over = np.array(["A"] * 20 + ["B"] * 20, dtype=object), seed_weights(8, draws=1000)
    weights = bootstrap_weights(of_site, draws=1000)
    covered = {"seeds and people": 0, "people only": 0}
    for _ in range(300):
        values = 0.7 + rng.normal(0, 0.05, (40, 1)) + rng.normal(0, 0.03, (1, 8))
        for name, trainings in (("seeds and people", over), ("people only", np.ones_like(over))):
            low, high = bounds(resampled_over_seeds(values, weights, trainings)[:, None])
            covered[name] += bool(low[0] <= 0.7 <= high[0])
    assert 0.89 < covered["seeds and people"] / 300 < 0.98  # percentiles of eight are a little narrow
    assert covered["people only"] / 300 < 0.85


@pytest.mark.slow
def test_the_stratified_interval_covers_the_mean_of_sites_that_differ() -> None:
    rng = np.random.default_rng(3)
    of_site = np.array(["A"] * 45 + ["B"] * 36, dtype=object)
    centre = np.where(of_site == "A", 0.8, 0.6)[:, None]
    values = centre + rng.normal(0, 0.1, (81, 2000))
    low, high = interval(values, bootstrap_weights(of_site, draws=2000))
    assert 0.93 < ((low <= centre.mean()) & (high >= centre.mean())).mean() < 0.96


def test_intervals_of_many_columns_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, TOGETHER + 20))
    values[0, ::7] = np.nan
    weights = bootstrap_weights(np.array(["A", "B"] * 3, dtype=object), draws=200)
    low, high = interval(values, weights)
    for number in (0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 19):
        one = interval(values[:, [number]], weights)
        assert (low[number], high[number]) == pytest.approx((one[0][0], one[1][0]))
