"""The same person under two names: found by face, and nobody else is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refbench.datasets.phantom import Phantom
from refbench.errors import NobodyLeft
from refbench.jobs import twins as twins_job
from refbench.jobs.task import Task
from refbench.jobs.twins import PEOPLE, SHARE, bound_of, over_people
from refbench.metrics.recognizers.base import Recognizer, Relief
from refbench.metrics.recognizers.frame import build_frame
from refbench.metrics.recognizers.moved import moved
from refbench.metrics.recognizers.relief import face_of
from refbench.metrics.recognizers.surface import Surface
from refbench.testing_recognizers import _looks
from refbench.twins import Twins, read_twins

Looks = Sequence[Sequence[Relief]]
"""Of each person, of each scan: the face as it lies, and moved, float32 [2, rows, columns]."""

UNKNOWN = np.full_like(_looks(1, 0, 1)[0], np.nan)


def found(folder: Path, train: Looks, test: Looks) -> Twins:
    """What the job and its reader say; people are named by part and number."""
    inputs: dict[str, Path] = {}
    identity: dict[str, Any] = {"seed": 0, "recognizer": {"name": "surface"}}
    for part, people in (("train", train), ("test", test)):
        identity[part] = []
        for number, scans in enumerate(people):
            keys = [f"{part}-{number}-{visit}" for visit in range(len(scans))]
            for key, faces in zip(keys, scans, strict=True):
                inputs[key] = folder / key
                inputs[key].mkdir()
                np.save(inputs[key] / "faces.npy", faces)
            identity[part].append(keys)

    def plugin(described: Mapping[str, Any]) -> Recognizer:
        return Surface()

    def report(done: int, total: int, losses: Mapping[str, float]) -> None:
        return None

    out = folder / "out"
    out.mkdir()
    twins_job.run(Task(identity, {}, inputs, out, out, plugin, "cpu", report))
    names = [
        [f"{part}{number}" for number in range(len(people))] for part, people in (("train", train), ("test", test))
    ]
    json.loads((out / "twins.json").read_text(), parse_constant=pytest.fail)
    return read_twins(out, *names)


@pytest.fixture(scope="module")
def strangers() -> list[Relief]:
    """Ten toy people, as they lie and as they look another time."""
    return list(np.stack([_looks(10, 3, 1), _looks(10, 3, 2)], axis=1))


@pytest.fixture(scope="module")
def again() -> list[Relief]:
    """Another visit of each of them."""
    return list(np.stack([_looks(10, 3, 4), _looks(10, 3, 5)], axis=1))


def once(people: Sequence[Relief]) -> Looks:
    return [[faces] for faces in people]


def test_strangers_are_no_twins(tmp_path: Path, strangers: list[Relief]) -> None:
    twins = found(tmp_path, once(strangers[:7]), once(strangers[7:]))
    assert twins == Twins(True, (), (), 0)
    assert twins.notes() == []
    assert twins.remarks() == {}


def test_another_visit_under_another_name_is_found(
    tmp_path: Path, strangers: list[Relief], again: list[Relief]
) -> None:
    twins = found(tmp_path, once(strangers[:7]), once([strangers[7], again[2], strangers[8], again[8]]))
    assert twins.trained == (("test1", "train2"),)
    assert twins.tested == (("test2", "test3"),)
    notes = twins.notes()
    assert [note[:41] for note in notes] == [
        "1 test subject(s) with a face so like a t",
        "1 test subject(s) with a face so like ano",
    ]
    assert not any("train2" in note or "test1" in note for note in notes), "notes are shared"
    assert twins.remarks()["train2"] == ["by face perhaps the same person as test1"]
    assert set(twins.remarks()) == {"test1", "train2", "test2", "test3"}


def test_ones_own_visits_are_no_twins_and_each_is_looked_at(
    tmp_path: Path, strangers: list[Relief], again: list[Relief]
) -> None:
    train = [[strangers[n], again[n]] for n in range(6)]
    test = [[strangers[7], again[7]], [strangers[8], again[3]]]
    assert found(tmp_path, train, test).trained == (("test1", "train3"),)


def test_twins_among_training_people_do_not_hide_others(
    tmp_path: Path, strangers: list[Relief], again: list[Relief]
) -> None:
    train = [*strangers[:7], again[0]]
    assert found(tmp_path, once(train), once([again[2], strangers[9]])).trained == (("test0", "train2"),)


def test_who_cannot_be_placed_is_counted(tmp_path: Path, strangers: list[Relief]) -> None:
    twins = found(tmp_path, once(strangers[:7]), [[np.stack([UNKNOWN, UNKNOWN])], [strangers[8]]])
    assert twins.unplaced == 1
    assert "1 test subject(s) whose face could not be placed" in twins.notes()[0]


def test_few_training_people_tell_nothing_and_that_is_said(tmp_path: Path, strangers: list[Relief]) -> None:
    twins = found(tmp_path, once(strangers[: PEOPLE - 1]), once(strangers[:1]))
    assert not twins.compared
    assert twins.trained == ()
    assert "too few training faces" in twins.notes()[0]


def test_nobody_is_said(tmp_path: Path, strangers: list[Relief]) -> None:
    with pytest.raises(NobodyLeft):
        found(tmp_path, once(strangers), [])


def test_the_bound_lies_between_one_face_and_two() -> None:
    among = np.full((8, 8), -4.0)
    np.fill_diagonal(among, np.nan)
    near, far, bound = bound_of(np.array([-1.0] * 6 + [-9, np.nan]), among)
    assert (near, far) == (-1, -4)
    assert bound == pytest.approx(-1 - 3 * SHARE)
    assert np.isnan(bound_of(np.full(8, -5.0), among)[2]), "a recognizer that takes strangers for the same"
    assert np.isnan(bound_of(np.full(8, np.nan), np.full((8, 8), np.nan))[2])


def test_people_are_compared_by_their_most_similar_scans() -> None:
    similarity = np.array([[-1, -2, np.nan], [-3, np.nan, np.nan], [-0.5, -9, -7]])
    people = over_people(similarity, np.array([0, 0, 1]), np.array([0, 1, 1]))
    np.testing.assert_array_equal(people, [[-1, -2], [-0.5, -7]])
    assert np.isnan(over_people(np.full((1, 1), np.nan), np.zeros(1, int), np.zeros(1, int))).all()


@pytest.mark.slow
def test_a_phantoms_second_visit_is_found_among_phantoms(tmp_path: Path) -> None:
    phantom = Phantom(subjects=7, sessions=2, scale=0.25)
    visits = {(scan.subject, scan.session): scan for scan in phantom.scans()}
    heads = [phantom.load(visits[who]) for who in [*((f"P00{n}", "1") for n in range(1, 8)), ("P003", "2")]]
    frame = build_frame(heads[:2])
    looks = [np.stack([face_of(head, frame), UNKNOWN]) for head in heads]
    for number in range(3):  # enough for a median
        looks[number][1] = face_of(moved(heads[number], np.random.default_rng(number)), frame)
    twins = found(tmp_path, once(looks[:6]), once(looks[6:]))
    assert twins == Twins(True, (("test1", "train2"),), (), 0)
