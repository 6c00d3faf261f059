"""Training of the diffusion attacker, and how its samples are drawn."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from refbench.attackers.base import TrainingContext
from refbench.attackers.denoiser import Denoiser, support
from refbench.attackers.diffusion import Diffusion
from refbench.attackers.noise_schedule import NOISE_ALONE, add_noise, take_noise_away, velocity_of
from refbench.attackers.paired import Paint, PairedReconstructor, TrainingWindows, prepare, validator
from refbench.attackers.saved_network import SavedNetwork
from refbench.attackers.training import Drawn, Losses, Training, adam, run_training, seeded, update, warm_cosine
from refbench.attackers.windows import Windows
from refbench.types import SlicePairs

VALIDATION_PEOPLE, VALIDATION_STEPS = 5, 4
"""Of the validation people at most so many are asked, by samples of so few steps: else validations cost more than the
training. Weights are compared by that, nothing else is chosen."""

AVERAGE = 6.94
"""Exponent of the weights' average: it is as wide as a tenth of the training so far (Karras et al. 2024)."""

SMALLEST_SCALE = 1e-3


def train_diffusion(
    attacker: Diffusion, train: SlicePairs, validation: SlicePairs, context: TrainingContext
) -> PairedReconstructor:
    """Train to guess, and to denoise at random degrees what was missed; the weights' average is what reconstructs.

    Raises:
        DataError: there are no slices to train on.
        InvalidOutput: the training diverged.
    """
    frame, people = prepare(attacker, train, validation, context, composite=True)
    assert isinstance(frame, Windows)
    with seeded(context) as rng:
        arguments: dict[str, Any] = {
            "inputs": frame.channels,
            "width": attacker.width,
            "size": list(frame.size),
            "samples": attacker.samples,
        }
        network = Denoiser(**arguments)
        network.noise.copy_(torch.from_numpy(opposite_noises(rng, attacker.samples, frame.size)))
        network.scale.fill_(scale_of(people))
        network.to(context.device)
        average = WeightAverage(network)
        optimiser = adam(network, learning_rate=attacker.learning_rate)

        def draw(rng: np.random.Generator) -> Drawn:
            # Evenly spread degrees of noise make for steadier steps (Kingma et al. 2021, appendix I.1).
            spread = (rng.random() + np.arange(attacker.batch)) / attacker.batch
            angle = torch.from_numpy((NOISE_ALONE * spread).astype(np.float32))
            return {"angle": angle, **people.draw(rng, attacker.batch)}

        def step(drawn: Drawn) -> Losses:
            seen, start, _, original = people.take(drawn)
            place = support(seen)
            guess = network.guess(seen)
            error = (original - start) / network.scale * place - guess
            clean, noise = error.detach(), torch.randn_like(error) * place
            noisy = add_noise(clean, noise, drawn["angle"])
            predicted = network(noisy, drawn["angle"], seen, guess.detach())
            missed = predicted - velocity_of(clean, noise, drawn["angle"])
            pixels = place.sum().clamp(min=1)
            losses = {"guess": error.square().sum() / pixels, "velocity": missed.square().sum() / pixels}
            update(optimiser, losses["guess"] + losses["velocity"])
            average.update(network)
            return losses

        training = Training(
            draw,
            step,
            optimisers={"adam": optimiser},
            networks={"network": network, "average": average.network},
            kept="average",
            validate=validator(frame, average.network, painting(VALIDATION_STEPS), _some_people(validation), context),
            images=len(people),
            others={"averaged": average},
            decay=warm_cosine,
        )
        trained = run_training(training, attacker, rng, context) if len(people) else None
    saved = SavedNetwork.of(arguments, average.network, context.device, trained)
    return PairedReconstructor(frame, saved, painting(attacker.sampling_steps))


def painting(steps: int) -> Paint:
    """How a `Denoiser` answers: its guess and the mean of its samples of what that missed, each in so many steps."""

    def paint(network: nn.Module, seen: Tensor, start: Tensor) -> Tensor:
        assert isinstance(network, Denoiser)
        place, guess = support(seen), network.guess(seen)
        missed = torch.zeros_like(place)
        for noise in network.noise:
            missed += take_noise_away(noise * place, lambda noisy, angle: network(noisy, angle, seen, guess), steps)
        return start + network.scale * (guess + missed / len(network.noise))[:, 0]

    return paint


def opposite_noises(rng: np.random.Generator, count: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Normal noise [count, 1, h, w], the second half the first one's opposites.

    Opposites have errors that cancel, all of them where the face is a linear function of the noise.
    """
    half = rng.standard_normal((-(-count // 2), 1, *size), np.float32)
    return np.concatenate([half, -half])[:count]


def scale_of(people: TrainingWindows, block: int = 64) -> float:
    """Root mean square of what the start lacks inside the changed region; 1 where nothing was changed."""
    total = pixels = 0.0
    for begin in range(0, len(people), block):
        index = torch.arange(begin, min(begin + block, len(people)))
        missing = people.original.take(index) - people.start.take(index)
        mask = people.mask.take(index)
        total += float((missing.square() * mask).sum())
        pixels += float(mask.sum())
    return max((total / pixels) ** 0.5, SMALLEST_SCALE) if pixels else 1.0


class WeightAverage:
    """The average of a network's weights over the last part of its training so far.

    Later weights count more, by a power of the step: the average forgets how the training began, however long it is.
    Source: Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models", section 3.1.

    Attributes:
        network: has the average weights.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._updates = torch.zeros((), device=next(network.parameters()).device)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights as they are now."""
        self._updates += 1
        share = 1 - (1 - 1 / self._updates) ** (AVERAGE + 1)
        for mean, now in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(now, share)

    def state_dict(self) -> dict[str, Any]:
        """Return how many weights were taken in; the average itself is kept as a network."""
        return {"updates": self._updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._updates.copy_(state_dict["updates"])


def _some_people(validation: SlicePairs) -> SlicePairs:
    """At most `VALIDATION_PEOPLE` of them, evenly spread."""
    everyone = np.unique(validation.released.release)
    chosen = everyone[:: max(1, -(-len(everyone) // VALIDATION_PEOPLE))]
    return validation.take(np.isin(validation.released.release, chosen))
