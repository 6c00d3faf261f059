"""Job `memory`: is a reconstruction nearer to a training person's face than to its own?

One for each cell. Faces are compared twice. Once they are aligned, by the originals: most attackers bring what they
know of others into the pose of the head that they put it on. And once they stay as they lie in their images: others
return what they have seen pixel by pixel.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.alignment import Reference, average, halve, mean_in_reference
from refbench.errors import NobodyLeft
from refbench.jobs.task import Task
from refbench.likeness import Crowd, Floats
from refbench.slice_storage import decode
from refbench.types import Affine, Images, Mask, ReleasedSlices

SIDE, PLANES = 32, 48
"""Slices are made smaller until they have no more pixels along a side, and stacks until they have no more planes."""

COUNTS_FROM = 0.05
"""A voxel of the coarse grid counts by the share of it that was changed, if that is no less."""


def run(task: Task) -> None:
    """Write memory.json: how many `training_people` there are, and what is found `aligned` and `as_they_lie`.

    The key's identity, all of it about one cell:
        test: keys of the slices of the test scans. people: int of each of them, whose it is.
        train: of each training person the keys of the slices, as for job `train`.
        reconstructed: key of the job `reconstruct` whose images are in the order of `test`.

    Both findings are of the same form: lists by name, of one number a test scan. Likeness is that of
    `refbench.likeness` in the pixels that were changed (in `face`, where none or all were); each scan is compared in
    its own.
        own: likeness of the reconstruction to its original.
        nearest, person: to the most similar training person, and the number of that in `train`.
        rank: of the own face among it and all training faces; 1 is the first.
        most_alike: likeness of the two training people who are the most alike; null of fewer than three.
        reconstructions, originals: mean likeness to the reconstructions, and of originals, of the other test people;
            null where there are none.

    Raises:
        NobodyLeft: there is no test scan, or nobody was trained on.
    """
    train = [[task.inputs[key] for key in person] for person in task.identity["train"]]
    test = [task.inputs[key] for key in task.identity["test"]]
    if not (train and test):
        raise NobodyLeft("nobody is left: memory wants people who were trained on, and people who are tested")
    learnt = [_coarse(np.load(folder / "original.npy")) for person in train for folder in person]
    owners = np.repeat(np.arange(len(train)), [len(person) for person in train])
    images = np.load(task.inputs[task.identity["reconstructed"]] / "reconstructed.npy", mmap_mode="r")
    shown, end = [], 0
    for folder in test:
        original = np.load(folder / "original.npy")
        end += len(original)
        made = images[end - len(original) : end]
        shown.append(Shown(*(_coarse(slices) for slices in (original, made, _looked_at(folder)))))
    people = np.array(task.identity["people"], dtype=np.int64)
    reference, poses = average(_stacked(learnt), rounds=1)
    aligned = []
    for done, one in enumerate(shown):
        aligned.append(one.laid(reference.align(one.original), reference))
        task.report(done + 1, len(shown), {})
    faces = [_laid(stack, pose, reference) for stack, pose in zip(learnt, poses, strict=True)]
    found = {"aligned": compare(faces, owners, aligned, people), "as_they_lie": compare(learnt, owners, shown, people)}
    (task.out / "memory.json").write_text(json.dumps({"training_people": len(train), **found}))


@dataclass(frozen=True)
class Shown:
    """A test scan on the coarse grid, float32 [planes, r, c] each, 0-1; of `counts`, the share of a voxel that does."""

    original: Images
    made: Images
    counts: Images

    def laid(self, pose: Affine, reference: Reference) -> Shown:
        """The same where it lies in the reference."""
        return Shown(*(_laid(stack, pose, reference) for stack in (self.original, self.made, self.counts)))


def compare(
    faces: Sequence[Images], owners: NDArray[np.int64], shown: Sequence[Shown], people: NDArray[np.int64]
) -> dict[str, list[float | None]]:
    """One finding of memory.json, see `run`.

    Args:
        faces: of all training scans, on the grid of `shown`.
        owners: int, whose each of them is.
        shown: the test scans.
        people: int, whose each of these is.
    """
    known = np.stack(faces).reshape(len(faces), -1).astype(np.float64)
    true, made = (
        np.stack([getattr(one, which) for one in shown]).reshape(len(shown), -1).astype(np.float64)
        for which in ("original", "made")
    )
    rows = []
    for scan, weights in enumerate(one.counts.ravel().astype(np.float64) for one in shown):
        there = weights >= COUNTS_FROM
        crowd = Crowd(known[:, there], owners, weights[there])
        makes, truths = crowd.deviations(made[:, there]), crowd.deviations(true[:, there])
        alike = crowd.alike(made[scan : scan + 1, there])[0]
        own, others = float(makes[scan] @ truths[scan]), people != people[scan]
        rows.append(
            {
                "own": own,
                "nearest": float(alike.max()),
                "person": int(owners[alike.argmax()]),
                "rank": 1 + len(np.unique(owners[alike > own])),
                "most_alike": _number(crowd.most_alike),
                "reconstructions": _number(makes[others] @ makes[scan]),
                "originals": _number(truths[others] @ truths[scan]),
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


def _number(values: float | Floats) -> float | None:
    """The mean, as JSON has it: null where it is undefined."""
    values = np.atleast_1d(values)
    return float(values.mean()) if len(values) and np.isfinite(values).all() else None


def _looked_at(folder: Path) -> Mask:
    changed: Mask = np.load(folder / "changed.npy")
    return changed if changed.any() and not changed.all() else np.load(folder / "face.npy")


def _coarse(slices: NDArray[np.generic]) -> Images:
    """Stored slices, or masks, [count, h, w] as a small stack, float32 [planes, r, c]."""
    side = min(slices.shape[1:])
    small = halve(decode(slices), int(np.ceil(np.log2(max(side / SIDE, 1)))))
    together = -(-len(small) // PLANES)
    planes = small[: len(small) // together * together]
    coarse: Images = planes.reshape(-1, together, *small.shape[1:]).mean(axis=1)
    return coarse


def _laid(stack: Images, pose: Affine, reference: Reference) -> Images:
    """A stack where it lies in the reference."""
    return mean_in_reference(stack, _stacked([stack]), [pose], reference)


def _stacked(stacks: Sequence[Images]) -> ReleasedSlices:
    """Small stacks one after the other, as alignment takes them."""
    counts = [len(stack) for stack in stacks]
    return ReleasedSlices(
        np.concatenate(stacks),
        np.repeat(np.arange(len(stacks)), counts),
        np.concatenate([np.arange(count) for count in counts]),
    )
