"""What the adversarial trainings share: images on the device, seeds, the schedule and a loop that can be resumed."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from refbench.attackers.base import TrainingContext
from refbench.errors import DataError, InvalidOutput
from refbench.types import Images, SlicePairs

ADAM_BETAS = (0.5, 0.999)
CHECKPOINT_SECONDS = 60.0
REPORT_SECONDS = 0.5

Losses = dict[str, Tensor]


class Stateful(Protocol):
    """Networks, optimisers, pools: whatever must survive a kill."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain numbers, nested in dictionaries and lists."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take them up again."""


def check_pairs(pairs: SlicePairs, size_multiple: int, smallest: int, attacker: str) -> None:
    """Refuse slices that the networks cannot take.

    Raises:
        DataError: there are none, or a side is smaller than `smallest` or no multiple of `size_multiple` pixels.
    """
    if len(pairs) == 0:
        raise DataError(f"{attacker}: there are no slices to train on; check the split")
    height, width = pairs.original.shape[1:]
    if height % size_multiple or width % size_multiple or min(height, width) < smallest:
        raise DataError(
            f"{attacker}: slices of {height} x {width} pixels do not fit its networks; choose a slice size of at "
            f"least {smallest} pixels with both sides multiples of {size_multiple}"
        )


def on_device(images: Images, device: str) -> Tensor:
    """Move float32 [n, h, w] to the device once, as [n, 1, h, w]; on a CPU the memory is shared, not copied."""
    return torch.from_numpy(np.require(images, np.float32, ["C", "W"])).unsqueeze(1).to(device)


def to_network(images: Tensor) -> Tensor:
    """Intensities 0-1 to the range of tanh, -1 to 1."""
    return 2 * images - 1


def from_network(images: Tensor) -> Tensor:
    """Tanh's range back to intensities, clipped to 0-1."""
    return ((images + 1) / 2).clamp(0, 1)


def draw(images: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Draw a batch with replacement, in the networks' range."""
    chosen = torch.from_numpy(rng.integers(len(images), size=count)).to(images.device)
    return to_network(images[chosen])


def step_count(images: int, batch: int, epochs: int, steps: int | None) -> int:
    """How many optimiser steps a training takes: `steps` where given, else epochs x images / batch, rounded up."""
    return steps if steps is not None else epochs * math.ceil(images / batch)


def linear_decay(step: int, steps: int) -> float:
    """Return the learning rate's factor at one step: 1 in the first half, then linearly towards 0."""
    half = steps // 2
    return 1.0 if step < half else (steps - step) / (steps - half)


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use another learning rate from now on."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate


def adam(*networks: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """One Adam over several networks, with the betas that both papers use (fused: a third of the time on a CPU)."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, lr=learning_rate, betas=ADAM_BETAS, fused=True)


def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one optimiser step down a loss."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Let gradients pass through networks without computing those of their weights."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)


@contextmanager
def seeded(context: TrainingContext) -> Iterator[np.random.Generator]:
    """Seed torch and a numpy generator with the training's seed; the caller's torch generators stay as they were."""
    devices = [torch.cuda.current_device()] if context.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(context.seed)
        yield np.random.default_rng(context.seed)


def run_steps(
    step: Callable[[int], Losses],
    steps: int,
    parts: Mapping[str, Stateful],
    rng: np.random.Generator,
    context: TrainingContext,
    recipe: Mapping[str, Any],
) -> None:
    """Call `step(0)` to `step(steps - 1)`, from the last checkpoint on where there is one.

    Checkpoints only read the training, so their cadence never changes its result; on a CPU a training that was
    killed and resumed ends with the very same weights.

    Args:
        step: does one step and returns its losses, tensors of one value.
        steps: how many.
        parts: what a checkpoint holds beside the random states.
        rng: the generator that `step` draws from.
        context: where checkpoints go and who is told of progress.
        recipe: JSON values that a checkpoint must agree with to be taken up; another one is overwritten.

    Raises:
        InvalidOutput: a loss is no longer finite.
    """
    file = context.folder / "checkpoint.pt"
    identity = json.dumps({**recipe, "seed": context.seed, "steps": steps}, sort_keys=True)
    done = _resume(file, parts, rng, identity)
    reported = saved = time.monotonic()
    while done < steps:
        losses = step(done)
        done += 1
        now = time.monotonic()
        if now - reported >= REPORT_SECONDS or done == steps:
            context.report(done, steps, _finite(losses, done, steps))
            reported = now
        if now - saved >= CHECKPOINT_SECONDS or done == steps:
            _finite(losses, done, steps)
            _save(file, done, parts, rng, identity, context.device)
            saved = now


def _finite(losses: Losses, done: int, steps: int) -> dict[str, float]:
    values = {name: float(loss.detach()) for name, loss in losses.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise InvalidOutput(
                f"the training diverged: its {name} loss is {value} at step {done} of {steps}; "
                "lower learning_rate, or raise batch"
            )
    return values


def _save(
    file: Path, done: int, parts: Mapping[str, Stateful], rng: np.random.Generator, identity: str, device: str
) -> None:
    state = {
        "identity": identity,
        "done": done,
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "numpy": json.dumps(rng.bit_generator.state),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if device.startswith("cuda") else None,
    }
    beside = file.with_suffix(".new")
    with beside.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def _resume(file: Path, parts: Mapping[str, Stateful], rng: np.random.Generator, identity: str) -> int:
    if not file.exists():
        return 0
    # Onto the CPU: the parts move what belongs on the device, while the random states must stay here.
    state = torch.load(file, map_location="cpu", weights_only=True)
    if state["identity"] != identity:
        return 0
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    rng.bit_generator.state = json.loads(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    done: int = state["done"]
    return done
