"""Training of the CycleGAN. Domain A: released slices. Domain B: originals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.composite import Composite, changed_region, pasted
from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.fake_pool import FakePool
from refbench.attackers.inpainting import Surroundings
from refbench.attackers.network_reconstructor import NetworkReconstructor
from refbench.attackers.networks import PatchDiscriminator, ResidualGenerator, check_sides, to_network
from refbench.attackers.resident import Resident
from refbench.attackers.saved_network import SavedNetwork
from refbench.attackers.training import Drawn, Losses, Trained, Training, adam, frozen, run_training, seeded, update
from refbench.errors import DataError
from refbench.types import SlicePairs


def train_cyclegan(
    attacker: CycleGAN, train: SlicePairs, validation: SlicePairs, context: TrainingContext
) -> Reconstructor:
    """Train a CycleGAN and return its generator from released to original slices.

    Raises:
        DataError: the slices do not fit the networks.
        InvalidOutput: the training diverged.
    """
    if len(train) == 0:
        raise DataError("cyclegan: there are no slices to train on; check the split")
    check_sides("cyclegan", *train.original.shape[1:])
    surroundings = None
    if attacker.composite:
        surroundings, _ = Surroundings.learn(train, validation, attacker.region, context)
    with seeded(context) as rng:
        game = CycleGame(attacker, train, context.device)
        mask = changed_region(surroundings, validation.released) if surroundings else None

        def validate() -> float:
            images = game.reconstructor().reconstruct(validation.released)
            return context.judge(validation, images if mask is None else pasted(validation.released, images, mask))

        training = game.training(validate if len(validation) else None)
        trained = run_training(training, attacker, rng, context)
    whole = game.reconstructor(trained)
    return Composite(whole, surroundings) if surroundings else whole


class CycleGame:
    """Two generators against two discriminators.

    Every step draws a batch from each domain on its own, so that a slice meets its original only by chance, unless
    the attacker has a `paired_weight`. The discriminators learn first, from pooled fakes, then the generators learn
    from the discriminators as updated. The founding paper's code updates a discriminator once for the real and once
    for the fake image; here, as in Zhu et al., both gradients make one update.
    """

    def __init__(self, attacker: CycleGAN, train: SlicePairs, device: str) -> None:
        self.attacker = attacker
        self.device = device
        self.arguments = {"width": attacker.width, "blocks": attacker.blocks}
        self.to_original, self.to_released = ResidualGenerator(**self.arguments), ResidualGenerator(**self.arguments)
        self.judge_original = PatchDiscriminator(2 * attacker.width)
        self.judge_released = PatchDiscriminator(2 * attacker.width)
        for network in (self.to_original, self.to_released, self.judge_original, self.judge_released):
            initialise(network)
            network.to(device)
        self.generators = adam(self.to_original, self.to_released, learning_rate=attacker.learning_rate)
        self.discriminators = adam(self.judge_original, self.judge_released, learning_rate=attacker.learning_rate)
        height, width = train.original.shape[1:]
        self.pool_original = FakePool(attacker.pool, attacker.batch, height, width, device)
        self.pool_released = FakePool(attacker.pool, attacker.batch, height, width, device)
        self.released = Resident(train.released.images, device)
        self.original = Resident(train.original, device)

    def training(self, validate: Callable[[], float] | None) -> Training:
        """The whole training, with what the validation people say."""
        return Training(
            draw=self.draw,
            step=self.step,
            optimisers={"generators": self.generators, "discriminators": self.discriminators},
            networks={
                "to_original": self.to_original,
                "to_released": self.to_released,
                "judge_original": self.judge_original,
                "judge_released": self.judge_released,
            },
            kept="to_original",
            validate=validate,
            images=len(self.original),
            others={"pool_original": self.pool_original, "pool_released": self.pool_released},
        )

    def reconstructor(self, trained: Trained | None = None) -> NetworkReconstructor:
        """The generator back to originals, as it is now or as its training left it."""
        return NetworkReconstructor(SavedNetwork.of(self.arguments, self.to_original, self.device, trained))

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Which slices the next step sees, and what becomes of its fakes."""
        batch, count = self.attacker.batch, len(self.released)
        released = torch.from_numpy(rng.integers(count, size=batch))
        paired = self.attacker.paired_weight > 0
        return {
            "released": released,
            "original": released if paired else torch.from_numpy(rng.integers(count, size=batch)),
            "pool_original": self.pool_original.draw(rng),
            "pool_released": self.pool_released.draw(rng),
        }

    def step(self, drawn: Drawn) -> Losses:
        """Update the discriminators, then the generators."""
        real_released = to_network(self.released.take(drawn["released"]))
        real_original = to_network(self.original.take(drawn["original"]))
        fake_original, fake_released = self.to_original(real_released).float(), self.to_released(real_original).float()

        shown_original = self.pool_original.exchange(fake_original, drawn["pool_original"])
        shown_released = self.pool_released.exchange(fake_released, drawn["pool_released"])
        discriminator = discriminator_loss(self.judge_original, real_original, shown_original) + discriminator_loss(
            self.judge_released, real_released, shown_released
        )
        update(self.discriminators, discriminator)

        with frozen(self.judge_original, self.judge_released):
            adversarial = adversarial_loss(self.judge_original(fake_original), 1.0) + adversarial_loss(
                self.judge_released(fake_released), 1.0
            )
            cycle = l1_loss(self.to_released(fake_original).float(), real_released) + l1_loss(
                self.to_original(fake_released).float(), real_original
            )
            losses = {"discriminator": discriminator, "adversarial": adversarial, "cycle": cycle}
            loss = adversarial + self.attacker.cycle_weight * cycle
            if self.attacker.paired_weight:
                losses["paired"] = l1_loss(fake_original, real_original) + l1_loss(fake_released, real_released)
                loss = loss + self.attacker.paired_weight * losses["paired"]
            update(self.generators, loss)
        return losses


def adversarial_loss(verdicts: Tensor, target: float) -> Tensor:
    """Least squares (Mao et al. 2017): mean squared distance of the patches' verdicts from 1 (real) or 0 (fake)."""
    return (verdicts.float() - target).square().mean()


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
