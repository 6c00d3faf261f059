"""Similarities of pairs, genuine (one person) and impostor (two people), as masses on sorted levels.

All figures of pairs depend on the order of similarities only. Between two genuine similarities any number of impostors
is one step: what is computed on these levels is exact, and as short as there are genuine pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Masses:
    """How much lies on each level, from the most alike to the least.

    Attributes:
        genuine, impostor: float64 [..., levels], not negative; each sums to 1 over levels.
    """

    genuine: Floats
    impostor: Floats


@dataclass(frozen=True)
class Levels:
    """On which level each pair lies; level 0 is the most alike.

    Attributes:
        genuine: int [genuine pairs]. impostor: int [impostor pairs]. count: of levels.
    """

    genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, genuine: Floats, impostor: Floats) -> Levels:
        """Sort pairs: every different genuine similarity is a level, and so is what lies between two of them.

        Args:
            genuine: float64 [pairs], one at least, finite.
            impostor: the same.
        """
        steps, place = np.unique(genuine, return_inverse=True)
        left, right = np.searchsorted(steps, impostor, "left"), np.searchsorted(steps, impostor, "right")
        last = 2 * len(steps)
        return cls(last - (2 * place + 1), last - (left + right), last + 1)

    def masses(self, genuine: Floats | None = None, impostor: Floats | None = None) -> Masses:
        """Sum weights of pairs on each level.

        Args:
            genuine: float64 [..., genuine pairs], weights; all alike if not given.
            impostor: the same.
        """
        return Masses(
            _summed(self.genuine, self.count, genuine),
            _summed(self.impostor, self.count, impostor),
        )


def masses(genuine: Floats, impostor: Floats) -> Masses:
    """Of pairs that count alike; finite similarities, one of each kind at least."""
    return Levels.of(genuine, impostor).masses()


def _summed(levels: NDArray[np.int64], count: int, weights: Floats | None) -> Floats:
    weights = np.ones(len(levels)) if weights is None else weights
    order = np.argsort(levels, kind="stable")
    there, starts = np.unique(levels[order], return_index=True)
    summed = np.zeros((*weights.shape[:-1], count))
    summed[..., there] = np.add.reduceat(weights[..., order], starts, axis=-1)
    shares: Floats = summed / summed.sum(axis=-1, keepdims=True)
    return shares
