"""Training of the volume attacker, and how it repaints stacks of any length."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from refbench.attackers.augmentation import draw_variants
from refbench.attackers.base import TrainingContext
from refbench.attackers.networks import levels_of
from refbench.attackers.paired import Paint, PairedReconstructor, TrainingWindows, l1_inside, prepare, validator
from refbench.attackers.saved_network import SavedNetwork
from refbench.attackers.training import (
    Drawn,
    Losses,
    Training,
    adam,
    run_training,
    seeded,
    update,
    warm_cosine,
)
from refbench.attackers.volume import Volume
from refbench.attackers.volume_network import VolumeUNet
from refbench.types import SlicePairs


def train_volume(
    attacker: Volume, train: SlicePairs, validation: SlicePairs, context: TrainingContext
) -> PairedReconstructor:
    """Train the volume network.

    Raises:
        DataError: there are no slices to train on.
        InvalidOutput: the training diverged.
    """
    frame, people = prepare(attacker, train, validation, context, composite=True)
    paint = painter(attacker.depth)
    with seeded(context) as rng:
        arguments = {"inputs": frame.channels, "width": attacker.width, "levels": levels_of(people.original.size) - 1}
        network = VolumeUNet(**arguments).to(context.device)
        optimiser = adam(network, learning_rate=attacker.learning_rate)
        depth = min([attacker.depth, *people.lengths])

        def draw(rng: np.random.Generator) -> Drawn:
            return draw_patches(people, rng, attacker.batch, depth)

        def step(drawn: Drawn) -> Losses:
            seen, start, mask, original = people.take(drawn)
            loss = l1_inside(start + network(seen, depth).float(), original, mask)
            update(optimiser, loss)
            return {"l1": loss}

        training = Training(
            draw,
            step,
            optimisers={"adam": optimiser},
            networks={"network": network},
            kept="network",
            validate=validator(frame, network, paint, validation, context),
            images=-(-len(people) // depth),  # an epoch is counted in patches, as a batch is
            decay=warm_cosine,
        )
        trained = run_training(training, attacker, rng, context) if len(people) else None
    return PairedReconstructor(frame, SavedNetwork.of(arguments, network, context.device, trained), paint)


def draw_patches(people: TrainingWindows, rng: np.random.Generator, count: int, depth: int) -> Drawn:
    """On the host: the slices of `count` patches, with replacement, for `people.take`.

    Every release is as likely as every other, whatever its length. All slices of a patch are varied alike and, where
    they are varied at all, half of the patches run from right to left: faces are nearly symmetric.
    """
    lengths = np.array(people.lengths)
    firsts = np.cumsum(lengths) - lengths
    release = rng.integers(len(lengths), size=count)
    start = firsts[release] + rng.integers(lengths[release] - depth + 1)
    chosen = start[:, None] + np.arange(depth)
    if not people.augment:
        return {"chosen": torch.from_numpy(chosen.ravel())}
    mirrored = rng.random(count) < 0.5
    chosen[mirrored] = chosen[mirrored, ::-1]
    variants = draw_variants(rng, count, people.original.size).repeat_interleave(depth, dim=0)
    return {"chosen": torch.from_numpy(chosen.ravel()), "variants": variants}


def painter(depth: int) -> Paint:
    """How the network answers for a whole release: in patches of `depth` slices that overlap by half.

    Patches are of the length that was trained on. Where two overlap, each counts the more the further the slice is
    from its ends.
    """

    def paint(network: nn.Module, seen: Tensor, start: Tensor) -> Tensor:
        count = len(seen)
        length = min(depth, count)
        weight = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).to(seen.device)[:, None, None]
        change, weights = torch.zeros_like(start), torch.zeros_like(start)
        for first in patch_starts(count, depth):
            patch = slice(first, first + length)
            change[patch] += weight * network(seen[patch], length).float()[:, 0]
            weights[patch] += weight
        return start + change / weights

    return paint


def patch_starts(count: int, depth: int) -> list[int]:
    """Where patches begin that cover `count` slices evenly and overlap by half or more; one where `depth` will do."""
    beyond = count - depth
    if beyond <= 0:
        return [0]
    steps = -(-beyond // max(depth // 2, 1))
    return [round(step * beyond / steps) for step in range(steps + 1)]
