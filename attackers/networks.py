"""The networks of the adversarial attackers; images enter and leave as float32 [n, channels, h, w] in -1 to 1.

Normalisation is always by instance: the result for one slice must not depend on which other slices happen to share
its batch, and with batches of one the batch norm of both original papers is the same thing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, group_norm, pixel_shuffle

from refbench.errors import DataError

NORM_EPSILON = 1e-5


def to_network(images: Tensor) -> Tensor:
    """Intensities 0-1 to the range of tanh, -1 to 1."""
    return 2 * images - 1


def from_network(images: Tensor) -> Tensor:
    """Tanh's range back to intensities, clipped to 0-1."""
    return ((images + 1) / 2).clamp(0, 1)


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation with scale and shift; statistics of the image itself, at test time too.

    Groups of one channel are the same thing, and torch does them about twice as fast on a CPU, unless the memory
    layout is channels_last, where it is the other way round.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=NORM_EPSILON, affine=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor of the input's shape, [n, channels, h, w]."""
        if images.is_contiguous():
            return group_norm(images, self.num_features, self.weight, self.bias, self.eps)
        return super().forward(images)


class BlocksToPixels(nn.Conv2d):
    """The last layer of a network on blocks of 2 x 2 pixels: back to pixels of one channel; it starts at 0."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 4, 3, padding=1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, blocks: Tensor) -> Tensor:
        """Return [n, 1, 2 h, 2 w] for [n, inputs, h, w]."""
        return pixel_shuffle(super().forward(blocks), 2)


class ToOneChannel(nn.Conv2d):
    """A convolution of stride 1 to a single channel, without padding.

    On a CPU torch takes half the time for the same sums if they are called a transposed convolution with the kernel
    turned round.
    """

    def __init__(self, inputs: int, kernel: int) -> None:
        super().__init__(inputs, 1, kernel)

    def forward(self, images: Tensor) -> Tensor:
        """Return [n, 1, h - kernel + 1, w - kernel + 1]."""
        if images.device.type != "cpu":
            return super().forward(images)
        turned = self.weight.flip(2, 3).transpose(0, 1)
        images = images.contiguous(memory_format=torch.channels_last)
        return conv_transpose2d(images, turned, self.bias, padding=self.kernel_size[0] - 1)


class ReflectionPad(nn.ReflectionPad2d):
    """Padding by reflection. Torch has no deterministic gradient of it on a GPU, so it is then done in plain steps."""

    def forward(self, images: Tensor) -> Tensor:
        """Return [n, channels, h + top + bottom, w + left + right]."""
        if not torch.are_deterministic_algorithms_enabled():
            return super().forward(images)
        left, right, top, bottom = self.padding
        wide = [images[..., 1 : left + 1].flip(-1), images, images[..., -right - 1 : -1].flip(-1)]
        images = torch.cat(wide, dim=-1)
        high = [images[..., 1 : top + 1, :].flip(-2), images, images[..., -bottom - 1 : -1, :].flip(-2)]
        return torch.cat(high, dim=-2)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around an identity; nothing follows the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            InstanceNorm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            InstanceNorm(channels),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        changed: Tensor = images + self.layers(images)
        return changed


class ResidualGenerator(nn.Module):
    """CycleGAN's generator: c7s1-32, d64, d128, 9 residual blocks of 128, u64, u32, c7s1-1, tanh.

    Source: Zhu et al. 2017 (CycleGAN), appendix, at half their width, as Abramian & Eklund 2019 trained it. With 32
    channels and 9 blocks it has 24 convolutions and 2 849 537 parameters. Reflection padding in front of the 7 x 7
    convolutions, zero padding inside; transposed 3 x 3 convolutions double the size exactly. Where a stride of 2 needs
    one row and column of padding, Keras adds them at the far side and this network at the near one: each is the
    other's mirror image, in rows and columns.

    Args:
        width: channels of the first convolution.
        blocks: residual blocks.
        inputs: channels of what is translated.
    """

    def __init__(self, width: int, blocks: int, inputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ReflectionPad(3),
            nn.Conv2d(inputs, width, 7),
            InstanceNorm(width),
            nn.ReLU(inplace=True),
            *halve(width, 2 * width),
            *halve(2 * width, 4 * width),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            *double(4 * width, 2 * width),
            *double(2 * width, width),
            ReflectionPad(3),
            ToOneChannel(width, 7),
            nn.Tanh(),
        )

    @property
    def last(self) -> nn.Conv2d:
        """The convolution in front of the tanh."""
        layer = self.layers[-2]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(self, images: Tensor) -> Tensor:
        """Translate [n, inputs, h, w], h and w multiples of 4, into [n, 1, h, w]."""
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
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            InstanceNorm(2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1),
            InstanceNorm(4 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ZeroPad2d((1, 2, 1, 2)),
            nn.Conv2d(4 * width, 8 * width, 4),
            InstanceNorm(8 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ZeroPad2d((1, 2, 1, 2)),
            ToOneChannel(8 * width, 4),
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
        inputs: channels of what is translated.
    """

    def __init__(self, width: int, halvings: int, dropout: float, inputs: int = 1) -> None:
        super().__init__()
        channels = [min(width * 2**level, width * 8) for level in range(halvings)]
        self.encoders = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for level, outputs in enumerate(channels):
            outermost, innermost = level == 0, level == halvings - 1
            above = 1 if outermost else channels[level - 1]
            # A map of one or two pixels has no statistics to normalise by, so the innermost encoder has no norm.
            self.encoders.append(
                nn.Sequential(
                    nn.Identity() if outermost else nn.LeakyReLU(0.2),
                    nn.Conv2d(inputs if outermost else above, outputs, 4, stride=2, padding=1),
                    nn.Identity() if outermost or innermost else InstanceNorm(outputs),
                )
            )
            drops = dropout if level >= halvings - 3 and above == outputs else 0.0
            self.decoders.append(
                nn.Sequential(
                    nn.ReLU(),
                    nn.ConvTranspose2d(outputs if innermost else 2 * outputs, above, 4, stride=2, padding=1),
                    nn.Tanh() if outermost else InstanceNorm(above),
                    nn.Dropout(drops),
                )
            )

    @property
    def last(self) -> nn.ConvTranspose2d:
        """The convolution in front of the tanh."""
        layer = self.decoders[0].get_submodule("1")
        assert isinstance(layer, nn.ConvTranspose2d)
        return layer

    def forward(self, images: Tensor) -> Tensor:
        """Translate [n, inputs, h, w], sides multiples of 2 ** halvings, into [n, 1, h, w]."""
        skips = [images]
        for encoder in self.encoders:
            skips.append(encoder(skips[-1]))
        features = skips.pop()
        for level in range(len(self.decoders) - 1, 0, -1):
            features = torch.cat([self.decoders[level](features), skips[level]], dim=1)
        translated: Tensor = self.decoders[0](features)
        return translated


def check_sides(attacker: str, height: int, width: int) -> None:
    """Refuse whole slices that the discriminator cannot take.

    Raises:
        DataError: a side is no multiple of 8 or smaller than 16 pixels.
    """
    if height % 8 or width % 8 or min(height, width) < 16:
        raise DataError(
            f"{attacker}: slices of {height} x {width} pixels do not fit its networks; choose a slice size of at least "
            "16 pixels with both sides multiples of 8"
        )


def halvings_of(height: int, width: int, most: int = 8) -> int:
    """How often both sides of an image can be halved (pix2pix: until 1 pixel is left, at most 8 times).

    An encoder of that many layers fits the image: 8 for 256 x 256, 7 for 128 x 128, 5 for 96 x 96 (down to 3 x 3).
    """
    count = 0
    while count < most and height % 2 ** (count + 1) == 0 and width % 2 ** (count + 1) == 0:
        count += 1
    return count


def levels_of(size: tuple[int, int], most: int = 5) -> int:
    """Levels of resolution, as far as the deepest has more than one pixel, without which its norm has no meaning."""
    return min(most, max(size).bit_length() - 1)


def halve(inputs: int, outputs: int) -> list[nn.Module]:
    """CycleGAN's dk: 3 x 3 convolution of stride 2, norm, ReLU."""
    return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), InstanceNorm(outputs), nn.ReLU(inplace=True)]


def double(inputs: int, outputs: int) -> list[nn.Module]:
    """CycleGAN's uk: transposed 3 x 3 convolution of stride 2, norm, ReLU."""
    upsampling = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return [upsampling, InstanceNorm(outputs), nn.ReLU(inplace=True)]
