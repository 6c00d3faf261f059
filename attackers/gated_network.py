"""The inpainting network: gated convolutions in a U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, pixel_unshuffle

from refbench.attackers.networks import BlocksToPixels, InstanceNorm

MOST = 8
"""Channels double from level to level up to this many times the first."""


class GatedConvolution(nn.Module):
    """A 3 x 3 convolution whose outputs are opened or closed, pixel by pixel, by as many gates learnt beside it.

    Source: Yu et al. 2019, "Free-form image inpainting with gated convolution", section 3.1. The norm is ours: without
    one a network this deep stood still on removed faces. Where they have ELU, leaky ReLU takes a fraction of the time.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.gates = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = InstanceNorm(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return [n, outputs, h, w]."""
        normed: Tensor = self.norm(leaky_relu(self.features(images), 0.2) * torch.sigmoid(self.gates(images)))
        return normed


class GatedUNet(nn.Module):
    """An encoder and a decoder of two gated convolutions a level, with skips; its last layer starts at 0.

    Blocks of 2 x 2 pixels become channels: at full resolution most of the time went into gates and norms, not sums.

    Args:
        inputs: channels of what is seen.
        width: channels of the first level.
        levels: of resolution below that of the images; sides must be multiples of 2 ** levels.
    """

    def __init__(self, inputs: int, width: int, levels: int) -> None:
        super().__init__()
        channels = [width * min(2**level, MOST) for level in range(levels)]
        self.down = nn.ModuleList(_level(*pair) for pair in zip([4 * inputs, *channels], channels, strict=False))
        up = zip(reversed(channels[1:]), reversed(channels[:-1]), strict=True)
        self.up = nn.ModuleList(_level(below + beside, beside) for below, beside in up)
        self.last = BlocksToPixels(width)

    def forward(self, images: Tensor) -> Tensor:
        """Return [n, 1, h, w] for images [n, inputs, h, w]."""
        features = pixel_unshuffle(images, 2)
        skips = []
        for number, level in enumerate(self.down):
            features = level(avg_pool2d(features, 2) if number else features)
            skips.append(features)
        skips.pop()
        for level in self.up:
            features = level(torch.cat([interpolate(features, scale_factor=2.0), skips.pop()], dim=1))
        images = self.last(features)
        return images


def _level(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(GatedConvolution(inputs, outputs), GatedConvolution(outputs, outputs))
