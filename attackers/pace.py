"""How a training is computed: in which numbers and memory layout, compiled or not, launch by launch or at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from refbench.attackers.cuda_graph import pinned, replayed
from refbench.attackers.snapshot import Snapshot

if TYPE_CHECKING:
    from refbench.attackers.training import Training

Tensors = dict[str, Tensor]
Run = Callable[[Tensors], Tensors]

BACKEND = "inductor"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """One way to compute a step.

    Attributes:
        bfloat16: autocast; weights, their moments and the losses stay float32.
        channels_last: weights and images with the channels of a pixel side by side.
        compiled: the networks by torch.compile. graph: the whole step as one CUDA graph.
    """

    bfloat16: bool = False
    channels_last: bool = False
    compiled: bool = False
    graph: bool = False

    @contextmanager
    def running(self, training: Training, device: str) -> Iterator[Run]:
        """Lend a step on what was drawn on the host; afterwards the networks are plain again.

        Where compiling or capturing fails, the log says so and the steps are computed without.
        """
        kind = device.partition(":")[0]

        def step(inputs: Tensors) -> Tensors:
            with torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16):
                return training.step(inputs)

        def eagerly(drawn: Tensors) -> Tensors:
            return step({name: pinned(value, device).to(device, non_blocking=True) for name, value in drawn.items()})

        def carefully(drawn: Tensors) -> Run:
            """What runs from the first step on: as wished, or eagerly where that fails."""
            snapshot = Snapshot(training)
            try:
                if self.graph:
                    return replayed(step, drawn, device, snapshot.restore)
                eagerly(drawn)
            except Exception as error:
                for network in training.networks.values():
                    _plain_calls(network)
                first_line = str(error).partition("\n")[0]
                _log.warning("%s failed (%s); the steps are computed without", self._wish(), first_line)
            snapshot.restore()
            return eagerly

        chosen: Run | None = None if self.compiled or self.graph else eagerly

        def run(drawn: Tensors) -> Tensors:
            nonlocal chosen
            chosen = chosen or carefully(drawn)
            return chosen(drawn)

        searching = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()
        if self.channels_last:
            _lay_out(training, torch.channels_last)
        if self.compiled:
            for network in training.networks.values():
                network.compile(backend=BACKEND)
        try:
            yield run
        finally:
            for network in training.networks.values():
                _plain_calls(network)
            if self.channels_last:
                _lay_out(training, torch.contiguous_format)
            torch.backends.cudnn.benchmark = searching

    @contextmanager
    def evaluating(self, network: nn.Module, device: str) -> Iterator[None]:
        """Use a network in the middle of `running` as it will be used after training: not compiled, same numbers."""
        compiled_call = network._compiled_call_impl
        network.eval()
        _plain_calls(network)
        try:
            with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=self.bfloat16):
                yield
        finally:
            network._compiled_call_impl = compiled_call
            network.train()

    def _wish(self) -> str:
        return "the CUDA graph of a step" if self.graph else "torch.compile"


def _plain_calls(network: nn.Module) -> None:
    network._compiled_call_impl = None  # torch has no public way back from Module.compile


def _lay_out_weights(network: nn.Module, layout: torch.memory_format) -> None:
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


def _lay_out(training: Training, layout: torch.memory_format) -> None:
    """Lay out weights, and Adam's moments like them: its fused kernel walks through both in step."""
    for network in training.networks.values():
        _lay_out_weights(network, layout)
    for optimiser in training.optimisers.values():
        for moments in optimiser.state.values():
            for name, value in moments.items():
                if isinstance(value, Tensor) and value.ndim == 4:
                    moments[name] = value.contiguous(memory_format=layout)
