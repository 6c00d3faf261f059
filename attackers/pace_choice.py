"""Which pace is the fastest for a training on this machine: measured once on its own steps, then remembered."""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from refbench.attackers import distributed
from refbench.attackers.pace import Pace
from refbench.attackers.snapshot import Snapshot

if TYPE_CHECKING:
    from refbench.attackers.base import TrainingContext
    from refbench.attackers.options import NetworkAttacker
    from refbench.attackers.training import Training

PLAIN = Pace()
CLEARLY = 0.9
"""Another pace takes at most this share of plain float32's time, or plain float32 stays: noise must not decide."""

HOPELESS = 3.0
"""A pace that first took so many times as long as plain float32 is not timed again: processors without bfloat16 of
their own took eight times as long, 18 s a step."""

ROUNDS = 2
LEAST_SECONDS = 0.05
"""A timing is repeated until it lasts that long."""

MOST_SHARE, MOST_SHARE_IF_KEPT = 0.03, 0.25
"""Measuring may take so much of the training; more where later trainings of a suite take the choice over."""

COMPILE_SECONDS = {"cpu": 45.0, "cuda": 90.0}
"""Compiling is tried only where this is at most `MOST_SHARE` of the training (two cores took 20 to 44 s)."""


def choose_pace(
    training: Training, attacker: NetworkAttacker, rng: np.random.Generator, context: TrainingContext, steps: int
) -> Pace:
    """Take the pace that the attacker asks for or, with `precision: auto`, the fastest one.

    Deterministic trainings are always plain. Measuring leaves no trace in the training. A training too short to earn
    the measuring back takes what an earlier one found, or plain float32. The choice is kept in `context.choices`, or
    beside the checkpoint.

    Args:
        training: to be measured.
        attacker: which precision, and how long.
        rng: what the training would draw from; left as it is.
        context: where choices are kept.
        steps: how many the training has.
    """
    if context.deterministic or attacker.precision == "float32":
        return PLAIN
    together = distributed.world() > 1  # all must go at one pace, and none can try a step alone
    if attacker.precision == "bfloat16" or (together and context.device.startswith("cuda")):
        return Pace(bfloat16=True, channels_last=True)
    if together:
        return PLAIN
    place = context.choices or context.folder
    snapshot = Snapshot(training)
    try:
        sizes = _sizes(training, rng, context.device)
        kept = place / f"pace-{_fingerprint(training, attacker, sizes, context.device)}.json"
        with _one_at_a_time(place):
            if kept.exists():
                return Pace(**json.loads(kept.read_text())["pace"])
            stopwatch = _Stopwatch(training, rng, context.device, snapshot)
            chosen = _fastest(stopwatch, attacker, context, steps)
            if chosen is None:
                return PLAIN
            _write(kept, {"pace": asdict(chosen), "seconds_per_step": stopwatch.described()})
            return chosen
    finally:
        snapshot.restore()


@contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Trainings side by side do not measure each other, and all like the first go at its pace."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "measuring.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def candidates(device: str) -> list[Pace]:
    """What is worth a try; channels last in float32 is slow on a CPU and no faster on a GPU."""
    layouts = [Pace(bfloat16=True), Pace(bfloat16=True, channels_last=True)]
    graphs = [Pace(bfloat16=True, channels_last=True, graph=True)] if device.startswith("cuda") else []
    return [PLAIN, *layouts, *graphs]


def _fastest(stopwatch: _Stopwatch, attacker: NetworkAttacker, context: TrainingContext, steps: int) -> Pace | None:
    """Measure and choose; None where the training is too short for that."""
    paces = candidates(context.device)
    once = stopwatch.take(PLAIN)
    to_come = min(steps * once, 60 * (attacker.budget_minutes or np.inf))
    cost = len(paces) * (once + ROUNDS * max(once, LEAST_SECONDS))
    if cost > (MOST_SHARE if context.choices is None else MOST_SHARE_IF_KEPT) * to_come:
        return None
    for _ in range(ROUNDS):  # by turns: what else the machine does should meet all alike
        for pace in paces:
            stopwatch.take(pace)
        paces = [pace for pace in paces if stopwatch.seconds[pace] < HOPELESS * stopwatch.seconds[PLAIN]]
    fastest = stopwatch.fastest(paces)
    kind = context.device.partition(":")[0]
    if COMPILE_SECONDS[kind] <= MOST_SHARE * to_come and _can_compile(kind):
        compiled = replace(fastest, compiled=True)
        stopwatch.take(compiled)
        if stopwatch.seconds[compiled] < CLEARLY * stopwatch.seconds[fastest]:
            return compiled
    return fastest


class _Stopwatch:
    """Seconds per step of every pace: the least of all its rounds."""

    def __init__(self, training: Training, rng: np.random.Generator, device: str, snapshot: Snapshot) -> None:
        self.seconds: dict[Pace, float] = {}
        self._training, self._rng, self._device, self._snapshot = training, rng, device, snapshot

    def take(self, pace: Pace) -> float:
        """One round: a step to get going, then steps by the clock."""
        rng = copy.deepcopy(self._rng)
        with pace.running(self._training, self._device) as run:
            run(self._training.draw(rng))
            _wait(self._device)
            started, count, elapsed = time.perf_counter(), 0, 0.0
            while elapsed < LEAST_SECONDS:
                run(self._training.draw(rng))
                _wait(self._device)
                count += 1
                elapsed = time.perf_counter() - started
        self._snapshot.restore()
        self.seconds[pace] = min(self.seconds.get(pace, np.inf), elapsed / count)
        return elapsed / count

    def fastest(self, paces: Sequence[Pace]) -> Pace:
        best = min(paces, key=lambda pace: self.seconds[pace])
        return best if self.seconds[best] < CLEARLY * self.seconds[PLAIN] else PLAIN

    def described(self) -> list[dict[str, Any]]:
        return [{**asdict(pace), "seconds": seconds} for pace, seconds in self.seconds.items()]


def _sizes(training: Training, rng: np.random.Generator, device: str) -> list[Any]:
    """What every network is shown in one step, by a step."""
    shown: list[Any] = []

    def note(network: nn.Module, inputs: tuple[Any, ...]) -> None:
        shown.append([list(value.shape) for value in inputs if isinstance(value, torch.Tensor)])

    hooks = [network.register_forward_pre_hook(note) for network in training.networks.values()]
    try:
        with PLAIN.running(training, device) as run:
            run(training.draw(copy.deepcopy(rng)))
    finally:
        for hook in hooks:
            hook.remove()
    return shown


def _fingerprint(training: Training, attacker: NetworkAttacker, sizes: list[Any], device: str) -> str:
    """Whatever the speed of a step depends on, as 16 digits."""
    facts = {
        "machine": torch.cuda.get_device_name() if device.startswith("cuda") else processor(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "attacker": type(attacker).__name__,
        "networks": {
            name: [list(value.shape) for value in network.parameters()] for name, network in training.networks.items()
        },
        "shown": sizes,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def processor() -> str:
    """What this machine computes with, for tables and fingerprints."""
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip() + " " + torch.backends.cpu.get_cpu_capability()
    return platform.processor() or platform.machine()


def _can_compile(kind: str) -> bool:
    return kind == "cuda" or any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++")))


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _write(file: Path, content: dict[str, Any]) -> None:
    beside = file.with_suffix(f".{os.getpid()}.new")
    beside.write_text(json.dumps(content, indent=1) + "\n")
    beside.replace(file)
