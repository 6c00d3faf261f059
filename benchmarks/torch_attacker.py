"""An attacker that does nothing but import torch, as every network must: what a job with torch costs at least."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.types import Images, ReleasedSlices, SlicePairs


class Nothing(Reconstructor):
    """Gives back what it is shown."""

    def reconstruct(self, released: ReleasedSlices) -> Images:
        """See `Reconstructor.reconstruct`."""
        return released.images

    def save(self, folder: Path) -> None:
        """There is nothing to keep."""


class ImportsTorch(Attacker):
    """Imports torch and learns nothing."""

    gpu: ClassVar[bool] = True

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """See `Attacker.fit`."""
        import torch

        torch.zeros(1)
        return Nothing()

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """See `Attacker.load`."""
        return Nothing()
