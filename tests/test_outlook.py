"""How long a run will still take, as `run` and `status` tell it."""

from __future__ import annotations

import pytest
from conftest import Workplace

from refbench.forecast.alike import Group, Item
from refbench.forecast.history import History
from refbench.forecast.outlook import Beat, Left, Outlook, rest
from refbench.job import Job
from refbench.store import Store

TRAIN = Group("train net", "train net", "", "attack (deep)", cards=1)
SCORE = Group("score ssim", "score ssim", "", "score")
OK = {"status": "ok", "seconds": 10.0}


def done(store: Store, name: str, seconds: float) -> str:
    job = Job("train", name, {"name": name})
    result = store.scratch(job.key) / "result"
    result.mkdir(parents=True)
    store.commit(job, result, {"status": "ok", "label": name, "seconds": seconds, "device": "cpu"})
    return job.key


@pytest.fixture
def history(store: Store) -> History:
    """Trainings took 8, 10 and 90 seconds for two units of work."""
    return History(store, [Item(done(store, f"{seconds}", seconds), TRAIN, 2.0) for seconds in (8.0, 10.0, 90.0)])


@pytest.fixture
def store(workplace: Workplace) -> Store:
    return Store(workplace.folder / "store")


def outlook(history: History, at_once: int | None = 2) -> Outlook:
    trainings = [Item(name, TRAIN, 2.0) for name in "abcd"]
    return Outlook([*trainings, Item("e", SCORE)], history, {"attack (deep)": at_once, "score": 2}, "cpu")


def test_before_anything_runs_it_is_what_records_say(history: History) -> None:
    found = outlook(history).left({})
    assert found == Left(20.0, True), "four of 10 s, two at a time; nobody knows of the score"
    assert str(found) == "at least 20.0 s left"
    assert str(outlook(history, at_once=9).left({})) == "at least 10.0 s left", (
        "no stage is shorter than its longest job"
    )


def test_what_ended_here_counts_more_than_records(history: History) -> None:
    seen = outlook(history)
    for key in "abc":
        seen.ended(key, {"status": "ok", "seconds": 100.0})
    assert seen.left({}).seconds == 100.0
    seen.ended("e", {"status": "failed", "seconds": 1.0, "error": "no"})
    assert str(seen.left({})) == "about 100.0 s left"
    seen.ended("d", OK)
    assert seen.left({}).seconds is None
    seen.ended("of another plan", OK)


def test_a_job_that_counts_its_steps_knows_best(history: History) -> None:
    now = outlook(history, at_once=1)
    assert now.left({"a": Beat(4.0)}).seconds == 36.0
    assert now.left({"a": Beat(4.0, 50.0)}).seconds == 80.0
    assert now.left({"a": Beat(500.0)}).seconds == 30.0, "late, but done at any moment"
    assert outlook(history, at_once=None).left({"a": Beat(0.0), "b": Beat(0.0)}).seconds == 20.0


def test_a_training_that_was_taken_up_again_is_not_judged_by_what_it_had_done_before() -> None:
    assert rest((100.0, 500), (110.0, 600), 1000, 112.0) == 38.0
    assert rest((100.0, 500), (100.0, 500), 1000, 100.0) is None


def test_a_budget_of_time_is_what_a_training_takes_at_most(store: Store) -> None:
    bounded = Group("train net", "train net", "", "attack", default=60.0)
    left = Outlook([Item("a", bounded)], History(store, ()), {"attack": 1}, "cpu").left
    assert left({}) == Left(60.0, False)
    assert left({"a": Beat(50.0, 4000.0)}) == Left(10.0, False)
