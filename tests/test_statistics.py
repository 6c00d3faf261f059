import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.statistics import bootstrap_weights, interval, per_subject


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
