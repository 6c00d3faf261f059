"""Two releases of one scan, given together: what an attacker made of each becomes one reconstruction.

A ridge regression says how far to go from the first reconstruction by what the second release, and its reconstruction,
have more or less: apart for each kind of pixel, by whether the attacker repainted it in the first release, in the
second, and whether the releases differ there. Where both releases are the same nothing is added, so a better attack on
the first alone is never taken for a gain. All of this is seen in what an attacker holds; the true mask of what was
changed is asked for of validation people only. Where the releases agree and the attacker left the first as it was, it
stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refbench.types import Images, Mask

SAME = 0.005
"""Releases (0-1) that differ by less agree: slices stored with 8 bits err by up to 0.002 each."""

RIDGE = 1e-4
"""Penalty on weights, as a share of the features' sum of squares in pixels of a kind and in those of the mean kind: it
parts what is alike, and keeps kinds that are rare from far-fetched weights."""

UNCHANGED = 0.1
"""Weight of a validation person's pixel that the first release did not change, beside 1 of one that it did: what is
sought are the changed ones, but at test time nobody tells them apart, and what was right should stay so."""

KINDS, FEATURES = 8, 2

DIGITS = 6
"""Scores that differ by less are the same."""

Floats = NDArray[np.float64]
How = Literal["fused", "first", "second", "mean"]


@dataclass(frozen=True)
class Held:
    """What an attacker holds of one scan, all at the places of the first release's slices: float32 [n, h, w], 0-1.

    Attributes:
        released, made: the first release, and what the attacker made of it.
        also_released, also_made: the second, at the same places and on the scale of the first.
    """

    released: Images
    made: Images
    also_released: Images
    also_made: Images

    @property
    def kind(self) -> NDArray[np.int64]:
        """Of every pixel: int [n, h, w], 0 .. `KINDS` - 1; the last bit says that the releases differ."""
        repainted = self.made != self.released, self.also_made != self.also_released
        kind: NDArray[np.int64] = 4 * repainted[0] + 2 * repainted[1] + self._differ.astype(np.int64)
        return kind

    @property
    def stands(self) -> Mask:
        """Where nothing tells that the first release was changed, bool [n, h, w]."""
        settled: Mask = (self.made == self.released) & ~self._differ
        return settled

    @property
    def _differ(self) -> Mask:
        different: Mask = np.abs(self.released - self.also_released) > SAME
        return different

    def features(self, pixels: Mask) -> NDArray[np.float32]:
        """What the second has more than the first, made and released: float32 [pixels, `FEATURES`]."""
        pairs = (self.also_made, self.made), (self.also_released, self.released)
        return np.column_stack([second[pixels] - first[pixels] for second, first in pairs])


@dataclass(frozen=True)
class Fusion:
    """How two reconstructions become one.

    Attributes:
        how: by the regression, one of the two as it is, or their mean.
        weights: float64 [`KINDS`, `FEATURES`], what is added to the first reconstruction.
    """

    how: How
    weights: Floats

    def apply(self, held: Held) -> Images:
        """The reconstruction at the places of the first release: float32 [n, h, w], 0-1."""
        if self.how == "first":
            return held.made
        if self.how == "second":
            images = held.also_made.copy()
        elif self.how == "mean":
            images = (held.made + held.also_made) / np.float32(2)
        else:
            images = held.made.copy()
            kind, stands = held.kind, held.stands
            for one in range(KINDS):
                pixels = (kind == one) & ~stands
                images[pixels] += (held.features(pixels) @ self.weights[one]).astype(np.float32)
        return np.clip(np.where(held.stands, held.released, images), 0, 1)


@dataclass(frozen=True)
class Lesson:
    """One validation scan: what is held of it, and what it was.

    Attributes:
        person: whose it is.
        original: float32 [n, h, w], 0-1. changed: bool [n, h, w], where the first release differs from it.
        judge: how good a reconstruction of it is; the larger the better, NaN where undefined.
    """

    person: int
    held: Held
    original: Images
    changed: Mask
    judge: Callable[[Images], float]


def learn(lessons: Sequence[Lesson]) -> Fusion:
    """Learn on validation people, and let them say whether it is worth anything.

    Everybody's scans are fused by what was learnt on all others. Where that is no better, in the mean over people, than
    the better of the two reconstructions alone, this one is taken; without validation people their mean is.
    """
    nothing = np.zeros((KINDS, FEATURES))
    if not lessons:
        return Fusion("mean", nothing)
    person = np.array([lesson.person for lesson in lessons])
    moments = np.stack([_moments(lesson) for lesson in lessons])
    candidates: dict[How, list[Fusion]] = {
        "first": [Fusion("first", nothing)] * len(lessons),
        "second": [Fusion("second", nothing)] * len(lessons),
        "fused": [Fusion("fused", _solve(moments[person != one].sum(axis=0))) for one in person],
    }
    means = {how: _mean_over_people(own, lessons) for how, own in candidates.items()}
    best = max(means, key=lambda how: round(means[how], DIGITS))  # of equals the first, which is the simplest
    return Fusion(best, _solve(moments.sum(axis=0)) if best == "fused" else nothing)


def _mean_over_people(fusions: Sequence[Fusion], lessons: Sequence[Lesson]) -> float:
    """Of each person the mean of what is defined; the worst of all where nobody's is."""
    scores: dict[int, list[float]] = {}
    for fusion, lesson in zip(fusions, lessons, strict=True):
        score = lesson.judge(fusion.apply(lesson.held))
        if np.isfinite(score):
            scores.setdefault(lesson.person, []).append(score)
    return float(np.mean([np.mean(own) for own in scores.values()])) if scores else -np.inf


def _moments(lesson: Lesson) -> Floats:
    """Weighted sums of products of features and of what is lacking in `made`: [`KINDS`, `FEATURES` + 1, the same]."""
    kind, stands = lesson.held.kind, lesson.held.stands
    moments = np.zeros((KINDS, FEATURES + 1, FEATURES + 1))
    for one in range(KINDS):
        pixels = (kind == one) & ~stands
        lacks = (lesson.original - lesson.held.made)[pixels]
        table = np.column_stack([lesson.held.features(pixels), lacks]).astype(np.float64)
        moments[one] = (table.T * np.where(lesson.changed[pixels], 1, UNCHANGED)) @ table
    return moments


def _solve(moments: Floats) -> Floats:
    """Weights of a ridge regression of each kind of pixel, [`KINDS`, `FEATURES`]; 0 where there was none."""
    gram, target = moments[:, :-1, :-1], moments[:, :-1, -1]
    size = np.trace(gram, axis1=1, axis2=2)
    penalty = RIDGE * (size + size.mean()) + np.finfo(np.float64).tiny
    weights: Floats = np.linalg.solve(gram + penalty[:, None, None] * np.eye(FEATURES), target[:, :, None])[:, :, 0]
    return weights
