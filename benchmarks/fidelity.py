"""Whether a CycleGAN that is trained fast ends where one ends that is trained in plain float32."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch
from common import as_tensor, made_up_pairs
from torch.nn.functional import l1_loss

from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.cyclegan_training import CycleGame
from refbench.attackers.pace import Pace
from refbench.attackers.training import Training, set_learning_rate
from refbench.types import SlicePairs

IMAGES, HELD_OUT, SEEDS = 256, 32, 3
PLAIN = Pace()


def game_of(attacker: CycleGAN, pairs: SlicePairs, device: str, seed: int = 0) -> tuple[CycleGame, Training]:
    """The project's training, newly begun."""
    torch.manual_seed(seed)
    game = CycleGame(attacker, pairs, device)
    return game, game.training(None)


def held_out_losses(attacker: CycleGAN, size: int, pace: Pace, seed: int, images: int, device: str) -> dict[str, float]:
    """Losses on images that were not trained on, after so many images."""
    game, training = game_of(attacker, made_up_pairs(IMAGES, size), device, seed)
    rng = np.random.default_rng(seed)
    for optimiser in training.optimisers.values():
        set_learning_rate(optimiser, attacker.learning_rate)
    with pace.running(training, device) as run:
        for _ in range(images // attacker.batch):
            run(training.draw(rng))
    pairs = made_up_pairs(HELD_OUT, size, seed=99)
    released, original = as_tensor(pairs.released.images, device), as_tensor(pairs.original, device)
    with torch.no_grad():
        back, forth = game.to_original(released), game.to_released(original)
        cycle = l1_loss(game.to_released(back), released) + l1_loss(game.to_original(forth), original)
        return {"cycle": cycle.item(), "distance": l1_loss(back, original).item()}


def fidelity(attacker: CycleGAN, size: int, pace: Pace, images: int, device: str) -> tuple[str, dict[str, Any]]:
    """Say whether the fast path ends within the spread of float32 seeds, and give all losses."""
    seeds = [held_out_losses(attacker, size, PLAIN, seed, images, device) for seed in range(SEEDS)]
    fast = held_out_losses(attacker, size, pace, 0, images, device)
    lines = []
    for name, value in fast.items():
        of_seeds = [losses[name] for losses in seeds]
        inside = min(of_seeds) <= value <= max(of_seeds)
        lines.append(
            f"{name} {value:.4f}, {'within' if inside else 'outside'} {min(of_seeds):.4f} to {max(of_seeds):.4f} "
            f"(mean {statistics.mean(of_seeds):.4f})"
        )
    said = f"{pace} beside {SEEDS} seeds of float32, after {images} images, losses on {HELD_OUT} held-out ones: "
    return said + "; ".join(lines) + ".", {"float32": seeds, "fast": fast}
