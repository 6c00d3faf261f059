from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.metrics.identification.ranks import found_in_galleries, found_within, match_curve, places

NAN = np.nan


def test_a_gallery_of_three_by_hand() -> None:
    similarities = np.array([[9.0, 1, 2], [5, 3, 1], [1, 2, 2], [NAN, NAN, NAN]])
    of = places(similarities, np.array([0, 1, 2, 0]))
    assert of.ahead.tolist() == [0, 1, 0, 0]
    assert of.tied.tolist() == [0, 0, 1, 2]
    assert found_within(1, of) == pytest.approx([1, 0, 1 / 2, 1 / 3])
    assert match_curve(of) == pytest.approx([(1 + 0 + 1 / 2 + 1 / 3) / 4, (1 + 1 + 1 + 2 / 3) / 4, 1])


def test_a_face_of_another_that_cannot_be_compared_stands_behind() -> None:
    of = places(np.array([[1.0, NAN, 2.0]]), np.array([0]))
    assert (of.ahead.tolist(), of.tied.tolist()) == ([1], [0])


@settings(max_examples=30)
@given(st.integers(2, 30), st.integers(1, 30), st.booleans())
def test_equal_or_no_similarities_are_chance_to_the_digit(gallery: int, rank: int, no: bool) -> None:
    of = places(np.full((4, gallery), NAN if no else 0.5), np.zeros(4, dtype=int))
    assert found_within(rank, of) == pytest.approx(min(rank / gallery, 1))
    sizes = range(1, gallery + 1)
    assert found_in_galleries(sizes, of, rank) == pytest.approx([min(rank / size, 1) for size in sizes])


def test_random_similarities_are_chance_on_average() -> None:
    rng = np.random.default_rng(0)
    of = places(rng.normal(size=(20_000, 20)), rng.integers(20, size=20_000))
    assert match_curve(of)[[0, 4]] == pytest.approx([1 / 20, 5 / 20], abs=0.01)


values = st.lists(st.integers(-3, 3), min_size=5, max_size=5)


@settings(max_examples=30)
@given(st.lists(values, min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 5))
def test_smaller_galleries_are_the_mean_over_all_that_hold_the_own_face(
    rows: list[list[int]], rank: int, size: int
) -> None:
    similarities = np.array(rows, dtype=float)
    own = np.arange(len(rows))
    expected = []
    for row, mine in zip(similarities, own, strict=True):
        others = [face for face in range(5) if face != mine]
        galleries = [[mine, *chosen] for chosen in combinations(others, size - 1)]
        expected.append(
            np.mean([found_within(rank, places(row[None, gallery], np.array([0])))[0] for gallery in galleries])
        )
    assert found_in_galleries([size], places(similarities, own), rank) == pytest.approx([np.mean(expected)])


@given(st.lists(values, min_size=1, max_size=4))
def test_only_the_order_counts(rows: list[list[int]]) -> None:
    similarities, own = np.array(rows, dtype=float), np.arange(len(rows))
    curves = [match_curve(places(mapped, own)) for mapped in (similarities, np.exp(similarities) - 7)]
    assert curves[0] == pytest.approx(curves[1])
    assert np.all(np.diff(curves[0]) >= -1e-12)
    assert curves[0][-1] == pytest.approx(1)
