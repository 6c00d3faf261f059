"""Does an attacker keep its contract? It is trained on toy heads, a few times, and let loose on others.

Two trainings are judged by what they learnt, the others only by how they behave. An attacker that has a parameter
`steps` trains for `STEPS` steps where it is judged and names none of its own, and for `BRIEF` steps elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np

from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.jobs.task import check_images
from refbench.testing import Attempt, Check, found, lasting, other_formats
from refbench.testing_cohort import PLANES, Hide, average_faces, toy_cohort
from refbench.types import Images, ReleasedSlices, SlicePairs

SIDE = 64
"""Pixels along a side of the slices: six halvings, as many as any network of ours makes."""

STEPS, BRIEF = 300, 20

TRAIN, VALIDATION, TEST = (12, 1), (4, 2), (8, 3)
"""People, and the seed they are made from."""

SCATTER = 8
"""Pixels by which heads are moved before an attacker learns the identity: no one image looks like all of them."""

EXPLAINED = 0.5
"""Least share of new people's variance that the identity must keep; one and the same image for all keeps 0.36."""

ROUNDING = 1e-3
"""Largest difference, of intensities 0-1, that is put down to networks that are given other batches."""

CHANCE, CLOSER = 3.0, 0.1
"""Standard errors over people, and share of an average face's error, by which shuffled pairs must not be of use."""

RUNS = "runs, and gives finite float32 images from 0 to 1"
INPUT = "leaves what it is given alone"
SEED = "gives the same for the same seed, each time it is asked"
SAVED = "saves and loads to the same output, without pickle"
ALONE = "reconstructs a release as if the others were not there"
REGION = "never looks at the true changed region"
NOBODY = "works without validation people"
BLANK = "works on releases that are blank"
IDENTITY = "learns to leave people as they are where nothing is hidden"
SHUFFLED = "learns nothing about new people from shuffled pairs"

UNSHUFFLED = {"unpaired": "it learns from unpaired slices, shuffled as they are", "nothing": "it learns nothing at all"}
"""Why pairs are not shuffled, by what an attacker needs."""


def check_attacker(attacker: Attacker) -> Iterator[Check]:
    """Try an attacker on toy heads, rule by rule.

    Yields:
        one check per rule, as soon as it is known. When the first fails the others are not tried.
    """
    brief, judged = lasting(attacker, BRIEF), _judged(attacker)
    given = _Cohort.of("blur")
    first = Attempt.at(lambda: _Trained.on(brief, given))
    yield Check(RUNS, first.problem)
    if first.made is None:
        return
    trained = first.made
    yield Check(INPUT, found(lambda: _writes(trained, given)))
    yield Check(SEED, found(lambda: _random(trained)))
    yield Check(SAVED, found(lambda: _lost(trained)))
    yield Check(ALONE, found(lambda: _influenced(trained)))
    if _told(attacker):
        yield Check(REGION, skipped="it says so: `region: known`")
    else:
        yield Check(REGION, found(lambda: _peeks(trained)))
    yield Check(NOBODY, Attempt.at(lambda: _Trained.on(brief, _Cohort.of("blur").unvalidated())).problem)
    yield Check(BLANK, Attempt.at(lambda: _Trained.on(brief, _Cohort.of("blank"))).problem)
    yield Check(IDENTITY, found(lambda: _changes_people(judged)))
    if attacker.needs == "paired":
        yield Check(SHUFFLED, found(lambda: _knows_people(judged)))
    else:
        yield Check(SHUFFLED, skipped=UNSHUFFLED[attacker.needs])


def shortening(attacker: Attacker) -> str:
    """What a check does to the trainings that it judges, as a sentence; empty if nothing."""
    cut = _judged(attacker) is not attacker
    return f"What it learns was judged after {STEPS} steps; name its `steps` for others." if cut else ""


def _judged(attacker: Attacker) -> Attacker:
    """As it is where it names its own steps; else a copy that trains for `STEPS` steps, if it counts them at all."""
    return attacker if getattr(attacker, "steps", None) else lasting(attacker, STEPS)


def _told(attacker: Attacker) -> bool:
    """Whether the true changed region reaches it at test time."""
    return getattr(attacker, "region", None) == "known"


@dataclass(frozen=True)
class _Cohort:
    """Toy people under one anonymizer."""

    train: SlicePairs
    validation: SlicePairs
    test: SlicePairs

    @classmethod
    def of(cls, how: Hide) -> _Cohort:
        """Copies: an attacker may write into them."""
        return deepcopy(_made(how))

    def shuffled(self) -> Self:
        """To everybody who is learnt from, the originals of the next."""
        train, validation = (
            replace(pairs, original=np.roll(pairs.original, PLANES, axis=0)) for pairs in (self.train, self.validation)
        )
        return replace(self, train=train, validation=validation)

    def scattered(self) -> Self:
        """Every head moved to another place in its images."""
        return type(self)(*(_scattered(pairs) for pairs in (self.train, self.validation, self.test)))

    def unvalidated(self) -> Self:
        """Without validation people."""
        return replace(self, validation=self.validation.take(slice(0, 0)))


@lru_cache
def _made(how: Hide) -> _Cohort:
    return _Cohort(*(toy_cohort(how, people, seed, SIDE) for people, seed in (TRAIN, VALIDATION, TEST)))


@dataclass(frozen=True)
class _Trained:
    """A training, and what it made of the test people."""

    attacker: Attacker
    reconstructor: Reconstructor
    images: Images

    @classmethod
    def on(cls, attacker: Attacker, cohort: _Cohort) -> Self:
        with TemporaryDirectory() as folder:
            context = TrainingContext(seed=0, folder=Path(folder), deterministic=True)
            reconstructor = attacker.fit(cohort.train, cohort.validation, context)
        return cls(attacker, reconstructor, _reconstruct(attacker, reconstructor, cohort.test.released))


def _reconstruct(attacker: Attacker, reconstructor: Reconstructor, released: ReleasedSlices) -> Images:
    """What the harness would get; raises where it breaks the contract."""
    seen = released if _told(attacker) else replace(released, changed=None)
    returned = reconstructor.reconstruct(seen)
    images = check_images(returned, released.images.shape, "what it returned")
    if not np.array_equal(images, returned):
        raise ValueError(f"what it returned goes from {returned.min():.3g} to {returned.max():.3g}, not from 0 to 1")
    return images


def _writes(trained: _Trained, given: _Cohort) -> str:
    """`given` was trained on and reconstructed."""
    for part in ("train", "validation", "test"):
        before, after = getattr(_Cohort.of("blur"), part), getattr(given, part)
        for name in ("images", "release", "position", "changed"):
            if not np.array_equal(getattr(before.released, name), getattr(after.released, name)):
                return f"it wrote into the {name} of the {part} people's released slices; copy before writing"
        if not np.array_equal(before.original, after.original):
            return f"it wrote into the originals of the {part} people; copy before writing"
    return ""


def _random(trained: _Trained) -> str:
    cohort = _Cohort.of("blur")
    repeated = _reconstruct(trained.attacker, trained.reconstructor, deepcopy(cohort.test.released))
    if not np.array_equal(repeated, trained.images):
        return "another reconstruction of the same releases; draw nothing at test time (dropout?)"
    if not np.array_equal(_Trained.on(trained.attacker, cohort).images, trained.images):
        return "another training with the same seed ends elsewhere; draw random numbers from `context.seed` alone"
    return ""


def _lost(trained: _Trained) -> str:
    with TemporaryDirectory() as name:
        folder = Path(name)
        trained.reconstructor.save(folder)
        if other := other_formats(folder):
            return other
        loaded = trained.attacker.load(folder, "cpu")
        images = _reconstruct(trained.attacker, loaded, _Cohort.of("blur").test.released)
    changed = int((images != trained.images).sum())
    return f"{changed} of {images.size} pixels differ once it is loaded" if changed else ""


def _influenced(trained: _Trained) -> str:
    released = _Cohort.of("blur").test.released
    members = np.flatnonzero(released.release == released.release[-1])
    alone = released.take(members)
    alone = replace(alone, release=np.zeros_like(alone.release))
    images = _reconstruct(trained.attacker, trained.reconstructor, alone)
    difference = float(np.abs(images - trained.images[members]).max())
    return f"intensities differ by up to {difference:.3f} once a release comes alone" if difference > ROUNDING else ""


def _peeks(trained: _Trained) -> str:
    released = _Cohort.of("blur").test.released
    assert released.changed is not None
    images = trained.reconstructor.reconstruct(replace(released, changed=~released.changed))
    differ = int((images != trained.images).sum())
    return f"{differ} pixels differ where it is told a wrong region; declare `region`, or do not look" if differ else ""


def _scattered(pairs: SlicePairs) -> SlicePairs:
    rng = np.random.default_rng(len(pairs))
    people = pairs.original.reshape(-1, PLANES, SIDE, SIDE)
    moves = rng.integers(-SCATTER, SCATTER, (len(people), 2), endpoint=True)
    moved = np.concatenate([np.roll(head, move, axis=(1, 2)) for head, move in zip(people, moves, strict=True)])
    return SlicePairs(replace(pairs.released, images=moved.copy()), moved)


def _changes_people(attacker: Attacker) -> str:
    cohort = _Cohort.of("identity").scattered()
    images = _Trained.on(attacker, cohort).images
    missed = _per_person(np.square(images - cohort.test.original))
    variance = cohort.test.original.reshape(len(missed), -1).var(axis=1)
    explained = float((1 - missed / variance).mean())
    return (
        ""
        if explained >= EXPLAINED
        else (
            f"trained on pairs that are alike it returns {explained:.0%} of the variance of new people, "
            f"not {EXPLAINED:.0%}; does it train long enough?"
        )
    )


def _knows_people(attacker: Attacker) -> str:
    """Where faces are removed and others' put beside them, nothing can be learnt but what is common to all.

    An average face in the very pose of each new person is then the best that there can be, and no attack is far worse.
    """
    cohort = _Cohort.of("removal")
    images = _Trained.on(attacker, cohort.shuffled()).images
    hidden = cohort.test.changed
    missed, average = (
        _per_person(np.square(candidate - cohort.test.original), hidden)
        for candidate in (images, average_faces(*TEST, SIDE))
    )
    gain = average - missed
    error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    if gain.mean() <= max(CHANCE * error, CLOSER * average.mean()):
        return ""
    return (
        f"it comes {gain.mean() / average.mean():.0%} closer to people it never saw than an average face in their pose "
        f"does ({gain.mean() / error:.0f} standard errors), and was never shown whose face belongs to whom"
    )


def _per_person(values: Images, where: Any = None) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean of pixels [n, h, w] over each person's own slices, and over `where` alone."""
    weight = np.ones(values.shape) if where is None else where.astype(np.float64)
    sums, counts = ((part * weight).reshape(-1, PLANES * SIDE * SIDE).sum(axis=1) for part in (values, 1.0))
    means: np.ndarray[Any, np.dtype[np.float64]] = sums / counts
    return means
