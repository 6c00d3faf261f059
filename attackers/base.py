"""What an attacker is: it learns from pairs, and then turns released slices back into faces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from refbench.plugin import Plugin, param
from refbench.types import Images, ReleasedSlices, SlicePairs

Needs = Literal["paired", "unpaired", "nothing"]


def closeness(pairs: SlicePairs, images: Images) -> float:
    """Minus the mean squared error of images [n, h, w] where the originals were changed; NaN where nothing was."""
    missing = (images - pairs.original)[pairs.changed]
    return -float(np.square(missing).mean()) if missing.size else float("nan")


@dataclass(frozen=True)
class TrainingContext:
    """What the harness gives a training.

    Attributes:
        seed: everything random in the training comes from it.
        folder: survives a kill of this training; checkpoints go here, and only here.
        device: `cpu` or `cuda`.
        report: call with (done, total, losses) now and then; steps are whatever the attacker counts.
        judge: how good images [n, h, w] are as reconstructions of pairs, the larger the better, NaN where undefined;
            the suite's `selection` decides what it measures. For choices on validation people.
        deterministic: the same bits every time on the same machine, whatever that costs in speed.
        choices: a folder in which what was measured about this machine is kept between trainings.
        shared: a folder that all trainings on these very pairs have in common, for what depends on nothing else.
    """

    seed: int
    folder: Path
    device: str = "cpu"
    report: Callable[[int, int, dict[str, float]], None] = lambda done, total, losses: None
    judge: Callable[[SlicePairs, Images], float] = closeness
    deterministic: bool = False
    choices: Path | None = None
    shared: Path | None = None


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

    @property
    def needs(self) -> Needs:
        """What it learns from: pairs, released and original slices that are never shown together, or nothing."""
        return "paired"

    floor: ClassVar[bool] = False
    """True: an attack-free baseline that knows nobody in particular; what others bring back is measured from there."""

    gpu: ClassVar[bool] = False
    """True: a training worth a GPU, or all cores of a machine without one; False: one core will do."""

    batch_parameter: ClassVar[str | None] = None
    """Its parameter, a whole number, that may be halved, down to 1, where a graphics card's memory is full: `fit` is
    then called again with the half. None: it cannot do with less."""

    share: float = param(
        1.0, "share of the training people that it is shown; a sweep gives a learning curve", unit="0-1", gt=0, le=1
    )

    @abstractmethod
    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Learn from `train`; choose epochs and thresholds on `validation` (other people), never on anything else."""

    @abstractmethod
    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `Reconstructor.save` wrote; reconstructs exactly as the one that was saved."""
