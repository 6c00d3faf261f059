"""The founding paper's attacker: an unpaired CycleGAN on sagittal slices."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.plugin import param
from refbench.types import SlicePairs


class CycleGAN(Attacker):
    """Unpaired translation between released and original slices; with its defaults, the founding paper's training.

    Source: Abramian & Eklund 2019, "Refacing: reconstructing anonymized facial features using GANs", after Zhu et
    al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial networks".
    """

    needs: ClassVar[Literal["paired", "unpaired", "nothing"]] = "unpaired"
    gpu: ClassVar[bool] = True

    width: int = param(32, "channels of the generators' first convolution; the discriminators have twice as many", ge=1)
    blocks: int = param(9, "residual blocks of a generator", ge=1)
    batch: int = param(1, "slices per step from each domain", ge=1)
    epochs: int = param(200, "passes over the training slices; the learning rate falls to 0 in the second half", ge=1)
    steps: int | None = param(None, "optimiser steps in place of epochs", ge=1)
    learning_rate: float = param(2e-4, "learning rate of Adam", gt=0)
    cycle_weight: float = param(10.0, "weight of each cycle's L1 loss beside the adversarial losses", ge=0)
    pool: int = param(50, "earlier fakes that each discriminator is shown from; 0 shows the newest only", ge=0)

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Train both directions and keep the one back to originals; takes the weights of the last step.

        Raises:
            DataError: a side of the slices is no multiple of 8 or smaller than 16 pixels.
            InvalidOutput: the training diverged.
        """
        from refbench.attackers.cyclegan_training import train_cyclegan

        return train_cyclegan(self, train, context)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read a trained generator."""
        from refbench.attackers.network_reconstructor import NetworkReconstructor

        return NetworkReconstructor.load(folder, device)
