"""The dedicated inpainting attacker that the founding paper asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.options import PairedNetwork
from refbench.plugin import param
from refbench.types import SlicePairs


class Inpaint(PairedNetwork):
    """Gated convolutions repaint the changed region, told or estimated, and nothing else.

    It sees a window around the region, how likely each pixel was changed, and the aligned average face where that
    knows more than the release. Its loss is the squared distance in the region, whose minimum is the mean of all faces
    that may have been there, and by choice the verdict of a discriminator of patches. No network trained on other
    images has a part in it.

    Source: the future work of Abramian & Eklund 2019; Yu et al. 2019, "Free-form image inpainting with gated
    convolution".
    """

    width: int = param(
        32, "channels of the network's first level; they double from level to level, up to eight times as many", ge=1
    )
    context: Literal["2d", "2.5d"] = param("2.5d", "2.5d: the slices on either side are shown, too")
    batch: int = param(16, "slices per step", ge=1)
    epochs: int = param(50, "passes over the training slices", ge=1)
    learning_rate: float = param(
        2e-3, "highest learning rate of Adam; it rises at first and falls along a cosine", gt=0
    )
    adversarial_weight: float = param(
        0.0,
        "weight of the discriminator's verdict beside the squared distance; 0 trains none. It adds texture, not truth",
        ge=0,
    )

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Train on pairs and keep the network that the validation people liked best.

        Raises:
            DataError: there are no slices to train on.
            InvalidOutput: the training diverged.
        """
        from refbench.attackers.inpaint_training import train_inpaint

        return train_inpaint(self, train, validation, context)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        from refbench.attackers.gated_network import GatedUNet
        from refbench.attackers.paired import PairedReconstructor, add_change

        return PairedReconstructor.load(folder, device, GatedUNet, add_change)
