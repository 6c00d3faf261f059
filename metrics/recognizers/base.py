"""What a recognizer is, and the faces that it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.recognizers.grid import COLUMNS, ROWS
from refbench.plugin import Plugin
from refbench.types import Mask

Relief = NDArray[np.float32]
Similarities = NDArray[np.float64]


@dataclass(frozen=True)
class Faces:
    """Faces of several heads, all in the frame of the mean face: what can be seen from the front, and nothing else.

    Attributes:
        relief: float32 [n, rows, columns], mm towards the front, on the grid of `refbench.metrics.recognizers.grid`;
            row 0 is the top, column 0 is at the person's right. NaN where a ray from the front meets no skin; NaN
            throughout where no face could be placed.
    """

    relief: Relief

    def __post_init__(self) -> None:
        assert self.relief.shape[1:] == (ROWS, COLUMNS), self.relief.shape

    def __len__(self) -> int:
        return len(self.relief)

    def take(self, index: slice | NDArray[Any]) -> Faces:
        """Some of the faces, by a slice, indices or a mask along n."""
        return Faces(self.relief[index])

    @property
    def placed(self) -> Mask:
        """Which of them could be placed at all, bool [n]."""
        return np.asarray(np.isfinite(self.relief).any(axis=(1, 2)))

    @classmethod
    def of(cls, reliefs: Sequence[Relief]) -> Faces:
        """Of single reliefs, float32 [rows, columns] each."""
        return cls(np.array(reliefs, dtype=np.float32).reshape(-1, ROWS, COLUMNS))

    @classmethod
    def joined(cls, several: Sequence[Faces]) -> Faces:
        """One after the other."""
        return cls(np.concatenate([np.zeros((0, ROWS, COLUMNS), np.float32), *(faces.relief for faces in several)]))


class Matcher(ABC):
    """A recognizer that has learnt what it learns from training people."""

    @abstractmethod
    def similarity(self, probes: Faces, gallery: Faces) -> Similarities:
        """How alike each probe is to each face of the gallery.

        Returns:
            float64 [probes, gallery], any scale, the larger the more alike; NaN where either cannot be compared: a
            probe in which no face is found tells nothing, which is counted as chance.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learnt into an empty folder, without pickle."""


class Recognizer(Plugin, ABC):
    """Tells how alike two faces are."""

    @abstractmethod
    def fit(self, faces: Faces, people: NDArray[np.int64], rng: np.random.Generator) -> Matcher:
        """Learn from training people.

        Args:
            faces: of every training scan its face as it lies, and once more tilted, turned and with noise.
            people: int [n], whose face each is; at least two people.
            rng: all chance comes from it.
        """

    @abstractmethod
    def load(self, folder: Path) -> Matcher:
        """Read what `Matcher.save` wrote."""
