"""What a metric of whole heads is, and the pair of heads that it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from refbench.plugin import Plugin
from refbench.types import Head, Mask


@dataclass(frozen=True)
class Skin:
    """Points of a head's outer skin.

    Attributes:
        points: float32 [n, 3], mm, spread evenly.
        part: names by point, str [n]: `nose`, `eyes`, `mouth`, `chin`, `ears`, or empty for skin of no named part.
    """

    points: NDArray[np.float32]
    part: NDArray[np.str_]


@dataclass(frozen=True)
class HeadPair:
    """An original and what became of it, on one grid, with what is found in both by the same tools.

    Attributes:
        original, candidate: the candidate is what was released, or what an attacker made of it.
        labelled_brain: the brain as the dataset labels it in the original, where it does.
        find_brain: the brain of a head, by the same tool before and after. Raises DataError where it finds none.
        find_skin: the outer skin of a head near the original's face; with the original's threshold for both.
    """

    original: Head
    candidate: Head
    labelled_brain: Mask | None
    find_brain: Callable[[Head], Mask]
    find_skin: Callable[[Head], Skin]

    @cached_property
    def brain(self) -> Mask:
        """The brain of the original by `find_brain`, bool of the voxels' shape."""
        return self.find_brain(self.original)

    @cached_property
    def candidate_brain(self) -> Mask:
        """The brain of the candidate by `find_brain`."""
        return self.find_brain(self.candidate)


class HeadMetric(Plugin, ABC):
    """Measures a released or reconstructed head against its original; a few named figures per head."""

    figures: ClassVar[Mapping[str, str]]
    """Name of each figure to what it is, unit included, in a few words: `brain_dice: overlap of brains, 0-1`."""
    headline: ClassVar[tuple[str, ...]]
    """Which of the figures stand in leaderboards, in order."""

    @abstractmethod
    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        """All `figures` of one head; NaN where one is undefined.

        Raises:
            DataError: the head cannot be measured; all its figures are then NaN, and the reason is kept.
        """
