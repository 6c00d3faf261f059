"""Job `twins`: is a test person there under another name, too? By face, as two visits are two files.

One for a suite that looks at originals. Every face of a test person is held against those of all training and other
test people by a recognizer, best one that learns nothing, as `surface`: one that has learnt to tell training people
apart knows them better than others.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from refbench.errors import NobodyLeft
from refbench.jobs.recognize import load_faces
from refbench.jobs.task import Task
from refbench.metrics.recognizers.base import Faces, Recognizer, Similarities

PARTS = ("train", "test")

SHARE = 1 / 3
"""Twins are those who are this far, or less, from what one face is to itself to what a stranger's is.

Chosen on 110 people of IXI and 28 phantoms, all of them different: at a half, of 100 cohorts with ten training people
6 of the former and 23 of the latter had somebody who was taken for another; at a third none. There was no second visit
of a real person to choose it by.
"""

PEOPLE = 6
"""With fewer training people it is too uncertain how alike strangers are."""


def run(task: Task) -> None:
    """Write twins.json.

    The key's identity:
        recognizer: plug-in. seed: of what it learns, if anything.
        train, test: of each person the keys of jobs `look` at all originals.

    What is written; similarities are the recognizer's, numbers are of people in `train` and `test`:
        moved: of training people's faces to themselves, tilted, turned, shifted and with noise; the median.
        strangers: of each training person to the most similar other; the median.
        bound: a share of `SHARE` of the way from the one to the other; null where it cannot be said.
        pairs: a list [number in `test`, part, number in that part, similarity] for all who are more alike than that.
        unplaced: test people without a face that could be placed, who were held against nobody.

    Raises:
        NobodyLeft: there are no training or no test people.
    """
    recognizer = task.plugin(task.identity["recognizer"])
    assert isinstance(recognizer, Recognizer)
    looks = {part: [load_faces([task.inputs[key] for key in own]) for own in task.identity[part]] for part in PARTS}
    if not all(looks.values()):
        raise NobodyLeft("nobody is left: twins are sought among training and test people")
    owners = {part: np.repeat(np.arange(len(own)), [len(faces) // 2 for faces in own]) for part, own in looks.items()}
    whole = {part: Faces.joined(own) for part, own in looks.items()}
    train, test = (faces.take(slice(0, None, 2)) for faces in whole.values())
    matcher = recognizer.fit(
        whole["train"], np.repeat(owners["train"], 2), np.random.default_rng(task.identity["seed"])
    )
    turned = whole["train"].take(slice(1, None, 2))
    each = (slice(scan, scan + 1) for scan in range(len(train)))
    moved = np.array([matcher.similarity(turned.take(scan), train.take(scan))[0, 0] for scan in each])
    among = over_people(matcher.similarity(train, train), owners["train"], owners["train"])
    np.fill_diagonal(among, np.nan)
    near, far, bound = bound_of(moved, among)
    known = over_people(matcher.similarity(test, train), owners["test"], owners["train"])
    others = over_people(matcher.similarity(test, test), owners["test"], owners["test"])
    # Of each two test people one pair, in whichever direction they are more alike.
    others = np.where(np.tri(len(others), dtype=bool), np.nan, np.fmax(others, others.T))
    pairs = [
        [int(one), part, int(other), float(similarities[one, other])]
        for part, similarities in zip(PARTS, (known, others), strict=True)
        for one, other in np.argwhere(similarities > bound)
    ]
    placed = np.bincount(owners["test"], test.placed, minlength=len(looks["test"])) > 0
    found = {"moved": _number(near), "strangers": _number(far), "bound": _number(bound), "pairs": pairs}
    (task.out / "twins.json").write_text(json.dumps({**found, "unplaced": int((~placed).sum())}))


def bound_of(moved: Similarities, among: Similarities) -> tuple[float, float, float]:
    """How alike one face is to itself, two strangers are, and twins must be at least; NaN where it cannot be said.

    Medians, as a few faces are placed wrongly, and a few people may be twice among those who were trained on.

    Args:
        moved: [scans], of each face to itself, moved.
        among: [people, people], of different people; NaN where there is no comparing.
    """
    most = np.array([np.max(row, initial=-np.inf, where=np.isfinite(row)) for row in among])
    most, moved = most[np.isfinite(most)], moved[np.isfinite(moved)]
    near, far = (float(np.median(values)) if len(values) else float("nan") for values in (moved, most))
    told_apart = len(most) >= PEOPLE and near > far
    return near, far, near + SHARE * (far - near) if told_apart else float("nan")


def over_people(similarity: Similarities, probes: NDArray[np.int64], gallery: NDArray[np.int64]) -> Similarities:
    """The largest of all scans of each two people: [people, people]; NaN where there is no comparing.

    Args:
        similarity: [scans, scans], NaN where there is no comparing.
        probes: whose scan each row is, numbered from 0.
        gallery: whose scan each column is.
    """
    people = np.full((probes.max() + 1, gallery.max() + 1), np.nan)
    np.fmax.at(people, (probes[:, None], gallery[None, :]), similarity)
    return people


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
