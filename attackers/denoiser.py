"""The networks of the diffusion attacker: one guesses the face at once, one takes noise away from what it missed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_unshuffle, silu

from refbench.attackers.networks import BlocksToPixels, to_network

LEVELS = 4
MOST = 4
"""Channels double from level to level up to this many times the first."""

GROUPS = 8
"""Channels are normalised in as many groups: one by one, each would lose its mean, which tells how bright a face is."""

OCTAVES = 6
"""Frequencies, each twice the one before, by which an angle is shown."""

LEAST_CHANCE = 0.05
"""Of a change. What is less likely changed is no part of the diffusion; no estimated region reaches there."""


class Denoiser(nn.Module):
    """A guess of what is to be added to the start, and the velocity of noisy errors of it (see `noise_schedule`).

    Source: Whang et al. 2022, "Deblurring via stochastic refinement", section 3: a diffusion that has to find the whole
    face learns it slowly, one that refines a guess does not.

    Args:
        inputs: channels of `View.seen`; the last but one is how likely each pixel was changed.
        width: channels of the first level of both.
        size: (h, w) of the images, multiples of 16.
        samples: how many noises it keeps to start from.

    Attributes:
        scale: [], standard deviation of what is to be added to the start; it is 1 for the networks.
        noise: [samples, 1, h, w], what samples begin with, the same for every slice.
    """

    scale: Tensor
    noise: Tensor

    def __init__(self, inputs: int, width: int, size: Sequence[int], samples: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("noise", torch.zeros(samples, 1, *size))
        self.guessing = UNet(inputs, width)
        self.denoising = UNet(inputs + 2, width)

    def guess(self, seen: Tensor) -> Tensor:
        """What is to be added to the start, in units of `scale`: [n, 1, h, w], 0 outside the `support`."""
        at_once = torch.zeros(len(seen), device=seen.device)
        guessed: Tensor = self.guessing(to_network(seen), at_once).float() * support(seen)
        return guessed

    def forward(self, noisy: Tensor, angle: Tensor, seen: Tensor, guess: Tensor) -> Tensor:
        """Predict the velocity of noisy errors of the guess, [n, 1, h, w], 0 outside the `support`.

        Args:
            noisy: [n, 1, h, w], 0 outside the `support`.
            angle: [n], 0 (clean) to pi / 2 (noise alone).
            seen: [n, inputs, h, w], 0-1.
            guess: [n, 1, h, w], of `guess`.
        """
        velocity: Tensor = self.denoising(torch.cat([noisy, guess, to_network(seen)], dim=1), angle)
        return velocity.float() * support(seen)


def support(seen: Tensor) -> Tensor:
    """Where the diffusion takes place: [n, 1, h, w], 1 where `seen` says that a change is at all likely, else 0."""
    return (seen[:, -2:-1] > LEAST_CHANCE).float()


class UNet(nn.Module):
    """An encoder and a decoder with skips, which is told how noisy its images are; its last layer starts at 0.

    Blocks of 2 x 2 pixels become channels, which costs a quarter of the time (Hoogeboom et al. 2023, "Simple
    diffusion", section 3.2); residual blocks and their conditioning are those of Dhariwal & Nichol 2021, without
    attention.

    Args:
        inputs: channels of what is seen.
        width: channels of the first level.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        channels = [width * min(2**level, MOST) for level in range(LEVELS)]
        told = 4 * width
        self.tell = nn.Sequential(nn.Linear(2 * OCTAVES, told), nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        self.first = nn.Conv2d(4 * inputs, width, 3, padding=1)
        self.down = nn.ModuleList(_Block(*pair, told) for pair in zip([width, *channels], channels, strict=False))
        up = zip(reversed(channels[1:]), reversed(channels[:-1]), strict=True)
        self.up = nn.ModuleList(_Block(below + beside, beside, told) for below, beside in up)
        self.norm = _norm(width)
        self.last = BlocksToPixels(width)

    def forward(self, images: Tensor, angle: Tensor) -> Tensor:
        """Return [n, 1, h, w] for images [n, inputs, h, w], sides multiples of 16, and angles [n]."""
        told = self.tell(_waves(angle))
        features = self.first(pixel_unshuffle(images, 2))
        skips = []
        for number, block in enumerate(self.down):
            features = block(avg_pool2d(features, 2) if number else features, told)
            skips.append(features)
        skips.pop()
        for block in self.up:
            features = block(torch.cat([interpolate(features, scale_factor=2.0), skips.pop()], dim=1), told)
        velocity: Tensor = self.last(silu(self.norm(features)))
        return velocity


class _Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; the second one's input is scaled and shifted by what is told."""

    def __init__(self, inputs: int, outputs: int, told: int) -> None:
        super().__init__()
        self.before = _norm(inputs)
        self.one = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.between = _norm(outputs)
        self.tell = nn.Linear(told, 2 * outputs)
        self.other = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, images: Tensor, told: Tensor) -> Tensor:
        """Return [n, outputs, h, w] for [n, inputs, h, w] and [n, told]."""
        scale, shift = self.tell(told)[:, :, None, None].chunk(2, dim=1)
        features = self.one(silu(self.before(images)))
        features = self.other(silu(self.between(features) * (1 + scale) + shift))
        summed: Tensor = self.shortcut(images) + features
        return summed


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def _waves(angle: Tensor) -> Tensor:
    """Angles [n] as sines and cosines of their multiples, [n, 2 * OCTAVES] (Vaswani et al. 2017, section 3.5)."""
    multiples = angle[:, None] * 2.0 ** torch.arange(OCTAVES, device=angle.device)
    return torch.cat([multiples.sin(), multiples.cos()], dim=1)
