"""The plain paired GAN: pix2pix on sagittal slices."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.plugin import param
from refbench.types import SlicePairs


class Pix2Pix(Attacker):
    """Paired translation of released into original slices: U-Net, conditional PatchGAN, L1.

    Source: Isola et al. 2017, "Image-to-image translation with conditional adversarial networks".
    """

    needs: ClassVar[Literal["paired", "unpaired", "nothing"]] = "paired"
    gpu: ClassVar[bool] = True

    width: int = param(64, "channels of the first convolution of both networks", ge=1)
    batch: int = param(1, "slice pairs per step", ge=1)
    epochs: int = param(200, "passes over the training slices; the learning rate falls to 0 in the second half", ge=1)
    steps: int | None = param(None, "optimiser steps in place of epochs", ge=1)
    learning_rate: float = param(2e-4, "learning rate of Adam", gt=0)
    l1_weight: float = param(100.0, "weight of the L1 distance to the original", ge=0)
    adversarial_weight: float = param(1.0, "weight of the adversarial loss; 0 trains no discriminator", ge=0)
    dropout: float = param(0.5, "dropout in the U-Net's innermost decoders while training", unit="0-1", ge=0, lt=1)

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Train on pairs; takes the weights of the last step.

        Raises:
            DataError: a side of the slices is no multiple of 8 or smaller than 16 pixels.
            InvalidOutput: the training diverged.
        """
        from refbench.attackers.pix2pix_training import train_pix2pix

        return train_pix2pix(self, train, context)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read a trained generator."""
        from refbench.attackers.network_reconstructor import NetworkReconstructor

        return NetworkReconstructor.load(folder, device)
