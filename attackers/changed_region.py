"""Guess from released images alone where the anonymizer changed them.

Two things tell: where other people were changed (aligned), and how the image looks there (constant where a face was
removed, without fine texture where it was blurred). A logistic regression learns to weigh them and looks a second time
with its own smoothed verdict at hand; the validation people choose the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.averages import Averages, Posed
from refbench.types import Affine, Images, Mask, SlicePairs

PEOPLE = 30
"""As many training people are looked at."""

PIXELS = 30_000
"""As many of their pixels, drawn from where a change is possible."""

POSSIBLE = 0.01
"""Where a smaller share of the training people was changed, nobody is believed to be."""

THRESHOLDS = tuple(round(0.1 + 0.05 * step, 2) for step in range(17))
FAINT = 1e-3
"""Intensity (0-1) below which differences say nothing."""

SURE = 6.0
"""Logits are held within +- this (0.25 % and 99.75 %)."""

SPREADS = (1.0, 2.5, 6.0)
"""Standard deviations in pixels of the smoothed verdicts that the second look sees."""


@dataclass(frozen=True)
class ChangedRegion:
    """A trained estimate.

    Attributes:
        looks: weights of the first and of the second look; none where no training pixel was changed.
        threshold: probability from which on a pixel counts as changed.
    """

    looks: tuple[NDArray[np.float64], ...]
    threshold: float

    @classmethod
    def learn(
        cls,
        averages: Averages,
        transforms: Sequence[Affine],
        train: SlicePairs,
        validation: SlicePairs,
        rng: np.random.Generator,
    ) -> ChangedRegion:
        """Learn from `train` (aligned by `transforms`); `validation` chooses the threshold of the best Dice overlap."""
        step = -(-len(transforms) // PEOPLE)
        people = list(islice(averages.pose(train.released, transforms), 0, None, step))
        drawn = [_draw(person, PIXELS // len(people), rng) for person in people]
        truth = np.concatenate([train.changed[p.stack.members].ravel()[d] for p, d in zip(people, drawn, strict=True)])
        if not truth.any():
            return cls((), 1.0)
        # Evidence is made twice: kept for all people, it would fill the memory.
        seen = [_at(evidence(p), d) for p, d in zip(people, drawn, strict=True)]
        first = _logistic(np.concatenate(seen, axis=1), truth)
        seen = [_at(_again(p, first), d) for p, d in zip(people, drawn, strict=True)]
        second = _logistic(np.concatenate(seen, axis=1), truth)
        region = cls((first, second), 0.5)
        judged = [
            (region.probability(person), validation.changed[person.stack.members])
            for person in averages.pose(validation.released)
        ]

        def overlap(threshold: float) -> float:
            return float(np.mean([dice(probability >= threshold, changed) for probability, changed in judged]))

        return cls(region.looks, max(THRESHOLDS, key=overlap) if judged else 0.5)

    def probability(self, person: Posed) -> Images:
        """How likely each pixel was changed: float32 [k, h, w], 0-1."""
        possible = _possible(person)
        if not self.looks or not possible.any():
            return np.zeros(person.images.shape, np.float32)
        first, second = self.looks
        logit = _verdict(_again(person, first), second, possible)
        return np.where(possible, _sigmoid(logit), 0).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to save."""
        looks = {f"look_{number}": weights for number, weights in enumerate(self.looks)}
        return {"threshold": np.array(self.threshold), **looks}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ChangedRegion:
        """The inverse of `arrays`."""
        looks = tuple(arrays[name].astype(np.float64) for name in ("look_0", "look_1") if name in arrays)
        return cls(looks, float(arrays["threshold"].item()))


def dice(one: Mask, other: Mask) -> float:
    """Dice overlap of two masks, 0-1; 1 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def evidence(person: Posed) -> NDArray[np.float32]:
    """What tells a changed pixel: float32 [7, k, h, w], mostly logarithms.

    Share of other people changed there, contrast in 3 x 3 and 7 x 7 pixels, finest texture, local mean and maximum, and
    what the average person has there.
    """
    from scipy import ndimage

    images = person.images

    def mean(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        out: NDArray[np.float32] = ndimage.uniform_filter(values, (0, size, size))
        return out

    near, wide = mean(images, 3), mean(images, 7)
    squares = images * images
    contrast = np.sqrt(np.maximum(mean(squares, 3) - near * near, 0))
    wide_contrast = np.sqrt(np.maximum(mean(squares, 7) - wide * wide, 0))
    texture = mean(np.abs(images - near), 5)
    brightest = ndimage.maximum_filter(images, (0, 5, 5))
    intensities = np.log(np.stack([contrast, wide_contrast, texture, near, brightest]) + np.float32(FAINT))
    return np.concatenate([_logit(person.changed)[None], intensities, person.original[None]])


def _possible(person: Posed) -> Mask:
    possible: Mask = person.changed > POSSIBLE
    return possible


def _draw(person: Posed, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw pixels where a change is possible, as index in the flattened slices."""
    possible = np.flatnonzero(_possible(person))
    drawn: NDArray[np.int64] = rng.choice(possible, min(count, len(possible)), replace=False)
    return drawn


def _at(features: NDArray[np.float32], drawn: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features [f, k, h, w] of the drawn pixels, [f, pixels]."""
    return features.reshape(len(features), -1)[:, drawn]


def _logit(share: Images) -> Images:
    least = np.float32(1 / (1 + np.exp(SURE)))
    inside = np.clip(share, least, 1 - least)
    out: Images = np.log(inside / (1 - inside))
    return out


def _sigmoid(logit: NDArray[Any]) -> NDArray[Any]:
    share: NDArray[Any] = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return share


def _squares(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features [f, pixels] with a constant and all their products, [pixels, 1 + f + f (f + 1) / 2]."""
    one, other = np.triu_indices(len(features))
    return np.concatenate([np.ones_like(features[:1]), features, features[one] * features[other]]).T


def _verdict(features: NDArray[np.float32], weights: NDArray[np.float64], possible: Mask) -> Images:
    """Logits [k, h, w] of a look; where no change is possible, the surest no."""
    logit = np.full(possible.shape, -SURE, np.float32)
    logit[possible] = np.clip(_squares(features[:, possible]) @ weights.astype(np.float32), -SURE, SURE)
    return logit


def _again(person: Posed, first: NDArray[np.float64]) -> NDArray[np.float32]:
    """Evidence, and the verdict of the first look, smoothed more and more, within and a little across slices."""
    from scipy import ndimage

    features = evidence(person)
    logit = _verdict(features, first, _possible(person))
    smoothed = [ndimage.gaussian_filter(logit, (spread / 4, spread, spread)) for spread in SPREADS]
    return np.concatenate([features, np.stack(smoothed)])


def _logistic(
    features: NDArray[np.float32], truth: Mask, steps: int = 12, damping: float = 1e-4
) -> NDArray[np.float64]:
    """Logistic regression by iteratively reweighted least squares (Bishop, "Pattern recognition", section 4.3.3)."""
    table = _squares(features).astype(np.float64)
    centre, scale = table.mean(axis=0), table.std(axis=0) + 1e-6
    centre[0], scale[0] = 0, 1
    table = (table - centre) / scale
    weights = np.zeros(table.shape[1])
    ridge = damping * len(table) * np.eye(len(weights))
    for _ in range(steps):
        probability = _sigmoid(table @ weights)
        spread = np.maximum(probability * (1 - probability), 1e-4)
        gradient = table.T @ (truth - probability) - ridge @ weights
        weights = weights + np.linalg.solve((table.T * spread) @ table + ridge, gradient)
    unscaled: NDArray[np.float64] = weights / scale
    unscaled[0] -= (centre * unscaled).sum()
    return unscaled
