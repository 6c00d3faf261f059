"""Whether a reconstruction is its owner's face or one that the attacker has seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from refbench.errors import NobodyLeft
from refbench.jobs import memory as memory_job
from refbench.jobs.task import Task
from refbench.likeness import Crowd
from refbench.memory import Finding, Memory, copied, memory_figures, read_memory
from refbench.types import Images, Mask

COUNT, SIZE = 8, 32
TRAINED, TESTED = 12, 6
SITES = [("here", str(number)) for number in range(TESTED)]

Made = Callable[[list[Images], list[Images]], list[Images]]


def head(person: int, shift: float = 0.0) -> Images:
    """A ball with somebody's face in its front half, [count, size, size]."""
    rng = np.random.default_rng(person)
    plane, row, column = np.indices((COUNT, SIZE, SIZE)).astype(np.float64)
    ball = ((plane - 3.5) / 4) ** 2 + ((row - 15.5 - shift) / 12) ** 2 + ((column - 15.5) / 12) ** 2 < 1
    own = ndimage.gaussian_filter(rng.standard_normal(ball.shape), 1.5)
    own = ndimage.shift(own / own.std(), (0, shift, 0), mode="nearest")
    return np.asarray(np.clip(ball * (0.5 + 0.15 * own), 0, 1), dtype=np.float32)


def in_front() -> Mask:
    mask = np.zeros((COUNT, SIZE, SIZE), bool)
    mask[:, :, : SIZE // 2] = True
    return mask


@pytest.fixture(scope="module")
def people() -> tuple[list[Images], list[Images]]:
    """Training and test people, who lie a little differently."""
    return [head(n, n % 3 - 1.0) for n in range(TRAINED)], [head(100 + n, n % 2) for n in range(TESTED)]


def found(folder: Path, people: tuple[list[Images], list[Images]], made: list[Images], **identity: Any) -> Memory:
    train, test = people
    inputs: dict[str, Path] = {}
    for name, image in [
        *((f"t{n}", one) for n, one in enumerate(train)),
        *((f"p{n}", one) for n, one in enumerate(test)),
    ]:
        inputs[name] = folder / name
        inputs[name].mkdir()
        np.save(inputs[name] / "original.npy", np.rint(255 * image).astype(np.uint8))
        np.save(inputs[name] / "changed.npy", identity.get("changed", in_front()))
        np.save(inputs[name] / "face.npy", in_front())
    inputs["made"] = folder
    np.save(folder / "reconstructed.npy", np.concatenate(made))
    out = folder / "out"
    out.mkdir()
    memory_job.run(task(inputs, out, len(train), len(test)))
    return read_memory(out)


def task(inputs: Mapping[str, Path], out: Path, train: int, test: int) -> Task:
    identity = {
        "test": [f"p{n}" for n in range(test)],
        "people": list(range(test)),
        "train": [[f"t{n}"] for n in range(train)],
        "reconstructed": "made",
    }

    def report(done: int, total: int, losses: Mapping[str, float]) -> None:
        assert 0 < done <= total

    def no_plugin(identity: Mapping[str, Any]) -> Any:
        raise AssertionError

    return Task(identity, {}, inputs, out, out, no_plugin, "cpu", report)


def perfect(train: list[Images], test: list[Images]) -> list[Images]:
    return test


def average_face(train: list[Images], test: list[Images]) -> list[Images]:
    mask = in_front()
    return [np.where(mask, np.mean(train, axis=0), own).astype(np.float32) for own in test]


def copies(train: list[Images], test: list[Images]) -> list[Images]:
    """Training people's faces, brought to where the head lies, a little darker."""
    mask = in_front()
    moved = [ndimage.shift(train[3 * n % TRAINED], (0, n % 2 + 1, 0), order=1) for n in range(len(test))]
    return [np.where(mask, 0.8 * face, own).astype(np.float32) for face, own in zip(moved, test, strict=True)]


def pasted(train: list[Images], test: list[Images]) -> list[Images]:
    """Training people's pixels, wherever the head lies."""
    mask = in_front()
    return [np.where(mask, train[3 * n % TRAINED], own).astype(np.float32) for n, own in enumerate(test)]


def always_one(train: list[Images], test: list[Images]) -> list[Images]:
    mask = in_front()
    return [np.where(mask, test[0], own).astype(np.float32) for own in test]


def halfway(train: list[Images], test: list[Images]) -> list[Images]:
    return [(one + other) / 2 for one, other in zip(average_face(train, test), test, strict=True)]


def test_a_perfect_reconstruction_is_its_own_face(tmp_path: Path, people: tuple[list[Images], list[Images]]) -> None:
    memory = found(tmp_path, people, perfect(*people))
    np.testing.assert_allclose(memory.aligned.own, 1, atol=1e-3)
    assert (memory.aligned.rank == 1).all()
    assert not memory.aligned.nearer.any()
    np.testing.assert_allclose(memory.collapse, 0, atol=1e-3)
    assert copied(memory) == ""


@pytest.mark.parametrize(("made", "way"), [(copies, "aligned"), (pasted, "as_they_lie")])
def test_copies_are_found_and_whose_they_are(
    tmp_path: Path, people: tuple[list[Images], list[Images]], made: Made, way: str
) -> None:
    memory = found(tmp_path, people, made(*people))
    finding: Finding = getattr(memory, way)
    assert finding.person.tolist() == [3 * n % TRAINED for n in range(TESTED)]
    assert finding.copies.all()
    assert (finding.rank > 1).all()
    assert copied(memory) == "6 of 6 reconstructions are copies of training faces"


@pytest.mark.parametrize("made", [average_face, halfway])
def test_average_and_blurred_faces_are_no_copies(
    tmp_path: Path, people: tuple[list[Images], list[Images]], made: Made
) -> None:
    memory = found(tmp_path, people, made(*people))
    assert not memory.copies.any()
    assert copied(memory) == ""


def test_one_face_for_everybody_is_a_collapse_and_no_copy(
    tmp_path: Path, people: tuple[list[Images], list[Images]]
) -> None:
    memory = found(tmp_path, people, always_one(*people))
    assert memory.collapse.mean() > 0.4
    assert not memory.copies.any()


def test_where_nothing_was_changed_the_face_is_looked_at(
    tmp_path: Path, people: tuple[list[Images], list[Images]]
) -> None:
    memory = found(tmp_path, people, copies(*people), changed=np.zeros((COUNT, SIZE, SIZE), bool))
    assert memory.copies.all()


def test_nobody_to_compare_with_is_said(tmp_path: Path) -> None:
    with pytest.raises(NobodyLeft):
        memory_job.run(task({"p0": tmp_path}, tmp_path, 0, 1))


def test_what_is_undefined_is_null_in_the_file(tmp_path: Path, people: tuple[list[Images], list[Images]]) -> None:
    few = (people[0][:2], people[1][:1])
    memory = found(tmp_path, few, few[1])
    written = json.loads((tmp_path / "out" / "memory.json").read_text(), parse_constant=pytest.fail)
    assert written["aligned"]["most_alike"] == [None]
    assert written["as_they_lie"]["originals"] == [None]
    figures = memory_figures(memory, SITES[:1]).columns()
    assert np.isnan(figures["copies"])
    assert np.isnan(figures["collapse"])
    assert figures["nearer"] == 0


def unlike(copies: int, tested: int, people: int = 90) -> Memory:
    """A cell in which so many reconstructions are copies, and all others at rank 1."""
    copy = np.arange(tested) < copies
    numbers = np.where(copy, 2, 1)
    zeros = np.zeros(tested)
    finding = Finding(0.9 - 0.6 * copy, zeros + 0.8, 0 * numbers, numbers, zeros + 0.6, zeros, zeros)
    return Memory(people, finding, replace(finding, own=zeros + 1))


@pytest.mark.parametrize(
    ("copies", "tested", "people", "distrusted"),
    [
        (7, 20, 90, True),
        (5, 20, 90, True),
        (3, 20, 90, False),
        (2, 2, 4, False),
        (40, 500, 90, False),
        (0, 20, 90, False),
    ],
)
def test_a_cell_is_distrusted_for_more_copies_than_chance_gives(
    copies: int, tested: int, people: int, distrusted: bool
) -> None:
    said = copied(unlike(copies, tested, people))
    assert said == (f"{copies} of {tested} reconstructions are copies of training faces" if distrusted else "")


def test_who_shares_less_than_half_of_a_face_is_no_copy_of_it() -> None:
    memory = unlike(6, 6)
    hole = replace(memory, aligned=replace(memory.aligned, nearest=np.full(6, 0.7)))
    assert memory.copies.all()
    assert hole.aligned.nearer.all()
    assert not hole.copies.any()


def test_figures_are_over_people_not_scans() -> None:
    figures = memory_figures(unlike(2, 4), [("a", "1"), ("a", "1"), ("a", "2"), ("b", "1")])
    assert figures.nearer.value == pytest.approx(1 / 3)
    assert 0 <= figures.nearer.low <= figures.nearer.value <= figures.nearer.high <= 1
    assert figures.copies == figures.nearer


def test_the_most_alike_are_those_that_are_held_out_one_by_one() -> None:
    rng = np.random.default_rng(0)
    faces, weights = 1 + 0.05 * rng.standard_normal((6, 40)), rng.random(40)

    def among_others(one: int) -> float:
        others = Crowd(np.delete(faces, one, axis=0), np.arange(5), weights)
        return float(others.alike(faces[one : one + 1]).max())

    everybody = Crowd(faces, np.arange(6), weights)
    assert everybody.most_alike == pytest.approx(max(map(among_others, range(6))), abs=0.02)


def test_two_visits_of_one_person_are_not_two_people() -> None:
    faces = np.random.default_rng(0).random((8, 50))
    twice = np.concatenate([faces, faces[:1] + 0.001])
    names = np.array([*range(8), 0])
    assert Crowd(twice, names, np.ones(50)).most_alike < 0.7
    assert Crowd(twice, np.arange(9), np.ones(50)).most_alike > 0.9


@given(st.integers(0, 1000), st.floats(0.2, 5))
def test_likeness_does_not_see_brightness_and_knows_itself(seed: int, gain: float) -> None:
    faces: NDArray[np.float64] = np.random.default_rng(seed).random((5, 30))
    crowd = Crowd(faces, np.arange(5), np.ones(30))
    alike = crowd.alike(gain * faces)
    np.testing.assert_allclose(alike, crowd.alike(faces), atol=1e-9)
    np.testing.assert_allclose(np.diag(alike), 1, atol=1e-9)
    assert np.abs(alike).max() <= 1 + 1e-9


def test_the_average_of_all_is_like_nobody() -> None:
    faces = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1], [1, 1, 4, 4]])
    np.testing.assert_array_equal(Crowd(faces, np.arange(3), np.ones(4)).alike(faces.mean(axis=0, keepdims=True)), 0)
