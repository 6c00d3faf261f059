"""No attack: what everybody sees who opens the released volume."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from refbench.attackers.base import Attacker, Needs, Reconstructor, TrainingContext
from refbench.types import Images, ReleasedSlices, SlicePairs


class NoAttack(Attacker):
    """The anonymized image itself; nothing is learnt."""

    floor: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        """Nothing is learnt."""
        return "nothing"

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Look at nothing."""
        return Unchanged()

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read nothing."""
        return Unchanged()


class Unchanged(Reconstructor):
    """Returns what was released."""

    def reconstruct(self, released: ReleasedSlices) -> Images:
        """A copy of the released images, bit by bit."""
        return released.images.copy()

    def save(self, folder: Path) -> None:
        """Write nothing: there is nothing to keep."""
