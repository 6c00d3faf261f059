"""What the processes of a test do together; a module of its own because each of them imports it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import l1_loss
from torch.nn.parallel import DistributedDataParallel
from toy_training import Toy, ToyAttacker

from refbench.attackers.base import TrainingContext
from refbench.attackers.distributed import rank
from refbench.attackers.training import Losses, Training, adam, frozen, run_training, seeded, update
from refbench.types import SlicePairs

STEPS, JOINT_BATCH = 5, 4


def network() -> nn.Module:
    """A small network that normalises by instance.

    Without a bias before the norm: its gradient is but rounding, which Adam takes for a direction.
    """
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.InstanceNorm2d(4, affine=True), nn.Conv2d(4, 1, 3, padding=1)
    )


class SharedAttacker(ToyAttacker):
    """A GAN without chance: at every step a fixed batch, of which each process takes its part."""

    batch: int = JOINT_BATCH
    steps: int | None = STEPS
    precision: Any = "float32"
    validations: int = 2

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Toy:
        with seeded(context) as rng:
            images = torch.from_numpy(train.original)[:, None]
            generator, discriminator = network(), nn.Conv2d(1, 1, 4, stride=2)
            learns, judges = adam(generator, learning_rate=1e-2), adam(discriminator, learning_rate=1e-2)
            count = 0

            def draw(rng: np.random.Generator) -> dict[str, Tensor]:
                nonlocal count
                count += 1
                joint = torch.arange(count * JOINT_BATCH, (count + 1) * JOINT_BATCH) % len(images)
                first = rank() * self.batch
                return {"index": joint[first : first + self.batch]}

            def step(drawn: dict[str, Tensor]) -> Losses:
                image = images[drawn["index"]]
                fake = generator(image)
                update(judges, discriminator(torch.cat([image, fake.detach()])).square().mean())
                with frozen(discriminator):  # two forwards of the generator before one backward
                    update(learns, l1_loss(generator(fake), image) + (discriminator(fake) - 1).square().mean())
                return {"judged": discriminator(image).detach().mean()}

            training = Training(
                draw,
                step,
                {"learns": learns, "judges": judges},
                {"generator": generator, "discriminator": discriminator},
                "generator",
                (lambda: float(count)) if len(validation) else None,
                len(images),
            )
            return Toy(training, run_training(training, self, rng, context), context)


class Diverging(SharedAttacker):
    """The second process dies."""

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Toy:
        if rank() == 1:
            raise RuntimeError("gone")
        return super().fit(train, validation, context)


def train_by_torch(number: int, meeting: str, images: Tensor, file: str) -> None:
    """The same regression by torch's DistributedDataParallel and by ours; writes both networks' weights."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=number, world_size=2)
    torch.manual_seed(0)
    ours, theirs = network(), network()
    theirs.load_state_dict(ours.state_dict())
    wrapped = DistributedDataParallel(theirs)
    our_adam, their_adam = adam(ours, learning_rate=1e-2), adam(theirs, learning_rate=1e-2)
    mine = images[2 * number : 2 * number + 2]
    for _ in range(3):
        update(our_adam, l1_loss(ours(mine), mine))
        their_adam.zero_grad()
        l1_loss(wrapped(mine), mine).backward()  # type: ignore[no-untyped-call]
        their_adam.step()
    if number == 0:
        torch.save([list(ours.state_dict().values()), list(theirs.state_dict().values())], Path(file))
    distributed.destroy_process_group()
