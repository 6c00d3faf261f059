"""Training of the inpainting attacker."""

from __future__ import annotations

import numpy as np
import torch

from refbench.attackers.base import TrainingContext
from refbench.attackers.cyclegan_training import adversarial_loss, discriminator_loss
from refbench.attackers.gated_network import GatedUNet
from refbench.attackers.inpaint import Inpaint
from refbench.attackers.networks import PatchDiscriminator, levels_of, to_network
from refbench.attackers.paired import PairedReconstructor, add_change, prepare, squared_inside, validator
from refbench.attackers.saved_network import SavedNetwork
from refbench.attackers.training import (
    ADAM_BETAS,
    CALM_BETAS,
    Drawn,
    Losses,
    Training,
    adam,
    frozen,
    run_training,
    seeded,
    update,
    warm_cosine,
)
from refbench.types import SlicePairs


def train_inpaint(
    attacker: Inpaint, train: SlicePairs, validation: SlicePairs, context: TrainingContext
) -> PairedReconstructor:
    """Train the inpainting network; where a discriminator is wanted, it learns first in every step.

    Raises:
        DataError: there are no slices to train on.
        InvalidOutput: the training diverged.
    """
    frame, people = prepare(attacker, train, validation, context, composite=True)
    with seeded(context) as rng:
        arguments = {"inputs": frame.channels, "width": attacker.width, "levels": levels_of(people.original.size) - 1}
        network = GatedUNet(**arguments).to(context.device)
        judge = PatchDiscriminator(2 * attacker.width, inputs=2).to(context.device)
        adversarial = attacker.adversarial_weight > 0
        betas = ADAM_BETAS if adversarial else CALM_BETAS
        painter = adam(network, learning_rate=attacker.learning_rate, betas=betas)
        discriminator = adam(judge, learning_rate=attacker.learning_rate)

        def draw(rng: np.random.Generator) -> Drawn:
            return people.draw(rng, attacker.batch)

        def step(drawn: Drawn) -> Losses:
            seen, start, mask, original = people.take(drawn)
            answer = start + network(seen).float()
            squared = squared_inside(answer, original, mask)
            if not adversarial:
                update(painter, squared)
                return {"squared": squared}
            pasted = to_network(torch.where(mask > 0, answer, original))
            real, fake = torch.cat([to_network(original), mask], dim=1), torch.cat([pasted, mask], dim=1)
            loss_judge = discriminator_loss(judge, real, fake.detach())
            update(discriminator, loss_judge)
            with frozen(judge):
                convincing = adversarial_loss(judge(fake), 1.0)
                update(painter, squared + attacker.adversarial_weight * convincing)
            return {"squared": squared, "adversarial": convincing, "discriminator": loss_judge}

        training = Training(
            draw,
            step,
            optimisers={"painter": painter, **({"discriminator_adam": discriminator} if adversarial else {})},
            networks={"network": network, **({"judge": judge} if adversarial else {})},
            kept="network",
            validate=validator(frame, network, add_change, validation, context),
            images=len(people),
            decay=warm_cosine,
        )
        trained = run_training(training, attacker, rng, context) if len(people) else None
    return PairedReconstructor(frame, SavedNetwork.of(arguments, network, context.device, trained), add_change)
