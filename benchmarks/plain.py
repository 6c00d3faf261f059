"""The steps of CycleGAN and pix2pix as anybody would write them first: eager, float32, one image pass after another.

What the project's own trainings are measured against. It shares no code with them, only the recipe: the same networks,
losses, pools and optimisers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss

Step = Callable[[], dict[str, Tensor]]


def cyclegan(released: Tensor, original: Tensor, width: int, blocks: int, batch: int, rate: float = 2e-4) -> Step:
    """Return one step of the founding paper's CycleGAN on images [n, 1, h, w], -1 to 1, where these are."""
    device = released.device
    to_original, to_released = generator(width, blocks).to(device), generator(width, blocks).to(device)
    judge_original, judge_released = discriminator(2 * width).to(device), discriminator(2 * width).to(device)
    generators = adam(to_original, to_released, rate=rate)
    discriminators = adam(judge_original, judge_released, rate=rate)
    pools: tuple[list[Tensor], list[Tensor]] = ([], [])

    def step() -> dict[str, Tensor]:
        real_released, real_original = some(released, batch), some(original, batch)
        fake_original, fake_released = to_original(real_released), to_released(real_original)

        discriminators.zero_grad()
        judged = torch.zeros((), device=device)
        for judge, real, fake, pool in (
            (judge_original, real_original, fake_original, pools[0]),
            (judge_released, real_released, fake_released, pools[1]),
        ):
            of_real, of_fake = judge(real), judge(pooled(pool, fake.detach()))
            judged = judged + 0.5 * (mse_loss(of_real, torch.ones_like(of_real)) + of_fake.square().mean())
        judged.backward()  # type: ignore[no-untyped-call]
        discriminators.step()

        generators.zero_grad()
        of_original, of_released = judge_original(fake_original), judge_released(fake_released)
        adversarial = mse_loss(of_original, torch.ones_like(of_original))
        adversarial = adversarial + mse_loss(of_released, torch.ones_like(of_released))
        cycle = l1_loss(to_released(fake_original), real_released) + l1_loss(to_original(fake_released), real_original)
        (adversarial + 10 * cycle).backward()  # type: ignore[no-untyped-call]
        generators.step()
        return {"discriminator": judged, "adversarial": adversarial, "cycle": cycle}

    return step


def pix2pix(released: Tensor, original: Tensor, width: int, batch: int, rate: float = 2e-4) -> Step:
    """Return one step of pix2pix on pairs of images [n, 1, h, w], -1 to 1, where these are."""
    device, count = released.device, len(released)
    network, judge = UNet(width, halvings(released)).to(device), discriminator(width, inputs=2).to(device)
    learns, judges = adam(network, rate=rate), adam(judge, rate=rate)

    def step() -> dict[str, Tensor]:
        index = torch.randint(count, (batch,), device=device)
        given, wanted = released[index], original[index]
        fake = network(given)

        judges.zero_grad()
        of_real, of_fake = judge(torch.cat([given, wanted], 1)), judge(torch.cat([given, fake.detach()], 1))
        judged = 0.5 * (verdict(of_real, 1.0) + verdict(of_fake, 0.0))
        judged.backward()  # type: ignore[no-untyped-call]
        judges.step()

        learns.zero_grad()
        l1 = l1_loss(fake, wanted)
        (verdict(judge(torch.cat([given, fake], 1)), 1.0) + 100 * l1).backward()  # type: ignore[no-untyped-call]
        learns.step()
        return {"discriminator": judged, "l1": l1}

    return step


def generator(width: int, blocks: int) -> nn.Sequential:
    """Return CycleGAN's residual generator."""

    def halve(inputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, 2 * inputs, 3, 2, 1), norm(2 * inputs), nn.ReLU()]

    def double(inputs: int) -> list[nn.Module]:
        up = nn.ConvTranspose2d(inputs, inputs // 2, 3, 2, 1, output_padding=1)
        return [up, norm(inputs // 2), nn.ReLU()]

    first = [nn.ReflectionPad2d(3), nn.Conv2d(1, width, 7), norm(width), nn.ReLU()]
    middle = [Block(4 * width) for _ in range(blocks)]
    last = [nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Tanh()]
    return nn.Sequential(
        *first, *halve(width), *halve(2 * width), *middle, *double(4 * width), *double(2 * width), *last
    )


class Block(nn.Module):
    """Two convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first = [nn.Conv2d(channels, channels, 3, padding=1), norm(channels), nn.ReLU()]
        self.layers = nn.Sequential(*first, nn.Conv2d(channels, channels, 3, padding=1), norm(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Return the input and what the layers make of it."""
        changed: Tensor = images + self.layers(images)
        return changed


class UNet(nn.Module):
    """pix2pix' generator, without dropout."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        channels = [1, *(min(width * 2**level, 8 * width) for level in range(depth))]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level in range(depth):
            inner, outer, innermost = channels[level + 1], channels[level], level == depth - 1
            down = nn.Conv2d(outer, inner, 4, 2, 1)
            up = nn.ConvTranspose2d(inner if innermost else 2 * inner, outer, 4, 2, 1)
            bare = level == 0 or innermost
            first = nn.Identity() if level == 0 else nn.LeakyReLU(0.2)
            self.down.append(nn.Sequential(first, down, nn.Identity() if bare else norm(inner)))
            self.up.append(nn.Sequential(nn.ReLU(), up, nn.Tanh() if level == 0 else norm(outer)))

    def forward(self, images: Tensor) -> Tensor:
        """Translate [n, 1, h, w]."""
        skips = [images]
        for layers in self.down:
            skips.append(layers(skips[-1]))
        features = skips.pop()
        for level in range(len(self.up) - 1, 0, -1):
            features = torch.cat([self.up[level](features), skips[level]], 1)
        translated: Tensor = self.up[0](features)
        return translated


def discriminator(width: int, inputs: int = 1) -> nn.Sequential:
    """Return the 70 x 70 PatchGAN, padded as Keras does."""
    return nn.Sequential(
        *(nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(width, 2 * width, 4, 2, 1), norm(2 * width), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(2 * width, 4 * width, 4, 2, 1), norm(4 * width), nn.LeakyReLU(0.2)),
        *(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(4 * width, 8 * width, 4), norm(8 * width), nn.LeakyReLU(0.2)),
        *(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(8 * width, 1, 4)),
    )


def norm(channels: int) -> nn.Module:
    """Return instance normalisation with scale and shift."""
    return nn.InstanceNorm2d(channels, affine=True)


def adam(*networks: nn.Module, rate: float) -> torch.optim.Adam:
    """Return torch's Adam as it comes."""
    return torch.optim.Adam([p for network in networks for p in network.parameters()], lr=rate, betas=(0.5, 0.999))


def some(images: Tensor, batch: int) -> Tensor:
    """Draw images with replacement."""
    return images[torch.randint(len(images), (batch,), device=images.device)]


def pooled(pool: list[Tensor], fakes: Tensor, capacity: int = 50) -> Tensor:
    """Exchange fakes for earlier ones, half of the time."""
    shown = []
    for fake in fakes:
        if len(pool) < capacity:
            pool.append(fake)
        elif random.random() < 0.5:
            place = random.randrange(capacity)
            fake, pool[place] = pool[place], fake
        shown.append(fake)
    return torch.stack(shown)


def verdict(logits: Tensor, target: float) -> Tensor:
    """Return the cross entropy against real (1) or fake (0)."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def halvings(images: Tensor) -> int:
    """How often both sides can be halved, at most eight times."""
    height, width = images.shape[2:]
    return next(count for count in range(8, -1, -1) if height % 2**count == 0 and width % 2**count == 0)
