from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from refbench.attackers.averages import Posed
from refbench.attackers.base import TrainingContext, closeness
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated, Surroundings, best
from refbench.attackers.mean_face import MeanFaceReconstructor
from refbench.attackers.weighing import WEIGHTS, choose
from refbench.types import Images, Mask, ReleasedSlices, SlicePairs

Cohort = Callable[..., SlicePairs]
GAINS = np.array([0.0, 0.1, 0.3, 0.2, 0.1, -0.5])


def scores(*people: list[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Of one proposal."""
    return np.array([[person] for person in people], np.float64)


def test_the_weight_of_the_best_mean_is_taken() -> None:
    assert choose(scores(0.8 + GAINS, 0.5 + 0.9 * GAINS, 0.7 + 1.1 * GAINS)) == (0, WEIGHTS[2])


def test_a_gain_within_two_standard_errors_is_none() -> None:
    """Two people's gains a and b have the mean (a + b) / 2 and the standard error |a - b| / 2."""
    one = np.array([0, 3, 3, 3, 3, 3.0])
    assert choose(scores(one, one * 0.3)) == (0, 0.0)  # 1.95 +- 1.05
    assert choose(scores(one, one * 0.4)) == (0, 1.0)  # 2.1 +- 0.9


def test_a_weight_whose_gain_is_unsure_gives_way_to_a_sure_one() -> None:
    assert choose(scores([0, 1, 0, 0, 0, 9], [0, 1, 0, 0, 0, -5])) == (0, WEIGHTS[1])


def test_harm_and_nothing_get_no_weight() -> None:
    assert choose(scores([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])) == (0, 0.0)
    assert choose(scores([0.9] * 6, [0.8] * 6)) == (0, 0.0)
    assert choose(np.empty((0, 1, len(WEIGHTS)))) == (0, 0.0)


def test_of_one_person_the_gain_itself_counts() -> None:
    assert choose(scores(0.8 + GAINS)) == (0, WEIGHTS[2])


def test_any_attack_beats_a_release_that_cannot_be_scored() -> None:
    nan = float("nan")
    assert choose(scores([nan, 0.5, 0.5, 0.5, 0.5, 0.5], [nan, -0.3, -0.3, -0.3, -0.3, -0.3])) == (0, 1.0)
    assert choose(scores([nan, 0.5, 0.6, 0.5, 0.4, 0.4], [nan, 0.2, 0.3, 0.2, 0.2, 0.2])) == (0, WEIGHTS[2])


def test_people_who_cannot_be_scored_are_left_out() -> None:
    assert choose(scores([float("nan")] * 6, 0.8 + GAINS)) == (0, WEIGHTS[2])


def test_the_best_of_several_proposals() -> None:
    people = np.stack([0.5 + np.stack([GAINS, 2 * GAINS, GAINS]), 0.7 + np.stack([GAINS, 1.9 * GAINS, GAINS])])
    assert choose(people) == (1, WEIGHTS[2])


@dataclass(frozen=True)
class Even(Inpainter):
    """Proposes one grey for everybody."""

    grey: float

    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        return np.full(int(mask.sum()), self.grey, np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {}


@pytest.fixture(scope="module")
def grey() -> tuple[Surroundings, SlicePairs]:
    """Four people whose right half was 0.6 and is released as 0.2."""
    rng = np.random.default_rng(0)
    original = rng.random((8, 16, 16)).astype(np.float32)
    original[:, :, 8:] = 0.6
    changed = np.zeros(original.shape, bool)
    changed[:, :, 8:] = True
    numbers = np.arange(8)
    images = np.where(changed, np.float32(0.2), original)
    pairs = SlicePairs(ReleasedSlices(images, numbers // 2, numbers % 2, changed), original)
    return Surroundings.learn(pairs, pairs.take(slice(0)), "known", TrainingContext(0, Path("unused")))[0], pairs


@pytest.mark.parametrize(("proposal", "weight"), [(0.6, 1.0), (1.0, 0.5), (0.1, 0.0)])
def test_weighed_goes_as_far_as_it_helps(grey: tuple[Surroundings, SlicePairs], proposal: float, weight: float) -> None:
    surroundings, pairs = grey
    trained = Even(surroundings, 1.0, proposal).weighed(pairs, closeness)
    assert trained.weight == weight
    out = trained.reconstruct(pairs.released)
    np.testing.assert_allclose(out[pairs.changed], 0.6 if weight else 0.2, atol=1e-6)
    np.testing.assert_array_equal(out[~pairs.changed], pairs.original[~pairs.changed])


def test_the_judge_decides(grey: tuple[Surroundings, SlicePairs]) -> None:
    surroundings, pairs = grey

    def darkness(pairs: SlicePairs, images: Images) -> float:
        return -float(images[pairs.changed].mean())

    assert Even(surroundings, 1.0, 0.6).weighed(pairs, darkness).weight == 0
    assert Even(surroundings, 1.0, 0.0).weighed(pairs, darkness).weight == 1


def test_the_best_candidate_wins(grey: tuple[Surroundings, SlicePairs]) -> None:
    surroundings, pairs = grey
    candidates = [Even(surroundings, 1.0, level) for level in (0.3, 0.6, 0.9)]
    chosen = best(candidates, pairs, closeness)
    assert (chosen.grey, chosen.weight) == (0.6, 1.0)


def test_without_validation_people_the_first_stays_as_it_is(grey: tuple[Surroundings, SlicePairs]) -> None:
    surroundings, pairs = grey
    candidates = [Even(surroundings, 1.0, level) for level in (0.3, 0.6)]
    assert best(candidates, pairs.take(slice(0)), closeness) is candidates[0]


def test_weight_zero_is_no_attack(cohort: Cohort) -> None:
    pairs = cohort("removal", people=3)
    surroundings, _ = Surroundings.learn(pairs, pairs.take(slice(0)), "known", TrainingContext(0, Path("unused")))
    out = MeanFaceReconstructor(surroundings, 0.0).reconstruct(pairs.released)
    np.testing.assert_array_equal(out, pairs.released.images)


def test_a_proposal_that_nobody_can_score_is_out() -> None:
    useless = np.full(len(WEIGHTS), np.nan)
    people = np.array([[useless, np.r_[np.nan, 0.8 + share * GAINS[1:]]] for share in (0.9, 1.0, 1.1)])
    assert choose(people) == (1, WEIGHTS[2])


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_what_trainings_share_is_learnt_once(cohort: Cohort, region: KnownOrEstimated, tmp_path: Path) -> None:
    train, validation = cohort("removal", people=4, seed=1), cohort("removal", people=2, seed=2)
    alone, transforms = Surroundings.learn(train, validation, region, TrainingContext(0, Path("unused")))
    shared = TrainingContext(0, Path("unused"), shared=tmp_path / "pairs")
    for pairs in (train, train.take(slice(0, 0))):  # the second time nothing is left to learn from
        learnt, again = Surroundings.learn(pairs, validation, region, shared)
        assert all(np.array_equal(value, learnt.arrays()[name]) for name, value in alone.arrays().items())
        np.testing.assert_array_equal(again, transforms)
    assert len(list((tmp_path / "pairs").iterdir())) == 1
