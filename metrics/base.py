"""What a metric is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from refbench.plugin import Plugin
from refbench.types import Images, Region


class Metric(Plugin, ABC):
    """Compares candidate slices with the originals; the larger, the more alike."""

    ceiling: ClassVar[float] = 1.0
    """The score of an image against itself."""
    symmetric: ClassVar[bool] = False
    """Whether it gives the same with original and candidate exchanged."""

    @abstractmethod
    def score(self, reference: Images, candidate: Images, region: Region) -> NDArray[np.float64]:
        """One value per image, float64 [n]; NaN where it is undefined (an empty region, a constant image).

        Args:
            reference: originals, float32 [n, h, w], 0-1.
            candidate: anonymized or reconstructed images, the same shape.
            region: where to look; its mask has the same shape.
        """
