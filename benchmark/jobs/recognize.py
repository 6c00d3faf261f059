"""Job `recognize`: teach a recognizer on training people, and find out what its similarities mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refbench.errors import InvalidOutput, NobodyLeft
from refbench.jobs.task import Task
from refbench.metrics.identification.likelihood import calibrate
from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer, Similarities

PARTS = 2
"""Into so many parts the training people are divided: each is recognised by what was taught on the others."""


def run(task: Task) -> None:
    """Write model/ (whatever the matcher saves) and calibration.json: slope and offset.

    slope x similarity + offset is the natural logarithm of a likelihood ratio.
    """
    recognizer = task.plugin(task.identity["recognizer"])
    assert isinstance(recognizer, Recognizer)
    people = np.array(task.identity["people"], dtype=np.int64)
    if len(set(people)) < 2 * PARTS:
        raise NobodyLeft(f"a recognizer wants {2 * PARTS} training people or more; there are {len(set(people))}")
    looks = load_faces([task.inputs[key] for key in task.identity["train"]])
    seed, name, keys = task.identity["seed"], task.identity["recognizer"]["name"], np.array(task.identity["train"])
    genuine, impostor = [], []
    for part in range(PARTS):
        held = people % PARTS == part
        others = _of(looks, np.flatnonzero(~held))
        matcher = recognizer.fit(others, np.repeat(people[~held], 2), np.random.default_rng([seed, part]))
        scores = compared(matcher, name, _moved(looks, held), _as_they_lie(looks, held), keys[held].tolist())
        own = people[held][:, None] == people[held][None, :]
        genuine.append(scores[own])
        impostor.append(scores[~own])
    slope, offset = calibrate(np.concatenate(genuine), np.concatenate(impostor))
    matcher = recognizer.fit(_of(looks, np.arange(len(people))), np.repeat(people, 2), np.random.default_rng(seed))
    model = task.out / "model"
    model.mkdir()
    matcher.save(model)
    (task.out / "calibration.json").write_text(json.dumps({"slope": slope, "offset": offset}))


def compared(matcher: Matcher, name: str, probes: Faces, gallery: Faces, keys: Sequence[str]) -> Similarities:
    """How alike each probe is to each face of the gallery, by a matcher that does not learn who is who from the order.

    Both list the same people in the same order. The matcher is shown the gallery in the order of its keys, which are
    digests, and the columns are put back.

    Args:
        matcher: compares.
        name: of its recognizer.
        probes: n faces.
        gallery: m faces.
        keys: of the jobs that found the faces of the gallery.

    Returns:
        float64 [n, m], finite or NaN.

    Raises:
        InvalidOutput: the matcher gives something else.
    """
    order = np.argsort(keys, kind="stable")
    found, shape = matcher.similarity(probes, gallery.take(order)), (len(probes), len(gallery))
    if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != np.float64 or np.isinf(found).any():
        raise InvalidOutput(f"{name} must give float64 {shape}, finite or NaN")
    similar = np.empty(shape)
    similar[:, order] = found
    return similar


def load_faces(folders: Sequence[Path]) -> Faces:
    """What several jobs `look` found, one after the other."""
    return Faces.joined([Faces(np.load(folder / "faces.npy")) for folder in folders])


def _of(looks: Faces, scans: NDArray[np.int64]) -> Faces:
    """Both faces of each scan: as it lies, and moved."""
    return looks.take((2 * scans[:, None] + np.arange(2)).ravel())


def _as_they_lie(looks: Faces, held: NDArray[np.bool_]) -> Faces:
    return looks.take(2 * np.flatnonzero(held))


def _moved(looks: Faces, held: NDArray[np.bool_]) -> Faces:
    return looks.take(2 * np.flatnonzero(held) + 1)
