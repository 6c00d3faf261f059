"""Measure on training pairs which blur turned originals into releases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.alignment import stacks
from refbench.attackers.point_spread import Gaussian, PointSpread, around, soft_edge
from refbench.types import Images, Mask, SlicePairs

PEOPLE = 6
"""Training people whose pairs are enough to measure two widths."""

EDGES = (0, 1, 2, 3, 4, 6, 8)
"""Depths in pixels over which a blur may fade in at the edge of its region."""

MARGIN = 24
"""Pixels around the region that are looked at."""

LIMITS = (-3.0, 4.0)
"""Logarithms of the narrowest and the widest Gaussian that is tried."""

EXPLAINED = 0.8
"""A change is a blur if a blur explains this share of the variety inside the region; of a constant, none."""


def measure(train: SlicePairs) -> PointSpread | None:
    """Find the Gaussian that turns the originals into what was released of them: least squares; seconds.

    Returns:
        None where no blur explains what was changed.
    """
    from scipy import optimize

    cases = _cases(train)
    if not cases:
        return None
    total = sum(float(case.change @ case.change) for case in cases)

    def lost(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of squares left unexplained, for every edge."""
        across, within = np.exp(np.clip(logarithms, *LIMITS))
        left: NDArray[np.float64] = np.sum([case.unexplained(across, within) for case in cases], axis=0) / total
        return left

    simplex = np.log([[0.5, 2.0], [1.4, 2.0], [0.5, 5.4]])
    found = optimize.minimize(
        lambda logarithms: float(lost(logarithms).min()),
        simplex[0],
        method="Nelder-Mead",
        options={"xatol": 0.02, "fatol": 1e-5, "maxfev": 60, "initial_simplex": simplex},
    )
    left = lost(found.x)
    if left.min() * total > (1 - EXPLAINED) * sum(case.variety for case in cases):
        return None
    across, within = np.exp(np.clip(found.x, *LIMITS)).tolist()
    return PointSpread(across, within, EDGES[int(left.argmin())])


@dataclass(frozen=True)
class _Case:
    """One training person.

    Attributes:
        original: float32 [count, h, w]. mask: the region, bool of the same shape.
        change: released less original in the region. shares: of the blur there, for every edge.
        variety: squares of what was released in the region, about their mean.
    """

    original: Images
    mask: Mask
    change: NDArray[np.float32]
    shares: list[NDArray[np.float32]]
    variety: float

    def unexplained(self, across: float, within: float) -> list[float]:
        """Squares of the change that a blur of these widths leaves, for every edge."""
        step = (Gaussian.of(self.original.shape, across, within)(self.original) - self.original)[self.mask]
        return [float(np.square(self.change - share * step).sum()) for share in self.shares]


def _cases(train: SlicePairs) -> list[_Case]:
    """Some of the training people who were changed."""
    everyone = list(stacks(train.released))
    cases = []
    for stack in everyone[:: -(-len(everyone) // PEOPLE)]:
        mask = stack.volume(train.changed) > 0
        if not mask.any():
            continue
        box = around(mask, MARGIN)
        mask, original = mask[box], stack.volume(train.original)[box]
        released = stack.volume(train.released.images)[box][mask]
        shares = [soft_edge(mask, edge)[mask] for edge in EDGES]
        variety = float(np.square(released - released.mean()).sum())
        cases.append(_Case(original, mask, released - original[mask], shares, variety))
    return cases
