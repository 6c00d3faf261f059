"""Ridge regression of a hidden pixel on what is around it: a learned deconvolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from refbench.attackers.alignment import coordinates
from refbench.attackers.averages import Posed
from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated, Surroundings, read
from refbench.plugin import param
from refbench.types import Images, Mask, SlicePairs

MEAN_PATCH = 5
"""Pixels along a side of the patch of the average face."""

FLAT = 1e-4
"""Standard deviation (0-1) below which a feature is a constant and says nothing."""


class Regression(Attacker):
    """Local ridge regression: each pixel of the changed region from the patch around it.

    The patch of the released image, the aligned average face there and the place in the head (quadratic) predict how
    the original differs from the released pixel. The validation people choose how much of the prediction to apply.
    """

    region: KnownOrEstimated = param(
        "estimated", "whether the changed region is estimated from the released images or told"
    )
    patch: int = param(13, "side of the square patch, odd", unit="pixels", ge=1, le=31)
    ridge: float = param(1e-3, "penalty on the weights of standardised features, per training pixel", gt=0, le=1e3)
    training_pixels: int = param(180_000, "training pixels drawn from the changed regions", ge=1000, le=5_000_000)

    @field_validator("patch")
    @classmethod
    def _odd(cls, patch: int) -> int:
        if patch % 2 == 0:
            raise ValueError("a patch needs a pixel in its middle: take an odd number")
        return patch

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Solve one linear system; seconds."""
        surroundings, transforms = Surroundings.learn(train, validation, self.region, context)
        people = surroundings.averages.pose(train.released, transforms)
        filters = self._solve(people, train, np.random.default_rng(context.seed))
        return RegressionReconstructor(surroundings, 1.0, filters, self.patch).weighed(validation, context.judge)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        arrays = read(folder)
        return RegressionReconstructor(
            Surroundings.from_arrays(arrays), float(arrays["weight"]), arrays["filters"], int(arrays["patch"])
        )

    def _solve(self, people: Iterator[Posed], train: SlicePairs, rng: np.random.Generator) -> NDArray[np.float32]:
        """Weights of `neighbourhood`'s features, float32 [f]; all 0 where no training pixel was changed."""
        each = -(-self.training_pixels // len(np.unique(train.released.release)))
        moments: NDArray[np.float64] | float = 0.0
        for person in people:
            mask = _draw(train.changed[person.stack.members], each, rng)
            missing = (train.original[person.stack.members] - person.images)[mask]
            table = np.column_stack([neighbourhood(person, mask, self.patch), missing]).astype(np.float64)
            moments = moments + table.T @ table
        assert isinstance(moments, np.ndarray), "there are training people"
        pixels = moments[-2, -2]  # the last feature is a constant 1
        if not pixels:
            return np.zeros(len(moments) - 1, np.float32)
        mean = moments[-2] / pixels
        covariance = moments / pixels - np.outer(mean, mean)
        deviation = np.sqrt(np.maximum(np.diag(covariance)[:-1], 0))
        unit = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > FLAT)
        gram = covariance[:-1, :-1] * np.outer(unit, unit) + self.ridge * np.eye(len(unit))
        weights: NDArray[np.float64] = unit * np.linalg.solve(gram, unit * covariance[:-1, -1])
        weights[-1] = mean[-1] - mean[:-1] @ weights
        return weights.astype(np.float32)


@dataclass(frozen=True)
class RegressionReconstructor(Inpainter):
    """Applies a ridge regression to the changed region.

    Attributes:
        filters: float32 [f], weights of `neighbourhood`'s features. patch: side of the patch in pixels.
    """

    filters: NDArray[np.float32]
    patch: int

    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        """Released pixel plus what the regression says it lacks."""
        proposal: NDArray[np.float32] = person.images[mask] + neighbourhood(person, mask, self.patch) @ self.filters
        return np.clip(proposal, 0, 1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The regression."""
        return {"filters": self.filters, "patch": np.array(self.patch)}


def neighbourhood(person: Posed, mask: Mask, patch: int) -> NDArray[np.float32]:
    """What is known about each pixel of a mask: float32 [pixels, features].

    The patch of the released image, a smaller one of the average face, the average release, the place in the head
    (-1 .. 1, with squares and products) and, last, a constant 1.
    """
    place = coordinates(person.transform, person.stack, np.nonzero(mask), person.averages.reference.grid)
    one, other = np.triu_indices(3)
    return np.concatenate(
        [
            _patches(person.images, mask, patch),
            _patches(person.original, mask, MEAN_PATCH),
            person.released[mask][:, None],
            place,
            place[:, one] * place[:, other],
            np.ones((len(place), 1), np.float32),
        ],
        axis=1,
    )


def _patches(images: Images, mask: Mask, side: int) -> NDArray[np.float32]:
    """The square patch around each pixel of a mask, [pixels, side * side]; edge pixels go on beyond the edge."""
    reach = side // 2
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    patches: NDArray[np.float32] = windows[mask].reshape(-1, side * side)
    return patches


def _draw(changed: Mask, count: int, rng: np.random.Generator) -> Mask:
    """At most `count` of the changed pixels."""
    where = np.flatnonzero(changed)
    drawn = np.zeros(changed.size, np.bool_)
    drawn[rng.choice(where, min(count, len(where)), replace=False)] = True
    return drawn.reshape(changed.shape)
