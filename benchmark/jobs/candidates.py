"""The heads that a job about faces is shown: originals, releases, and what attackers made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refbench.jobs.anonymize import load_anonymized
from refbench.jobs.task import Task, load_head
from refbench.slice_storage import decode
from refbench.slicing import SliceOptions
from refbench.stacking import stacked
from refbench.types import Head, Images


@dataclass(frozen=True)
class Candidate:
    """One head of a condition.

    Attributes:
        view: what the job's identity says of it. original: the head. head: what became of it; itself of an original.
    """

    view: Mapping[str, Any]
    original: Head
    head: Head


def candidates(task: Task) -> Iterator[Candidate]:
    """The heads that `views` of a job's identity name, in order, one at a time.

    Where the identity names what was `reconstructed`, its slices are stacked into the released heads.
    """
    made = None
    if "reconstructed" in task.identity:
        made = slices_made(task, task.identity["reconstructed"], task.identity["tested"])
    for view in task.identity["views"]:
        original = load_head(task.inputs[view["head"]])
        if "released" not in view:
            yield Candidate(view, original, original)
            continue
        released = load_anonymized(original, task.inputs[view["released"]]).head
        if made is not None:
            options = SliceOptions.model_validate(task.identity["slices"])
            released = stacked_from(task.inputs[view["slice"]], released, np.asarray(made[view["slice"]]), options)
        yield Candidate(view, original, released)


def slices_made(task: Task, reconstructed: str, tested: Sequence[str]) -> dict[str, Images]:
    """What an attacker made of each scan's slices, by the key of the slices.

    Args:
        task: knows the folders of both.
        reconstructed: key of the job `reconstruct`.
        tested: keys of the slices, in the order of this job.
    """
    images = np.load(task.inputs[reconstructed] / "reconstructed.npy", mmap_mode="r")
    counts = [json.loads((task.inputs[key] / "geometry.json").read_text())["count"] for key in tested]
    ends = np.cumsum(counts)
    return {key: images[end - count : end] for key, count, end in zip(tested, counts, ends, strict=True)}


def stacked_from(slices: Path, released: Head, made: Images, options: SliceOptions) -> Head:
    """The released head with what an attacker made of its slices, whose job left them in the folder `slices`."""
    white = json.loads((slices / "geometry.json").read_text())["white"]
    return stacked(released, decode(np.load(slices / "anonymized.npy")), made, white, options)
