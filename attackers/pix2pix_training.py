"""Training of pix2pix."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from refbench.attackers.base import TrainingContext
from refbench.attackers.network_reconstructor import NetworkReconstructor
from refbench.attackers.networks import PatchDiscriminator, UNet, halvings_of
from refbench.attackers.pix2pix import Pix2Pix
from refbench.attackers.training import (
    Losses,
    Stateful,
    adam,
    check_pairs,
    frozen,
    linear_decay,
    on_device,
    run_steps,
    seeded,
    set_learning_rate,
    step_count,
    to_network,
    update,
)
from refbench.types import SlicePairs


def adversarial_loss(verdicts: Tensor, real: bool) -> Tensor:
    """Cross entropy of the patches' verdicts (logits) against `real` or fake, mean over patches."""
    target = torch.ones_like(verdicts) if real else torch.zeros_like(verdicts)
    return binary_cross_entropy_with_logits(verdicts, target)


def discriminator_loss(discriminator: nn.Module, released: Tensor, original: Tensor, fake: Tensor) -> Tensor:
    """Half the sum of what is lost on true and on faked pairs; one pass judges both."""
    pairs = torch.cat([torch.cat([released, original], dim=1), torch.cat([released, fake], dim=1)])
    of_real, of_fake = discriminator(pairs).chunk(2)
    return 0.5 * (adversarial_loss(of_real, True) + adversarial_loss(of_fake, False))


def initialise(network: nn.Module) -> None:
    """Weights from a Gaussian of mean 0 and standard deviation 0.02, biases 0 (Isola et al., appendix 6.2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def train_pix2pix(attacker: Pix2Pix, train: SlicePairs, context: TrainingContext) -> NetworkReconstructor:
    """Train pix2pix and return its generator.

    The discriminator learns first, then the generator. The learning rate falls to 0 over the second half, as in the
    authors' later code.

    Raises:
        DataError: the slices do not fit the networks.
        InvalidOutput: the training diverged.
    """
    check_pairs(train, size_multiple=8, smallest=16, attacker="pix2pix")
    with seeded(context) as rng:
        halvings = halvings_of(*train.original.shape[1:])
        arguments = {"width": attacker.width, "halvings": halvings, "dropout": attacker.dropout}
        generator = UNet(attacker.width, halvings, attacker.dropout)
        discriminator = PatchDiscriminator(attacker.width, inputs=2)
        for network in (generator, discriminator):
            initialise(network)
            network.to(context.device)
        generator_adam = adam(generator, learning_rate=attacker.learning_rate)
        discriminator_adam = adam(discriminator, learning_rate=attacker.learning_rate)
        released_images = on_device(train.released.images, context.device)
        original_images = on_device(train.original, context.device)
        steps = step_count(len(train), attacker.batch, attacker.epochs, attacker.steps)

        def step(done: int) -> Losses:
            for optimiser in (generator_adam, discriminator_adam):
                set_learning_rate(optimiser, attacker.learning_rate * linear_decay(done, steps))
            chosen = torch.from_numpy(rng.integers(len(train), size=attacker.batch)).to(context.device)
            released, original = to_network(released_images[chosen]), to_network(original_images[chosen])
            fake = generator(released)
            l1 = l1_loss(fake, original)
            if attacker.adversarial_weight == 0:
                update(generator_adam, attacker.l1_weight * l1)
                return {"l1": l1}

            loss_discriminator = discriminator_loss(discriminator, released, original, fake.detach())
            update(discriminator_adam, loss_discriminator)

            with frozen(discriminator):
                adversarial = adversarial_loss(discriminator(torch.cat([released, fake], dim=1)), True)
                update(generator_adam, attacker.adversarial_weight * adversarial + attacker.l1_weight * l1)
            return {"discriminator": loss_discriminator, "adversarial": adversarial, "l1": l1}

        parts: dict[str, Stateful] = {
            "generator": generator,
            "discriminator": discriminator,
            "generator_adam": generator_adam,
            "discriminator_adam": discriminator_adam,
        }
        recipe = {"attacker": "pix2pix", "images": list(train.original.shape), **attacker.model_dump()}
        run_steps(step, steps, parts, rng, context, recipe)
    return NetworkReconstructor("UNet", arguments, generator, context.device)
