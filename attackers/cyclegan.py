"""The founding paper's attacker: an unpaired CycleGAN on sagittal slices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from refbench.attackers.base import Needs, Reconstructor, TrainingContext
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.attackers.options import NetworkAttacker
from refbench.plugin import param
from refbench.types import SlicePairs

PAPER: Mapping[str, Any] = {
    "width": 32,
    "blocks": 9,
    "batch": 1,
    "epochs": 200,
    "steps": None,
    "learning_rate": 2e-4,
    "cycle_weight": 10.0,
    "paired_weight": 0.0,
    "pool": 50,
    "composite": False,
    "validations": 10,
    "patience": None,
}


class CycleGAN(NetworkAttacker):
    """Unpaired translation between released and original slices; with its defaults, the founding paper's training.

    Source: Abramian & Eklund 2019, "Refacing: reconstructing anonymized facial features using GANs", after Zhu et
    al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial networks".

    Presets:

    - `paper`: the paper's recipe, value by value, like the defaults. One thing differs, on purpose: of its 200 epochs
      the paper showed the one that looked best among every 20th on its TEST people; here the validation people choose
      among 10, which is as often. How a step is computed (`precision`) is no part of the recipe.
    - `fast`: the paper's networks and number of epochs in batches of 8, which fill a GPU; the learning rate grows
      with the square root of the batch (Malladi et al. 2022, "On the SDEs and scaling rules for adaptive gradient
      algorithms"). Not the paper's.
    - `small`: half the paper's width, 4 blocks and 1000 steps of 4 slices: minutes on a CPU with small slices. Not
      the paper's.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": PAPER,
        "fast": {**PAPER, "batch": 8, "learning_rate": 5.6e-4},
        "small": {**PAPER, "width": 16, "blocks": 4, "batch": 4, "steps": 1000, "learning_rate": 1e-3},
    }

    preset: Literal["paper", "fast", "small"] | None = param(
        None, "paper: as published; fast: larger batches; small: minutes on a CPU; what is given beside it wins"
    )
    width: int = param(32, "channels of the generators' first convolution; the discriminators have twice as many", ge=1)
    blocks: int = param(9, "residual blocks of a generator", ge=1)
    batch: int = param(1, "slices per step from each domain", ge=1)
    cycle_weight: float = param(10.0, "weight of each cycle's L1 loss beside the adversarial losses", ge=0)
    paired_weight: float = param(
        0.0,
        "weight of the L1 distance of both translations to the truth, which are then drawn in pairs (the paper's "
        "unpublished variant: 10); 0 never shows a slice beside its original",
        ge=0,
    )
    pool: int = param(50, "earlier fakes that each discriminator is shown from; 0 shows the newest only", ge=0)
    composite: bool = param(False, "copy every pixel outside the changed region from what was released")
    region: KnownOrEstimated = param(
        "estimated", "for composite: whether the changed region is estimated from the released images or told"
    )

    @model_validator(mode="after")
    def _region_is_of_use(self) -> Self:
        if self.region == "known" and not self.composite:
            raise ValueError("region: known is of no use without composite: true; add that, or leave region out")
        return self

    @property
    def needs(self) -> Needs:
        """Pairs for the paired variant only."""
        return "paired" if self.paired_weight else "unpaired"

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Train both directions and keep the one back to originals, as the validation people liked it best.

        Raises:
            DataError: there are no slices; a side is no multiple of 8 or smaller than 16 pixels.
            InvalidOutput: the training diverged.
        """
        from refbench.attackers.cyclegan_training import train_cyclegan

        return train_cyclegan(self, train, validation, context)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read a trained generator and, for `composite`, how the changed region is found."""
        from refbench.attackers.composite import Composite
        from refbench.attackers.network_reconstructor import NetworkReconstructor
        from refbench.attackers.networks import ResidualGenerator

        whole = NetworkReconstructor.load(folder, device, ResidualGenerator)
        return Composite.load(folder, whole) if self.composite else whole
