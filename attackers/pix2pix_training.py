"""Training of pix2pix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from refbench.attackers.base import TrainingContext
from refbench.attackers.networks import (
    PatchDiscriminator,
    ResidualGenerator,
    UNet,
    check_sides,
    halvings_of,
    to_network,
)
from refbench.attackers.paired import Paint, PairedReconstructor, l1_inside, prepare, validator
from refbench.attackers.pix2pix import Pix2Pix
from refbench.attackers.saved_network import SavedNetwork
from refbench.attackers.training import Drawn, Losses, Training, adam, frozen, run_training, seeded, update
from refbench.types import SlicePairs

GENERATORS: dict[str, type[UNet] | type[ResidualGenerator]] = {"unet": UNet, "resnet": ResidualGenerator}


def adversarial_loss(verdicts: Tensor, real: bool, least_squares: bool = False) -> Tensor:
    """How far the patches' verdicts are from `real` or fake: cross entropy (logits) or mean squared distance."""
    target = torch.full_like(verdicts, float(real))
    return (verdicts - target).square().mean() if least_squares else binary_cross_entropy_with_logits(verdicts, target)


def discriminator_loss(
    discriminator: nn.Module, seen: Tensor, original: Tensor, fake: Tensor, least_squares: bool = False
) -> Tensor:
    """Half the sum of what is lost on true and on faked pairs; one pass judges both."""
    pairs = torch.cat([torch.cat([seen, original], dim=1), torch.cat([seen, fake], dim=1)])
    of_real, of_fake = discriminator(pairs).float().chunk(2)
    return 0.5 * (adversarial_loss(of_real, True, least_squares) + adversarial_loss(of_fake, False, least_squares))


def initialise(network: nn.Module) -> None:
    """Weights from a Gaussian of mean 0 and standard deviation 0.02, biases 0 (Isola et al., appendix 6.2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def painter(composite: bool) -> Paint:
    """How a generator answers: its tanh is a change of the start or, of whole images, the image itself."""
    reach = 1.0 if composite else 0.5

    def paint(generator: nn.Module, seen: Tensor, start: Tensor) -> Tensor:
        change: Tensor = generator(to_network(seen)).float()[:, 0]
        return start + reach * change

    return paint


def train_pix2pix(
    attacker: Pix2Pix, train: SlicePairs, validation: SlicePairs, context: TrainingContext
) -> PairedReconstructor:
    """Train pix2pix; in every step the discriminator learns first, then the generator.

    The learning rate falls to 0 over the second half, as in the authors' later code.

    Raises:
        DataError: the slices do not fit the networks.
        InvalidOutput: the training diverged.
    """
    frame, people = prepare(attacker, train, validation, context, composite=attacker.composite)
    height, width = people.original.size
    if not attacker.composite:
        check_sides("pix2pix", height, width)
    paint = painter(attacker.composite)
    least_squares = attacker.adversarial_loss == "least_squares"
    with seeded(context) as rng:
        arguments: dict[str, Any] = {"width": attacker.width, "inputs": frame.channels}
        if attacker.generator == "unet":
            arguments |= {"halvings": halvings_of(height, width), "dropout": attacker.dropout}
        else:
            arguments |= {"blocks": attacker.blocks}
        generator = GENERATORS[attacker.generator](**arguments)
        discriminator = PatchDiscriminator(attacker.width, inputs=frame.channels + 1)
        for network in (generator, discriminator):
            initialise(network)
            network.to(context.device)
        if attacker.composite:
            nn.init.zeros_(generator.last.weight)  # the first answer is the start
        generator_adam = adam(generator, learning_rate=attacker.learning_rate)
        discriminator_adam = adam(discriminator, learning_rate=attacker.learning_rate)

        def draw(rng: np.random.Generator) -> Drawn:
            return people.draw(rng, attacker.batch)

        def step(drawn: Drawn) -> Losses:
            seen, start, mask, original = people.take(drawn)
            answer = paint(generator, seen, start[:, 0])[:, None]
            l1 = 2 * l1_inside(answer, original, mask)  # on the scale of tanh, which l1_weight is meant for
            if attacker.adversarial_weight == 0:
                update(generator_adam, attacker.l1_weight * l1)
                return {"l1": l1}
            shown, real = to_network(seen), to_network(original)
            fake = torch.where(mask > 0, to_network(answer), real)
            loss_discriminator = discriminator_loss(discriminator, shown, real, fake.detach(), least_squares)
            update(discriminator_adam, loss_discriminator)
            with frozen(discriminator):
                verdicts = discriminator(torch.cat([shown, fake], dim=1)).float()
                adversarial = adversarial_loss(verdicts, True, least_squares)
                update(generator_adam, attacker.adversarial_weight * adversarial + attacker.l1_weight * l1)
            return {"discriminator": loss_discriminator, "adversarial": adversarial, "l1": l1}

        networks: dict[str, nn.Module] = {"generator": generator}
        optimisers: dict[str, torch.optim.Optimizer] = {"generator_adam": generator_adam}
        if attacker.adversarial_weight:
            networks["discriminator"], optimisers["discriminator_adam"] = discriminator, discriminator_adam
        training = Training(
            draw=draw,
            step=step,
            optimisers=optimisers,
            networks=networks,
            kept="generator",
            validate=validator(frame, generator, paint, validation, context),
            images=len(people),
        )
        trained = run_training(training, attacker, rng, context) if len(people) else None
    return PairedReconstructor(frame, SavedNetwork.of(arguments, generator, context.device, trained), paint)
