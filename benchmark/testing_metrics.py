"""Does a metric keep its contract? It scores toy heads: themselves, blurred, and other people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from refbench.jobs.score import region_of
from refbench.metrics.base import Metric
from refbench.testing import Attempt, Check, found
from refbench.testing_cohort import toy_cohort
from refbench.types import Images, Region

Scores = NDArray[np.float64]

PEOPLE, SIDE = 4, 64

ROUNDING = 1e-6
"""Largest difference that is put down to sums that are taken in another order."""

RUNS = "runs, and gives a float64 value per image, finite for faces"
INPUT = "leaves what it is given alone"
SAME = "gives the same each time it is asked"
ALONE = "scores an image as if the others were not there"
CEILING = "gives an image against itself its ceiling"
RANGE = "gives nothing more than its ceiling"
ORDER = "gives less, the less alike the images are"
BOX = "looks at nothing outside the region's box"
MASK = "sees a change in the region more than one far from it"
EMPTY = "gives NaN for an empty region"
CONSTANT = "gives a number or NaN for constant images"
SYMMETRIC = "gives the same with original and candidate exchanged"


@lru_cache(maxsize=1)
def _faces() -> dict[str, Images]:
    """Toy heads from alike to unlike, float32 [n, h, w], 0-1, write-protected."""
    faces = {
        "themselves": toy_cohort("identity", PEOPLE, seed=0, side=SIDE).original,
        "faintly blurred": toy_cohort("faint blur", PEOPLE, seed=0, side=SIDE).released.images,
        "blurred": toy_cohort("blur", PEOPLE, seed=0, side=SIDE).released.images,
        "others": toy_cohort("identity", PEOPLE, seed=1, side=SIDE).original,
    }
    for images in faces.values():
        images.setflags(write=False)
    return faces


def check_metric(metric: Metric) -> Iterator[Check]:
    """Try a metric on toy heads, rule by rule.

    A metric that says it is `symmetric` is held to it.

    Yields:
        one check per rule, as soon as it is known. When the first fails the others are not tried.
    """
    first = Attempt.at(lambda: _of_faces(metric))
    problem = first.problem or _no_scores(first.made)
    yield Check(RUNS, problem)
    if problem or first.made is None:
        return
    scores = first.made
    yield Check(INPUT, found(lambda: _writes(metric)))
    yield Check(SAME, found(lambda: _random(metric, scores)))
    yield Check(ALONE, found(lambda: _influenced(metric, scores)))
    yield Check(CEILING, found(lambda: _off_ceiling(metric)))
    yield Check(RANGE, found(lambda: _above_ceiling(metric, scores)))
    yield Check(ORDER, found(lambda: _disordered(scores)))
    yield Check(BOX, found(lambda: _leaves_box(metric)))
    yield Check(MASK, found(lambda: _ignores_mask(metric)))
    yield Check(EMPTY, found(lambda: _something_of_nothing(metric)))
    yield Check(CONSTANT, found(lambda: _infinite(metric)))
    if metric.symmetric:
        yield Check(SYMMETRIC, found(lambda: _lopsided(metric)))
    else:
        yield Check(SYMMETRIC, skipped="it does not say `symmetric = True`")


def scale(metric: Metric) -> str:
    """What toy heads score, in one sentence."""
    means = {how: float(values.mean()) for how, values in _of_faces(metric).items()}
    return "On toy heads: " + ", ".join(f"{how} {mean:.3g}" for how, mean in means.items())


@dataclass(frozen=True)
class _Places:
    """Where it is asked to look: float32 images' shape [n, h, w]."""

    shape: tuple[int, ...]

    def whole(self) -> Region:
        return region_of("whole", {"face": np.zeros(self.shape, dtype=bool)})

    def front_half(self) -> Region:
        return region_of("front_half", {"face": np.zeros(self.shape, dtype=bool)})

    def columns(self, part: slice) -> Region:
        mask = np.zeros(self.shape, dtype=bool)
        mask[:, SIDE // 4 : -SIDE // 4, part] = True
        return Region("face", mask)


def _of_faces(metric: Metric) -> dict[str, Scores]:
    original = _faces()["themselves"]
    whole = _Places(original.shape).whole()
    return {how: metric.score(original, images, whole) for how, images in _faces().items()}


def _no_scores(made: dict[str, Scores] | None) -> str:
    count = len(_faces()["themselves"])
    for how, scores in (made or {}).items():
        if not isinstance(scores, np.ndarray) or scores.shape != (count,) or scores.dtype != np.float64:
            kind = f"{scores.dtype} {scores.shape}" if isinstance(scores, np.ndarray) else type(scores).__name__
            return f"it must give float64 ({count},) for {count} images, not {kind}"
        if not np.isfinite(scores).all():
            return f"{int((~np.isfinite(scores)).sum())} of {count} scores of heads ({how}) are NaN or infinite"
    return ""


def _writes(metric: Metric) -> str:
    original, blurred = (np.array(_faces()[how]) for how in ("themselves", "blurred"))
    whole = _Places(original.shape).whole()
    metric.score(original, blurred, whole)
    kept = np.array_equal(original, _faces()["themselves"]) and np.array_equal(blurred, _faces()["blurred"])
    return "" if kept and whole.mask.all() else "it wrote into the images or the mask; copy before writing"


def _random(metric: Metric, scores: dict[str, Scores]) -> str:
    again = _of_faces(metric)
    differ = sum(int((again[how] != values).sum()) for how, values in scores.items())
    return f"{differ} scores differ between two calls; use no random numbers, or seed them" if differ else ""


def _influenced(metric: Metric, scores: dict[str, Scores]) -> str:
    original, blurred = _faces()["themselves"], _faces()["blurred"]
    one = metric.score(original[3:4], blurred[3:4], _Places(original[:1].shape).whole())
    difference = abs(float(one[0] - scores["blurred"][3]))
    return f"the score of one image moves by {difference:.2g} among others" if difference > ROUNDING else ""


def _off_ceiling(metric: Metric) -> str:
    original = _faces()["themselves"]
    places = _Places(original.shape)
    for region in (places.whole(), places.front_half()):
        scores = metric.score(original, original.copy(), region)
        wrong = ~(np.abs(scores - metric.ceiling) <= ROUNDING)
        if wrong.any():
            return f"in {region.name} it gives {scores[wrong][0]:.6g}; its class says `ceiling` {metric.ceiling:g}"
    return ""


def _above_ceiling(metric: Metric, scores: dict[str, Scores]) -> str:
    best = max(float(values.max()) for values in scores.values())
    return f"it gave {best:.6g}, its ceiling is {metric.ceiling:g}" if best > metric.ceiling + ROUNDING else ""


def _disordered(scores: dict[str, Scores]) -> str:
    means = {how: float(values.mean()) for how, values in scores.items()}
    names = list(means)
    for better, worse in pairwise(names):
        if not means[better] > means[worse]:
            return (
                f"heads that are {worse} score {means[worse]:.6g}, {better} {means[better]:.6g}; larger is more alike"
            )
    return ""


def _leaves_box(metric: Metric) -> str:
    original, blurred = _faces()["themselves"], _faces()["blurred"]
    region = _Places(original.shape).front_half()
    other = np.ones_like(blurred)
    other[(slice(None), *region.box)] = blurred[(slice(None), *region.box)]
    moved = np.abs(metric.score(original, other, region) - metric.score(original, blurred, region)).max()
    said = f"pixels outside the box move it by {moved:.2g}; crop to `region.box` first"
    return "" if moved <= ROUNDING else said


def _ignores_mask(metric: Metric) -> str:
    original = _faces()["themselves"]
    left, right = slice(SIDE // 4, SIDE // 2 - 8), slice(SIDE // 2 + 8, -SIDE // 4)
    noisy = np.array(original)
    noisy[:, :, left] = np.random.default_rng(0).random(noisy[:, :, left].shape, np.float32)
    noisy.setflags(write=False)
    places = _Places(original.shape)
    inside = float(np.nanmean(metric.score(original, noisy, places.columns(left))))
    outside = float(np.nanmean(metric.score(original, noisy, places.columns(right))))
    said = f"noise in the region gives {inside:.6g}, noise elsewhere {outside:.6g}; count the pixels of `region.mask`"
    return "" if inside < outside else said


def _something_of_nothing(metric: Metric) -> str:
    original, blurred = _faces()["themselves"], _faces()["blurred"]
    mask = np.ones(original.shape, dtype=bool)
    mask[0] = False
    scores = metric.score(original, blurred, Region("changed", mask))
    if not np.isnan(scores[0]):
        return f"it gives {scores[0]:.6g} where there is nothing to compare"
    return "" if np.isfinite(scores[1:]).all() else "one empty region costs other images their scores"


def _infinite(metric: Metric) -> str:
    original = _faces()["themselves"][:3]
    constant, other = np.full_like(original, 0.5), np.zeros_like(original)
    whole = _Places(original.shape).whole()
    for reference, candidate in ((original, constant), (constant, original), (constant, constant), (constant, other)):
        scores = metric.score(reference, candidate, whole)
        if np.isinf(scores).any():
            return "it gives infinity; give NaN where a score is undefined"
    return ""


def _lopsided(metric: Metric) -> str:
    original, others = _faces()["themselves"], _faces()["others"]
    whole = _Places(original.shape).whole()
    difference = np.abs(metric.score(original, others, whole) - metric.score(others, original, whole)).max()
    return "" if difference <= ROUNDING else f"they differ by {difference:.2g}; its class says `symmetric = True`"
