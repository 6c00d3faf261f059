"""Job `memory`: is a reconstruction nearer to a training person's face than to its own?

One for each cell. All heads are first laid over one another by their originals, on a coarse grid: an attacker that
copies a face brings it into the pose of the head that it puts it on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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
    """Write memory.json: numbers by name, and lists of one number a test scan, in the order of the key's `test`.

    The key's identity, all of it about one cell:
        test: keys of the slices of the test scans. people: int of each of them, whose it is.
        train: of each training person the keys of the slices, as for job `train`.
        reconstructed: key of the job `reconstruct` whose images are in the order of `test`.

    What is written; likeness is that of `refbench.likeness`, in the pixels that were changed (in `face`, where none
    or all were), and each test scan is compared in its own:
        training_people: how many there are.
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
    reference, faces = _training_faces(train)
    images = np.load(task.inputs[task.identity["reconstructed"]] / "reconstructed.npy", mmap_mode="r")
    originals, reconstructions, weights, end = [], [], [], 0
    for done, folder in enumerate(test):
        stored = np.load(folder / "original.npy")
        end += len(stored)
        original = _coarse(stored)
        pose = reference.align(original)
        originals.append(_laid(original, pose, reference))
        reconstructions.append(_laid(_coarse(images[end - len(stored) : end]), pose, reference))
        weights.append(_laid(_coarse(_looked_at(folder)), pose, reference))
        task.report(done + 1, len(test), {})
    found = compare(
        faces, np.stack(originals), np.stack(reconstructions), np.stack(weights), np.array(task.identity["people"])
    )
    (task.out / "memory.json").write_text(json.dumps({"training_people": len(train), **found}))


def _training_faces(train: Sequence[Sequence[Path]]) -> tuple[Reference, Floats]:
    """Where all are laid, and the faces of the training people, one each: the mean of who came more than once."""
    stacks = [[_coarse(np.load(folder / "original.npy")) for folder in person] for person in train]
    reference, poses = average(_stacked([stack for own in stacks for stack in own]), rounds=1)
    pose = iter(poses)
    return reference, np.stack([np.mean([_laid(one, next(pose), reference) for one in own], axis=0) for own in stacks])


def _laid(stack: Images, pose: Affine, reference: Reference) -> Floats:
    """A stack where it lies in the reference, float64 [voxels]."""
    return mean_in_reference(stack, _stacked([stack]), [pose], reference).ravel().astype(np.float64)


def compare(
    faces: Floats, originals: Floats, reconstructions: Floats, weights: Floats, people: NDArray[np.int64]
) -> dict[str, list[float | None]]:
    """What memory.json holds of each test scan, see `run`.

    Args:
        faces: [training people, voxels], 0-1, all on one grid.
        originals: [test scans, voxels].
        reconstructions: the same of what the attacker made of them.
        weights: [test scans, voxels], the share of each voxel that counts, 0-1.
        people: int [test scans], whose each is.
    """
    rows = []
    for scan in range(len(people)):
        there = weights[scan] >= COUNTS_FROM
        crowd = Crowd(faces[:, there], weights[scan, there])
        made, true = (crowd.deviations(of[:, there]) for of in (reconstructions, originals))
        known = crowd.alike(reconstructions[scan : scan + 1, there])[0]
        own, others = float(made[scan] @ true[scan]), people != people[scan]
        rows.append(
            {
                "own": own,
                "nearest": float(known.max()),
                "person": int(known.argmax()),
                "rank": 1 + int(np.count_nonzero(known > own)),
                "most_alike": _number(crowd.most_alike),
                "reconstructions": _number(made[others] @ made[scan]),
                "originals": _number(true[others] @ true[scan]),
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


def _stacked(stacks: Sequence[Images]) -> ReleasedSlices:
    """Small stacks one after the other, as alignment takes them."""
    counts = [len(stack) for stack in stacks]
    return ReleasedSlices(
        np.concatenate(stacks),
        np.repeat(np.arange(len(stacks)), counts),
        np.concatenate([np.arange(count) for count in counts]),
    )
