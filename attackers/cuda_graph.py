"""A whole training step as one CUDA graph: one launch in place of hundreds.

Source: the PyTorch notes on CUDA semantics, section "CUDA graphs", whole-network capture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]

WARM_UP_STEPS = 3
"""Before the capture: libraries choose their algorithms, and Adam makes its moments, outside the graph's memory."""


def replayed(
    step: Callable[[Tensors], Tensors],
    drawn: Tensors,
    device: str,
    take_back: Callable[[], None],
    capture: Callable[[Callable[[], Tensors]], tuple[Callable[[], Any], Tensors]] | None = None,
) -> Callable[[Tensors], Tensors]:
    """Record a step and return a function that replays it on whatever is drawn next.

    Args:
        step: works on tensors on the device, without waiting for it.
        drawn: an example, of the shapes of all later ones.
        device: where the step works.
        take_back: undoes the steps made to warm up.
        capture: records a function without running it, and returns what replays it, and its results; by a CUDA graph
            if not given.

    Returns:
        A step on newly drawn tensors; the losses it returns are the same tensors every time, filled anew.
    """
    inputs = {name: value.to(device) for name, value in drawn.items()}
    warm_up(lambda: step(inputs), device)
    take_back()
    replay, losses = (capture or captured)(lambda: step(inputs))

    def run(drawn: Tensors) -> Tensors:
        for name, value in drawn.items():
            inputs[name].copy_(pinned(value, device), non_blocking=True)
        replay()
        return losses

    return run


def warm_up(step: Callable[[], Tensors], device: str) -> None:
    """Run a step a few times, on a CUDA device beside its main stream, as a capture wants it."""
    if not device.startswith("cuda"):
        for _ in range(WARM_UP_STEPS):
            step()
        return
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)


def captured(step: Callable[[], Tensors]) -> tuple[Callable[[], Any], Tensors]:
    """Record a step in a CUDA graph; random numbers go on from replay to replay."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = step()
    return graph.replay, losses


def pinned(value: Tensor, device: str) -> Tensor:
    """A tensor of main memory where a GPU can fetch it without stopping the host."""
    return value.pin_memory() if device.startswith("cuda") else value
