"""The volume network: a U-Net over all slices of a release at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_unshuffle

from refbench.attackers.networks import BlocksToPixels, InstanceNorm

MOST = 8
"""Channels double from level to level up to this many times the first."""

FLAT = 1
"""Levels below the first whose halving is of rows and columns alone: slices mostly lie farther apart than pixels."""


class VolumeUNet(nn.Module):
    """An encoder and a decoder of two convolutions a level, whose skips are added; its last layer starts at 0.

    Blocks of 2 x 2 pixels become channels. The first convolution and those below the `FLAT + 1` uppermost levels reach
    to the neighbouring slices (3 x 3 x 3); the others, where the pixels are many and the neighbours' fine detail tells
    little, stay in their slice. The uppermost halvings are of rows and columns, the others of the slices, too; of an
    odd number of slices the last stands for two, so that any number will do.

    Source: Cicek et al. 2016, "3D U-Net"; Isensee et al. 2021, "nnU-Net", methods, for kernels and halvings where
    slices lie far apart.

    Args:
        inputs: channels of what is seen.
        width: channels of the first level.
        levels: of resolution below that of the pixels; rows and columns must be multiples of 2 ** levels.
    """

    def __init__(self, inputs: int, width: int, levels: int) -> None:
        super().__init__()
        channels = [width * min(2**level, MOST) for level in range(levels)]
        self.down = nn.ModuleList()
        self.rise = nn.ModuleList()
        self.up = nn.ModuleList()
        for level, outputs in enumerate(channels):
            above = channels[level - 1] if level else 4 * inputs
            deep = level > FLAT
            self.down.append(_Level(above, outputs, deep or level == 0, deep))
            if level + 1 < levels:
                self.rise.append(nn.Conv2d(channels[level + 1], outputs, 1))
                self.up.append(_Level(outputs, outputs, deep, deep))
        self.last = BlocksToPixels(width)

    def forward(self, slices: Tensor, count: int) -> Tensor:
        """Return [n * count, 1, h, w] for slices [n * count, inputs, h, w] of n volumes, one volume after the other."""
        features = pixel_unshuffle(slices, 2)
        skips, counts = [], []
        for level, layers in enumerate(self.down):
            if level:
                features = avg_pool2d(features, 2)
            if level > FLAT:
                features, count = halved(features, count), (count + 1) // 2
            features = layers(features, count)
            skips.append(features)
            counts.append(count)
        skips.pop()
        for level in reversed(range(len(self.up))):
            features = interpolate(self.rise[level](features), scale_factor=2.0)
            if level >= FLAT:
                features = doubled(features, counts[level + 1], counts[level])
            features = self.up[level](features + skips.pop(), counts[level])
        images: Tensor = self.last(features)
        return images


class SliceConvolution(nn.Module):
    """A convolution of a volume's slices, norm by instance, leaky ReLU.

    One that reaches to the neighbours is a convolution of three slices' channels: the same sums as 3 x 3 x 3. (Torch's
    own Conv3d is slower on a CPU and, in bfloat16, its gradient destroys memory: torch 2.13, 16 channels, one slice of
    112 x 80.)
    """

    def __init__(self, inputs: int, outputs: int, reaches: bool) -> None:
        super().__init__()
        self.reaches = reaches
        self.convolution = nn.Conv2d((3 if reaches else 1) * inputs, outputs, 3, padding=1)
        self.norm = InstanceNorm(outputs)
        self.activation = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, slices: Tensor, count: int) -> Tensor:
        """Return [n * count, outputs, h, w] for [n * count, inputs, h, w]."""
        seen = with_neighbours(slices, count) if self.reaches else slices
        activated: Tensor = self.activation(self.norm(self.convolution(seen)))
        return activated


class _Level(nn.Module):
    """Two convolutions."""

    def __init__(self, inputs: int, outputs: int, first_reaches: bool, second_reaches: bool) -> None:
        super().__init__()
        self.first = SliceConvolution(inputs, outputs, first_reaches)
        self.second = SliceConvolution(outputs, outputs, second_reaches)

    def forward(self, slices: Tensor, count: int) -> Tensor:
        both: Tensor = self.second(self.first(slices, count), count)
        return both


def with_neighbours(slices: Tensor, count: int) -> Tensor:
    """The channels of the slice before, of each slice itself and of the one behind; beyond the ends they are 0.

    Args:
        slices: [n * count, c, h, w], `count` to a volume.
        count: see there.

    Returns:
        [n * count, 3 * c, h, w].
    """
    volumes = slices.reshape(-1, count, *slices.shape[1:])
    nothing = torch.zeros_like(volumes[:, :1])
    before, behind = torch.cat([nothing, volumes[:, :-1]], dim=1), torch.cat([volumes[:, 1:], nothing], dim=1)
    return torch.cat([before, volumes, behind], dim=2).flatten(0, 1)


def halved(slices: Tensor, count: int) -> Tensor:
    """Means of two neighbouring slices: [n * count, c, h, w] to [n * ((count + 1) // 2), c, h, w].

    Of an odd number of slices the last one counts twice.
    """
    volumes = slices.reshape(-1, count, *slices.shape[1:])
    if count % 2:
        volumes = torch.cat([volumes, volumes[:, -1:]], dim=1)
    return (0.5 * (volumes[:, ::2] + volumes[:, 1::2])).flatten(0, 1)


def doubled(slices: Tensor, count: int, wished: int) -> Tensor:
    """Every slice twice, as far as `wished`: [n * count, c, h, w] to [n * wished, c, h, w]."""
    volumes = slices.reshape(-1, count, *slices.shape[1:])
    return volumes.repeat_interleave(2, dim=1)[:, :wished].flatten(0, 1)
