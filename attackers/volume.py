"""The attacker that looks at volumes: the 3-D case that the founding paper could not afford."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.options import PairedNetwork
from refbench.plugin import param
from refbench.types import SlicePairs


class Volume(PairedNetwork):
    """A 3-D U-Net repaints the changed region, told or estimated, in all slices of a release at once.

    The slices of a release are its volume; a suite that cuts slices 2 mm apart hands it the whole head. It sees what
    the attacker `inpaint` sees of every slice, in patches of neighbouring slices, and learns from the L1 distance in
    the region. Longer stacks are repainted in patches that overlap by half and are blended there.

    Source: the future work of Abramian & Eklund 2019 (there a 3-D GAN); Cicek et al. 2016, "3D U-Net".
    """

    context: Literal["2d"] = param(
        "2d", "nothing but the slice itself in its channels: the network is three-dimensional"
    )
    depth: int = param(7, "neighbouring slices in a patch; the whole stack where it is no longer", unit="slices", ge=1)
    width: int = param(32, "channels of the network's first level; they double three times", ge=1)
    batch: int = param(4, "patches per step", ge=1)
    epochs: int = param(15, "passes over the training slices", ge=1)
    learning_rate: float = param(
        1e-3, "highest learning rate of Adam; it rises at first and falls along a cosine", gt=0
    )

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Train on pairs and keep the network that the validation people liked best.

        Raises:
            DataError: there are no slices to train on.
            InvalidOutput: the training diverged.
        """
        from refbench.attackers.volume_training import train_volume

        return train_volume(self, train, validation, context)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        from refbench.attackers.paired import PairedReconstructor
        from refbench.attackers.volume_network import VolumeUNet
        from refbench.attackers.volume_training import painter

        return PairedReconstructor.load(folder, device, VolumeUNet, painter(self.depth))
