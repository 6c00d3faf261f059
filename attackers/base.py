"""What an attacker is: it learns from pairs, and then turns released slices back into faces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from refbench.plugin import Plugin
from refbench.types import Images, ReleasedSlices, SlicePairs


@dataclass(frozen=True)
class TrainingContext:
    """What the harness gives a training.

    Attributes:
        seed: everything random in the training comes from it.
        folder: survives a kill of this training; checkpoints go here, and only here.
        device: `cpu` or `cuda`.
        report: call with (done, total, losses) now and then; steps are whatever the attacker counts.
    """

    seed: int
    folder: Path
    device: str = "cpu"
    report: Callable[[int, int, dict[str, float]], None] = lambda done, total, losses: None


class Reconstructor(ABC):
    """A trained attacker."""

    @abstractmethod
    def reconstruct(self, released: ReleasedSlices) -> Images:
        """Return the originals as the attacker believes them to be: float32 [n, h, w], 0-1, finite."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `Attacker.load` needs into an existing empty folder. No pickle: npz, safetensors, JSON."""


class Attacker(Plugin, ABC):
    """Learns from training subjects to turn released slices back into originals.

    An attacker that can make use of the true changed region at test time declares a field
    `region: Literal["estimated", "known"]`; only with `known` does `ReleasedSlices.changed` reach its reconstructor.
    """

    needs: ClassVar[Literal["paired", "unpaired", "nothing"]] = "paired"

    gpu: ClassVar[bool] = False
    """True: a training worth a GPU, or all cores of a machine without one; False: one core will do."""

    @abstractmethod
    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Learn from `train`; choose epochs and thresholds on `validation` (other people), never on anything else."""

    @abstractmethod
    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `Reconstructor.save` wrote; reconstructs exactly as the one that was saved."""
