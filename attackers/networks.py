"""The networks of the adversarial attackers; images enter and leave as float32 [n, channels, h, w] in -1 to 1.

Normalisation is always by instance: the result for one slice must not depend on which other slices happen to share
its batch, and with batches of one the batch norm of both original papers is the same thing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NORM_EPSILON = 1e-5


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around an identity; nothing follows the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            normalisation(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            normalisation(channels),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        changed: Tensor = images + self.layers(images)
        return changed


class ResidualGenerator(nn.Module):
    """CycleGAN's generator: c7s1-32, d64, d128, 9 residual blocks of 128, u64, u32, c7s1-1, tanh.

    Source: Zhu et al. 2017 (CycleGAN), appendix, at half their width, as Abramian & Eklund 2019 trained it. With 32
    channels and 9 blocks it has 24 convolutions and 2 849 537 parameters. Reflection padding in front of the 7 x 7
    convolutions, zero padding inside; transposed 3 x 3 convolutions double the size exactly.

    Args:
        width: channels of the first convolution.
        blocks: residual blocks.
    """

    size_multiple = 4

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(1, width, 7),
            normalisation(width),
            nn.ReLU(),
            *halve(width, 2 * width),
            *halve(2 * width, 4 * width),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            *double(4 * width, 2 * width),
            *double(2 * width, width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 1, 7),
            nn.Tanh(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Translate [n, 1, h, w], h and w multiples of 4, into [n, 1, h, w]."""
        translated: Tensor = self.layers(images)
        return translated


class PatchDiscriminator(nn.Module):
    """Judges every 70 x 70 patch: 4 x 4 convolutions to 64, 128, 256, 512 and 1 channels, strides 2, 2, 2, 1, 1.

    Source: Isola et al. 2017 (pix2pix), appendix 6.1.2. Padding is that of Keras' `same`, as Abramian & Eklund's code
    has it: the stride-1 layers get one row and column more at the far side, so 256 x 256 gives a map of 32 x 32.
    No normalisation in the first layer, no sigmoid. With 64 channels and one input: 2 764 481 parameters.

    Args:
        width: channels of the first convolution.
        inputs: channels of what is judged (2 where the anonymized image is shown beside).
    """

    def __init__(self, width: int, inputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            normalisation(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1),
            normalisation(4 * width),
            nn.LeakyReLU(0.2),
            nn.ZeroPad2d((1, 2, 1, 2)),
            nn.Conv2d(4 * width, 8 * width, 4),
            normalisation(8 * width),
            nn.LeakyReLU(0.2),
            nn.ZeroPad2d((1, 2, 1, 2)),
            nn.Conv2d(8 * width, 1, 4),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Judge [n, inputs, h, w], sides multiples of 8 and at least 16: one value per patch, [n, 1, h/8, w/8]."""
        verdicts: Tensor = self.layers(images)
        return verdicts


class UNet(nn.Module):
    """pix2pix' generator: an encoder that halves, a decoder that doubles, and skips between equals.

    Source: Isola et al. 2017, appendix 6.1.1: 4 x 4 convolutions of stride 2, leaky ReLU 0.2 on the way down, ReLU on
    the way up, `width` channels doubling up to 8 x `width`, dropout in the three innermost decoders, as far as they
    keep their channels. Unlike theirs, dropout is off at test time, so that a reconstruction is the same every time.

    Args:
        width: channels of the first convolution.
        halvings: encoder layers; sides must be multiples of 2 ** halvings.
        dropout: probability in training, 0-1.
    """

    def __init__(self, width: int, halvings: int, dropout: float) -> None:
        super().__init__()
        channels = [min(width * 2**level, width * 8) for level in range(halvings)]
        self.encoders = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for level, outputs in enumerate(channels):
            outermost, innermost = level == 0, level == halvings - 1
            inputs = 1 if outermost else channels[level - 1]
            # A map of one or two pixels has no statistics to normalise by, so the innermost encoder has no norm.
            self.encoders.append(
                nn.Sequential(
                    nn.Identity() if outermost else nn.LeakyReLU(0.2),
                    nn.Conv2d(inputs, outputs, 4, stride=2, padding=1),
                    nn.Identity() if outermost or innermost else normalisation(outputs),
                )
            )
            drops = dropout if level >= halvings - 3 and inputs == outputs else 0.0
            self.decoders.append(
                nn.Sequential(
                    nn.ReLU(),
                    nn.ConvTranspose2d(outputs if innermost else 2 * outputs, inputs, 4, stride=2, padding=1),
                    nn.Tanh() if outermost else normalisation(inputs),
                    nn.Dropout(drops),
                )
            )

    def forward(self, images: Tensor) -> Tensor:
        """Translate [n, 1, h, w], sides multiples of 2 ** halvings, into [n, 1, h, w]."""
        skips = [images]
        for encoder in self.encoders:
            skips.append(encoder(skips[-1]))
        features = skips.pop()
        for level in range(len(self.decoders) - 1, 0, -1):
            features = torch.cat([self.decoders[level](features), skips[level]], dim=1)
        translated: Tensor = self.decoders[0](features)
        return translated


def halvings_of(height: int, width: int, most: int = 8) -> int:
    """How often both sides of an image can be halved (pix2pix: until 1 pixel is left, at most 8 times).

    An encoder of that many layers fits the image: 8 for 256 x 256, 7 for 128 x 128, 5 for 96 x 96 (down to 3 x 3).
    """
    count = 0
    while count < most and height % 2 ** (count + 1) == 0 and width % 2 ** (count + 1) == 0:
        count += 1
    return count


def normalisation(channels: int) -> nn.Module:
    """Instance normalisation with scale and shift; statistics of the image itself, at test time too."""
    return nn.InstanceNorm2d(channels, eps=NORM_EPSILON, affine=True)


def halve(inputs: int, outputs: int) -> list[nn.Module]:
    """CycleGAN's dk: 3 x 3 convolution of stride 2, norm, ReLU."""
    return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), normalisation(outputs), nn.ReLU()]


def double(inputs: int, outputs: int) -> list[nn.Module]:
    """CycleGAN's uk: transposed 3 x 3 convolution of stride 2, norm, ReLU."""
    upsampling = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return [upsampling, normalisation(outputs), nn.ReLU()]
