from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from refbench.attackers.averages import Averages
from refbench.attackers.changed_region import ChangedRegion, dice
from refbench.types import Mask, SlicePairs

Cohort = Callable[..., SlicePairs]
MASKS = hnp.arrays(bool, (3, 4))


def learn(train: SlicePairs, validation: SlicePairs, seed: int = 0) -> tuple[Averages, ChangedRegion]:
    averages, transforms = Averages.learn(train)
    return averages, ChangedRegion.learn(averages, transforms, train, validation, np.random.default_rng(seed))


@cache
def learnt(cohort: Cohort, how: str) -> tuple[Averages, ChangedRegion]:
    return learn(cohort(how, seed=1), cohort(how, people=3, seed=2))


def overlaps(averages: Averages, region: ChangedRegion, test: SlicePairs) -> list[float]:
    """Dice of every person of `test`, found without the truth."""
    people = averages.pose(replace(test.released, changed=None))
    return [
        dice((region.probability(person) >= region.threshold), test.changed[person.stack.members]) for person in people
    ]


def test_dice_by_hand() -> None:
    assert dice(np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)) == 0.5
    assert dice(np.zeros(3, bool), np.zeros(3, bool)) == 1


@given(MASKS, MASKS)
def test_dice_is_symmetric_and_1_only_for_equals(one: Mask, other: Mask) -> None:
    assert dice(one, other) == dice(other, one)
    assert 0 <= dice(one, other) <= 1
    assert (dice(one, other) == 1) == bool((one == other).all())


@pytest.mark.parametrize(("how", "least"), [("removal", 0.93), ("blur", 0.9), ("blank", 0.98)])
def test_finds_the_region_of_new_people(cohort: Cohort, how: str, least: float) -> None:
    averages, region = learnt(cohort, how)
    assert min(overlaps(averages, region, cohort(how, people=4, seed=3))) > least


def test_local_evidence_adds_to_the_average_region(cohort: Cohort) -> None:
    averages, region = learnt(cohort, "removal")
    test = cohort("removal", people=4, seed=3)
    usual = [dice(person.changed >= 0.5, test.changed[person.stack.members]) for person in averages.pose(test.released)]
    assert np.mean(overlaps(averages, region, test)) > np.mean(usual)


def test_nothing_changed_nothing_found(cohort: Cohort) -> None:
    averages, region = learn(cohort("identity", seed=1), cohort("identity", people=2, seed=2))
    for person in averages.pose(cohort("removal", people=2, seed=3).released):
        assert not (region.probability(person) >= region.threshold).any()
        assert not region.probability(person).any()


def test_threshold_is_the_validation_peoples(cohort: Cohort) -> None:
    """Where the truth of the validation people is larger, the threshold falls; the weights stay."""
    train, validation = cohort("blur", seed=1), cohort("blur", people=3, seed=2)
    wide: NDArray[np.bool_] = np.zeros_like(validation.changed)
    wide[:, :, :24] = True
    generous = replace(validation, released=replace(validation.released, changed=wide))
    (_, narrow), (_, large) = learnt(cohort, "blur"), learn(train, generous)
    assert large.threshold < narrow.threshold
    np.testing.assert_array_equal(large.looks[0], narrow.looks[0])


def test_without_validation_people_the_threshold_is_one_half(cohort: Cohort) -> None:
    train = cohort("removal", seed=1)
    empty = replace(train.released, **{f: getattr(train.released, f)[:0] for f in ("images", "release", "position")})
    nobody = SlicePairs(replace(empty, changed=train.changed[:0]), train.original[:0])
    assert learn(train, nobody)[1].threshold == 0.5


def test_same_seed_same_estimate_and_arrays_bring_it_back(cohort: Cohort) -> None:
    averages, region = learnt(cohort, "blur")
    _, again = learn(cohort("blur", seed=1), cohort("blur", people=3, seed=2))
    loaded = ChangedRegion.from_arrays(region.arrays())
    same_averages = Averages.from_arrays(averages.arrays())
    test = cohort("blur", people=2, seed=3).released
    for person, other in zip(averages.pose(test), same_averages.pose(test), strict=True):
        np.testing.assert_array_equal(region.probability(person), again.probability(person))
        np.testing.assert_array_equal(region.probability(person), loaded.probability(other))
