"""The volume network: a U-Net over all slices of a release at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from refbench.attackers.networks import NORM_EPSILON

MOST = 8
"""Channels double from level to level up to this many times the first."""

FLAT = 2
"""Halvings of rows and columns alone, which come first: slices mostly lie farther apart than their pixels."""


class VolumeUNet(nn.Module):
    """An encoder and a decoder of two convolutions a level, whose skips are added; its last layer starts at 0.

    The first convolution and those below the `FLAT` uppermost levels reach to the neighbouring slices (3 x 3 x 3); the
    others, where the pixels are many and the neighbours' fine detail tells little, stay in their slice (1 x 3 x 3).
    The first `FLAT` halvings are of rows and columns, the others of the slices, too; of an odd number of slices the
    last stands for two, so that any number will do.

    Source: Cicek et al. 2016, "3D U-Net"; Isensee et al. 2021, "nnU-Net", methods, for kernels and halvings where
    slices lie far apart.

    Args:
        inputs: channels of what is seen.
        width: channels of the first level.
        levels: of resolution; rows and columns must be multiples of 2 ** (levels - 1).
    """

    def __init__(self, inputs: int, width: int, levels: int) -> None:
        super().__init__()
        channels = [width * min(2**level, MOST) for level in range(levels)]
        self.down = nn.ModuleList()
        self.rise = nn.ModuleList()
        self.up = nn.ModuleList()
        for level, outputs in enumerate(channels):
            above = channels[level - 1] if level else inputs
            reach = 3 if level >= FLAT else 1
            self.down.append(
                nn.Sequential(_layer(above, outputs, reach if level else 3), _layer(outputs, outputs, reach))
            )
            if level + 1 < levels:
                self.rise.append(nn.Conv3d(channels[level + 1], outputs, 1))
                self.up.append(nn.Sequential(_layer(outputs, outputs, reach), _layer(outputs, outputs, reach)))
        self.last = nn.Conv3d(width, 1, (1, 3, 3), padding=(0, 1, 1))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, volumes: Tensor) -> Tensor:
        """Return [n, 1, k, h, w] for volumes [n, inputs, k, h, w] of any number k of slices."""
        features = volumes
        skips = []
        for level, layers in enumerate(self.down):
            features = layers(halved(features, level > FLAT) if level else features)
            skips.append(features)
        skips.pop()
        for level in reversed(range(len(self.up))):
            skip = skips.pop()
            risen = doubled(self.rise[level](features), skip.shape[2] if level >= FLAT else None)
            features = self.up[level](risen + skip)
        change: Tensor = self.last(features)
        return change


def halved(features: Tensor, slices_too: bool) -> Tensor:
    """Means of 2 x 2 pixels and, of `slices_too`, of two slices: [n, c, k, h, w] to [n, c, (k + 1) // 2, h / 2, w / 2].

    Of an odd number of slices the last one counts twice. Torch has no deterministic gradient of its own `avg_pool3d` on
    a GPU.
    """
    if slices_too:
        if features.shape[2] % 2:
            features = torch.cat([features, features[:, :, -1:]], dim=2)
        features = 0.5 * (features[:, :, ::2] + features[:, :, 1::2])
    flat = avg_pool2d(features.flatten(1, 2), 2)
    return flat.reshape(*features.shape[:3], *flat.shape[2:])


def doubled(features: Tensor, slices: int | None) -> Tensor:
    """Every pixel four times and, where a number of `slices` is wished, every slice twice, as far as that."""
    flat = interpolate(features.flatten(1, 2), scale_factor=2.0)
    risen = flat.reshape(*features.shape[:3], *flat.shape[2:])
    return risen if slices is None else risen.repeat_interleave(2, dim=2)[:, :, :slices]


def _layer(inputs: int, outputs: int, reach: int) -> nn.Sequential:
    """A convolution over `reach` slices, norm by instance (a group per channel is just that), leaky ReLU."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, (reach, 3, 3), padding=(reach // 2, 1, 1)),
        nn.GroupNorm(outputs, outputs, NORM_EPSILON),
        nn.LeakyReLU(0.2, inplace=True),
    )
