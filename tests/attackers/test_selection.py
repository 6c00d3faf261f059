import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from refbench.attackers.selection import Selection


def network(value: float) -> nn.Linear:
    made = nn.Linear(1, 1)
    nn.init.constant_(made.weight, value)
    return made


def test_validations_are_evenly_spread() -> None:
    selection, due = Selection(4, None), []
    for step in range(1, 11):
        if selection.due(step / 10):
            due.append(step)
            selection.take(step, 0.0, network(step))
    assert due == [3, 5, 8, 10]
    assert not Selection(0, None).due(1.0)


@given(scores=st.lists(st.floats(-9, 9) | st.just(math.nan), min_size=1, max_size=8))
def test_the_first_of_the_best_is_kept(scores: list[float]) -> None:
    selection, used = Selection(len(scores), None), network(-1)
    for step, score in enumerate(scores):
        nn.init.constant_(used.weight, step)
        selection.take(step, score, used)
    finite = [score for score in scores if math.isfinite(score)]
    expected = scores.index(max(finite)) if finite else None
    assert selection.best == expected
    selection.restore(used)
    assert used.weight.item() == (len(scores) - 1 if expected is None else expected)


def test_patience_counts_validations_since_the_best() -> None:
    selection = Selection(9, 2)
    for step, (score, ends) in enumerate([(0.1, False), (0.3, False), (0.2, False), (0.4, False), (0.4, False)]):
        selection.take(step, score, network(0))
        assert selection.exhausted == ends
    selection.take(5, math.nan, network(0))
    assert selection.exhausted


def test_scores_that_are_all_undefined_never_end_a_training() -> None:
    selection = Selection(9, 1)
    for step in range(5):
        selection.take(step, math.nan, network(0))
    assert not selection.exhausted


def test_later_training_does_not_touch_what_was_kept() -> None:
    selection, used = Selection(1, None), network(1)
    selection.take(1, 0.0, used)
    nn.init.constant_(used.weight, 2)
    state = selection.state_dict()
    other = Selection(1, None)
    other.load_state_dict(state)
    other.restore(used)
    assert used.weight.item() == pytest.approx(1)
    assert (other.curve, other.best) == ([(1, 0.0)], 1)
    assert torch.equal(other.state_dict()["weights"]["weight"], torch.ones(1, 1))
