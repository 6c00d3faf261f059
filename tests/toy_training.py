"""A small adversarial training with everything that can go wrong in one: dropout, two optimisers, a memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.options import NetworkAttacker
from refbench.attackers.resident import Resident
from refbench.attackers.training import Losses, Trained, Training, adam, frozen, run_training, seeded, update
from refbench.types import Images, ReleasedSlices, SlicePairs


class Generator(nn.Module):
    """Two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.InstanceNorm2d(4, affine=True)
        self.dropout, self.last = nn.Dropout(0.2), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.last(self.dropout(self.norm(self.first(images))))
        return made


class Memory:
    """The last fake, and on the host a count of draws."""

    def __init__(self, height: int, width: int) -> None:
        self.fake = torch.zeros(1, 1, height, width)
        self.draws = 0

    def state_dict(self) -> dict[str, Any]:
        return {"fake": self.fake, "draws": self.draws}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.fake, self.draws = state_dict["fake"], state_dict["draws"]


@dataclass
class Toy(Reconstructor):
    """What was trained, open to tests."""

    training: Training
    trained: Trained
    context: TrainingContext = field(repr=False)

    @property
    def weights(self) -> list[Tensor]:
        return [value for network in self.training.networks.values() for value in network.state_dict().values()]

    def reconstruct(self, released: ReleasedSlices) -> Images:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        raise NotImplementedError


class ToyAttacker(NetworkAttacker):
    """A generator of two convolutions against a discriminator of one."""

    batch: int = 2
    steps: int | None = 12
    validations: int = 0
    learning_rate: float = 1e-2

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Toy:
        with seeded(context) as rng:
            training = toy_training(train.original, self.batch, (lambda: 0.0) if len(validation) else None)
            return Toy(training, run_training(training, self, rng, context), context)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        raise NotImplementedError


def toy_training(images: Images, batch: int, validate: Callable[[], Any] | None = None) -> Training:
    """Learn to double the brightness."""
    generator = Generator()
    discriminator = nn.Conv2d(1, 1, 4, stride=2)
    learns = adam(generator, learning_rate=1e-2)
    judges = adam(discriminator, learning_rate=1e-2)
    resident, memory = Resident(images, "cpu"), Memory(*images.shape[1:])

    def draw(rng: np.random.Generator) -> dict[str, Tensor]:
        memory.draws += 1
        return {"index": torch.from_numpy(rng.integers(len(resident), size=batch))}

    def step(drawn: dict[str, Tensor]) -> Losses:
        image = resident.take(drawn["index"])
        fake = generator(image).float()
        judged = discriminator(torch.cat([memory.fake, fake.detach()])).float()
        update(judges, (judged - 1).square().mean())
        memory.fake = fake[-1:].detach().clone()
        with frozen(discriminator):
            loss = (fake - 2 * image).abs().mean() + discriminator(fake).float().square().mean()
            update(learns, loss)
        return {"loss": loss}

    return Training(
        draw,
        step,
        {"learns": learns, "judges": judges},
        {"generator": generator, "discriminator": discriminator},
        "generator",
        validate,
        len(images),
        {"memory": memory},
    )


def toy_pairs(count: int = 6) -> SlicePairs:
    """Images of 8 x 8 noise."""
    images = np.random.default_rng(1).random((count, 8, 8), np.float32)
    numbers = np.arange(count)
    return SlicePairs(ReleasedSlices(images, numbers, numbers, np.ones(images.shape, bool)), images)


def train(
    folder: Path, *, seed: int = 0, people: int = 0, context: dict[str, Any] | None = None, **options: Any
) -> Toy:
    """Train the toy in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    given = TrainingContext(seed, folder, **(context or {}))
    return ToyAttacker(**options).fit(toy_pairs(), toy_pairs(people), given)


def same(first: Toy, second: Toy) -> bool:
    """Whether two trainings ended with the same bits."""
    return all(torch.equal(one, other) for one, other in zip(first.weights, second.weights, strict=True))
