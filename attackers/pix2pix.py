"""The plain paired GAN: pix2pix on sagittal slices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.options import PairedNetwork
from refbench.plugin import param
from refbench.types import SlicePairs


class Pix2Pix(PairedNetwork):
    """Paired translation of released into original slices: a generator, a conditional PatchGAN, and L1.

    By default it repaints the changed region alone, in a window around it, and starts from what was released or from
    the average face (see `refbench.attackers.windows`). Preset `paper`: the publication's whole-image translation.

    Source: Isola et al. 2017, "Image-to-image translation with conditional adversarial networks".
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "generator": "unet",
            "width": 64,
            "batch": 1,
            "epochs": 200,
            "learning_rate": 2e-4,
            "l1_weight": 100.0,
            "adversarial_weight": 1.0,
            "adversarial_loss": "vanilla",
            "dropout": 0.5,
            "composite": False,
            "context": "2d",
            "augment": False,
        }
    }

    preset: Literal["paper"] | None = param(None, "paper: as published; what is given beside it wins")
    generator: Literal["unet", "resnet"] = param("unet", "pix2pix' U-Net, or CycleGAN's residual network")
    width: int = param(64, "channels of the first convolution of both networks", ge=1)
    blocks: int = param(9, "residual blocks of a resnet", ge=1)
    l1_weight: float = param(100.0, "weight of the L1 distance to the original", ge=0)
    adversarial_weight: float = param(1.0, "weight of the adversarial loss; 0 trains no discriminator", ge=0)
    adversarial_loss: Literal["vanilla", "least_squares"] = param(
        "vanilla", "cross entropy of the patches' verdicts, or their squared distance from 1 and 0"
    )
    dropout: float = param(0.5, "dropout in the U-Net's innermost decoders while training", unit="0-1", ge=0, lt=1)
    composite: bool = param(True, "repaint the changed region alone; false redraws the whole image")

    @model_validator(mode="after")
    def _region_is_of_use(self) -> Self:
        if self.region == "known" and not self.composite:
            raise ValueError("region: known is of no use without composite: true; add that, or leave region out")
        return self

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Train on pairs and keep the generator that the validation people liked best.

        Raises:
            DataError: there are no slices; of whole images, a side is no multiple of 8 or smaller than 16 pixels.
            InvalidOutput: the training diverged.
        """
        from refbench.attackers.pix2pix_training import train_pix2pix

        return train_pix2pix(self, train, validation, context)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        from refbench.attackers.paired import PairedReconstructor
        from refbench.attackers.pix2pix_training import GENERATORS, painter

        return PairedReconstructor.load(folder, device, GENERATORS[self.generator], painter(self.composite))
