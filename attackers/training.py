"""The loop that every network is trained by, and the small steps that trainings share.

A training decides on the host what each step works on (`draw`) and does it on the device (`step`) without ever asking
the device for an answer, so that a GPU is never kept waiting.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from refbench.attackers import checkpoint, distributed
from refbench.attackers.base import TrainingContext
from refbench.attackers.options import NetworkAttacker
from refbench.attackers.pace import Pace
from refbench.attackers.pace_choice import choose_pace
from refbench.attackers.selection import Selection
from refbench.errors import InvalidOutput

ADAM_BETAS = (0.5, 0.999)
"""Of GANs, as CycleGAN and pix2pix have them."""

CALM_BETAS = (0.9, 0.99)
"""Of trainings without an opponent."""

CHECKPOINT_SECONDS = 60.0
REPORT_SECONDS = 0.5
FILE = "checkpoint.safetensors"

Losses = dict[str, Tensor]
Drawn = dict[str, Tensor]


class Stateful(Protocol):
    """Networks, optimisers, pools: whatever must survive a kill."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain numbers, nested in dictionaries and lists."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take them up again."""


def linear_decay(progress: float) -> float:
    """Return the learning rate's factor: 1 in the first half of a training (0 to 1), then linearly towards 0."""
    return min(1.0, 2 * (1 - progress))


def warm_cosine(progress: float, warm: float = 0.05) -> float:
    """Return the learning rate's factor: up linearly at first, then down along a cosine (Loshchilov & Hutter 2017)."""
    if progress < warm:
        return max(progress, 0.05 * warm) / warm
    return 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))


@dataclass(frozen=True)
class Training:
    """What is particular about one training.

    Attributes:
        draw: from a generator, on the host: small tensors that say what the next step works on, of the same shapes
            every time. What it remembers beside the generator belongs to `others`.
        step: one step of all optimisers on the drawn tensors, which lie on the device by then; must not wait for the
            device (no `.item()`, no branch on a tensor) and must take every optimiser step by `update`. It is also
            tried, and taken back, to measure how long it takes. Returns losses, tensors of one value.
        optimisers: their learning rate is that of the attacker times `decay`.
        networks: all that is trained. kept: name of the one that reconstructs.
        validate: how good the kept network is, the larger the better; NaN where that is undefined. None: nobody to ask.
        images: training slices, what an epoch is counted in.
        others: what a checkpoint must hold beside networks and optimisers.
        decay: the learning rate's factor at a progress of 0 to 1.
    """

    draw: Callable[[np.random.Generator], Drawn]
    step: Callable[[Drawn], Losses]
    optimisers: Mapping[str, torch.optim.Optimizer]
    networks: Mapping[str, nn.Module]
    kept: str
    validate: Callable[[], float] | None
    images: int
    others: Mapping[str, Stateful] = field(default_factory=dict)
    decay: Callable[[float], float] = linear_decay


@dataclass(frozen=True)
class Trained:
    """What a training leaves beside the kept network's weights.

    Attributes:
        curve: (step, score) of every validation. best: the step whose weights were kept, None for the last.
        steps: how many were done. pace: how it was computed.
    """

    curve: list[tuple[int, float]]
    best: int | None
    steps: int
    pace: Pace


def run_training(
    training: Training, attacker: NetworkAttacker, rng: np.random.Generator, context: TrainingContext
) -> Trained:
    """Train, from the last checkpoint on where there is one, and leave the best weights in the kept network.

    Checkpoints and validations only read the training, so that their cadence never changes its result; on a CPU a
    training that was killed and resumed ends with the very same weights, unless its length is a time.

    Args:
        training: what is done.
        attacker: how long, at what rate, in which numbers, and how often it is validated.
        rng: what `training.draw` is given.
        context: where checkpoints go and who is told of progress.

    Raises:
        InvalidOutput: a loss is no longer finite; the last good checkpoint is kept.
    """
    batch = attacker.batch * distributed.world()
    steps = attacker.steps or attacker.epochs * math.ceil(training.images / batch)
    clock = _Clock(steps, attacker.budget_minutes)
    selection = Selection(attacker.validations if training.validate else 0, attacker.patience)
    parts: dict[str, Stateful] = {
        **training.networks,
        **training.optimisers,
        **training.others,
        "clock": clock,
        "selection": selection,
    }
    file, recipe = context.folder / FILE, _recipe(training, attacker, context)
    kept = training.networks[training.kept]
    for network in training.networks.values():
        distributed.share_weights(network)
    pace = _resume(file, parts, rng, recipe, context.device) or choose_pace(training, attacker, rng, context, steps)
    rng = distributed.own_stream(rng, context.seed, clock.done)

    with pace.running(training, context.device) as run:
        reported = saved = time.monotonic()
        reached = distributed.agreed(1.0 if selection.exhausted else clock.progress)
        while reached < 1:
            for optimiser in training.optimisers.values():
                set_learning_rate(optimiser, attacker.learning_rate * training.decay(reached))
            losses = run(training.draw(rng))
            clock.tick()
            reached = clock.progress
            if training.validate and selection.due(reached):
                with pace.evaluating(kept, context.device):
                    selection.take(clock.done, training.validate(), kept)
            reached = distributed.agreed(1.0 if selection.exhausted else reached)
            if distributed.rank() > 0:
                continue
            last, now = reached >= 1, time.monotonic()
            if last or now - reported >= REPORT_SECONDS:
                context.report(clock.done, steps, _finite(losses, clock.done, steps))
                reported = now
            if last or now - saved >= CHECKPOINT_SECONDS:
                _finite(losses, clock.done, steps)
                _save(file, parts, rng, recipe, pace, context.device)
                saved = now
    selection.restore(kept)
    return Trained(selection.curve, selection.best, clock.done, pace)


class _Clock:
    """How far a training is: by steps or, with a budget, by whichever of steps and time is further."""

    def __init__(self, steps: int, budget_minutes: float | None) -> None:
        self.steps = steps
        self.budget_seconds = math.inf if budget_minutes is None else 60 * budget_minutes
        self.done = 0
        self._spent = 0.0
        self._since = time.monotonic()

    @property
    def progress(self) -> float:
        """0 to 1."""
        return min(1.0, max(self.done / self.steps, self._seconds() / self.budget_seconds))

    def tick(self) -> None:
        """One more step is done."""
        self.done += 1

    def state_dict(self) -> dict[str, Any]:
        """Return steps and seconds so far."""
        return {"done": self.done, "seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.done, self._spent, self._since = state_dict["done"], state_dict["seconds"], time.monotonic()

    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._since


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use another learning rate from now on."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(learning_rate)
        else:
            group["lr"] = learning_rate


def adam(*networks: nn.Module, learning_rate: float, betas: tuple[float, float] = ADAM_BETAS) -> torch.optim.Adam:
    """One Adam over several networks where they are.

    It is fused: a third of the time on a CPU. On a GPU its learning rate is a tensor, which a CUDA graph can be told.
    """
    parameters = [parameter for network in networks for parameter in network.parameters()]
    device = parameters[0].device
    on_gpu = device.type == "cuda"
    rate = torch.tensor(learning_rate, device=device) if on_gpu else learning_rate
    return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=True, capturable=on_gpu)


def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one optimiser step down a loss."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    distributed.average_gradients(optimiser)
    optimiser.step()
    torch.clear_autocast_cache()  # it may hold the weights as they were


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
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(context.seed)
        torch.use_deterministic_algorithms(context.deterministic)
        try:
            yield np.random.default_rng(context.seed)
        finally:
            torch.use_deterministic_algorithms(before)


def _finite(losses: Losses, done: int, steps: int) -> dict[str, float]:
    values = {name: float(loss.detach()) for name, loss in losses.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise InvalidOutput(
                f"the training diverged: its {name} loss is {value} at step {done} of {steps}; "
                "lower learning_rate, or raise batch"
            )
    return values


def _recipe(training: Training, attacker: NetworkAttacker, context: TrainingContext) -> str:
    """Whatever must be the same for a training to go on from a checkpoint."""
    facts = {
        "attacker": type(attacker).__name__,
        "parameters": attacker.model_dump(mode="json"),
        "seed": context.seed,
        "images": training.images,
        "deterministic": context.deterministic,
    }
    return json.dumps(facts, sort_keys=True)


def _save(
    file: Path, parts: Mapping[str, Stateful], rng: np.random.Generator, recipe: str, pace: Pace, device: str
) -> None:
    checkpoint.write(
        file,
        {
            "recipe": recipe,
            "pace": asdict(pace),
            "device": device,
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "numpy": json.dumps(rng.bit_generator.state),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if device.startswith("cuda") else None,
        },
    )


def _resume(
    file: Path, parts: Mapping[str, Stateful], rng: np.random.Generator, recipe: str, device: str
) -> Pace | None:
    """Take up a checkpoint of the very same training, and its pace on the same kind of device.

    Without a checkpoint, and with one of another recipe (which will be overwritten), nothing happens.
    """
    state: dict[str, Any] = checkpoint.read(file) if file.exists() else {"recipe": None}
    if state["recipe"] != recipe:
        return None
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
        for group in getattr(part, "param_groups", ()):
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].to(group["params"][0].device)
    rng.bit_generator.state = json.loads(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and device.startswith("cuda"):
        torch.cuda.set_rng_state(state["cuda"])
    return Pace(**state["pace"]) if state["device"] == device else None
