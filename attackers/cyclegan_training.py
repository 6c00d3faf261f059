"""Training of the CycleGAN. Domain A: released slices. Domain B: originals."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from refbench.attackers.base import TrainingContext
from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.network_reconstructor import NetworkReconstructor
from refbench.attackers.networks import PatchDiscriminator, ResidualGenerator
from refbench.attackers.training import (
    Losses,
    Stateful,
    adam,
    check_pairs,
    draw,
    frozen,
    linear_decay,
    on_device,
    run_steps,
    seeded,
    set_learning_rate,
    step_count,
    update,
)
from refbench.types import SlicePairs


class FakePool:
    """Earlier fakes that a discriminator is shown from, so that it does not forget them (Shrivastava et al. 2017).

    Until `capacity` fakes are in, each passes through and is kept. From then on each is, with even odds, either
    passed through and not kept, or exchanged for a random earlier one.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.fakes: list[Tensor] = []

    def exchange(self, fakes: Tensor, rng: np.random.Generator) -> Tensor:
        """Put in a batch [n, 1, h, w] and take out one of the same shape."""
        shown = []
        for fake in fakes.detach():
            if len(self.fakes) < self.capacity:
                self.fakes.append(fake.clone())
            elif self.capacity and rng.random() < 0.5:
                place = int(rng.integers(self.capacity))
                earlier, self.fakes[place] = self.fakes[place], fake.clone()
                fake = earlier.to(fake.device)  # a pool out of a checkpoint still lies in main memory
            shown.append(fake)
        return torch.stack(shown)

    def state_dict(self) -> dict[str, Any]:
        """Return the fakes."""
        return {"fakes": self.fakes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the fakes."""
        self.fakes = list(state_dict["fakes"])


def adversarial_loss(verdicts: Tensor, target: float) -> Tensor:
    """Least squares (Mao et al. 2017): mean squared distance of the patches' verdicts from 1 (real) or 0 (fake)."""
    return (verdicts - target).square().mean()


def discriminator_loss(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Half the sum of what is lost on real and on fake images; one pass judges both."""
    of_real, of_fake = discriminator(torch.cat([real, fake])).chunk(2)
    return 0.5 * (adversarial_loss(of_real, 1.0) + adversarial_loss(of_fake, 0.0))


def initialise(network: nn.Module) -> None:
    """Weights as Keras draws them by default (Glorot uniform, biases 0), as the founding paper's code relies on."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def train_cyclegan(attacker: CycleGAN, train: SlicePairs, context: TrainingContext) -> NetworkReconstructor:
    """Train a CycleGAN and return its generator from released to original slices.

    Every step draws a batch from each domain on its own, so that a slice meets its original only by chance. The
    discriminators learn first, from pooled fakes, then the generators learn from the discriminators as updated. The
    founding paper's code updates a discriminator once for the real and once for the fake image; here, as in Zhu et
    al., both gradients make one update.

    Raises:
        DataError: the slices do not fit the networks.
        InvalidOutput: the training diverged.
    """
    check_pairs(train, size_multiple=8, smallest=16, attacker="cyclegan")
    with seeded(context) as rng:
        arguments = {"width": attacker.width, "blocks": attacker.blocks}
        to_original, to_released = ResidualGenerator(**arguments), ResidualGenerator(**arguments)
        judge_original, judge_released = PatchDiscriminator(2 * attacker.width), PatchDiscriminator(2 * attacker.width)
        for network in (to_original, to_released, judge_original, judge_released):
            initialise(network)
            network.to(context.device)
        generators = adam(to_original, to_released, learning_rate=attacker.learning_rate)
        discriminators = adam(judge_original, judge_released, learning_rate=attacker.learning_rate)
        pool_original, pool_released = FakePool(attacker.pool), FakePool(attacker.pool)
        released = on_device(train.released.images, context.device)
        original = on_device(train.original, context.device)
        steps = step_count(len(train), attacker.batch, attacker.epochs, attacker.steps)

        def step(done: int) -> Losses:
            for optimiser in (generators, discriminators):
                set_learning_rate(optimiser, attacker.learning_rate * linear_decay(done, steps))
            real_released = draw(released, attacker.batch, rng)
            real_original = draw(original, attacker.batch, rng)
            fake_original, fake_released = to_original(real_released), to_released(real_original)

            loss_discriminators = discriminator_loss(
                judge_original, real_original, pool_original.exchange(fake_original, rng)
            ) + discriminator_loss(judge_released, real_released, pool_released.exchange(fake_released, rng))
            update(discriminators, loss_discriminators)

            with frozen(judge_original, judge_released):
                adversarial = adversarial_loss(judge_original(fake_original), 1.0) + adversarial_loss(
                    judge_released(fake_released), 1.0
                )
                cycle = l1_loss(to_released(fake_original), real_released) + l1_loss(
                    to_original(fake_released), real_original
                )
                update(generators, adversarial + attacker.cycle_weight * cycle)
            return {"discriminator": loss_discriminators, "adversarial": adversarial, "cycle": cycle}

        parts: dict[str, Stateful] = {
            "to_original": to_original,
            "to_released": to_released,
            "judge_original": judge_original,
            "judge_released": judge_released,
            "generators": generators,
            "discriminators": discriminators,
            "pool_original": pool_original,
            "pool_released": pool_released,
        }
        recipe = {"attacker": "cyclegan", "images": list(train.original.shape), **attacker.model_dump()}
        run_steps(step, steps, parts, rng, context, recipe)
    return NetworkReconstructor("ResidualGenerator", arguments, to_original, context.device)
