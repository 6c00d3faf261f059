"""One training on several devices: each works on its share of every batch, and all take the same step.

Gradients are averaged between backward and step, one message per optimiser. That is what DistributedDataParallel
computes (a test compares them); its hooks on forward passes are of no use to a GAN, whose steps freeze one network
while another learns, and networks of a few million weights have nothing to gain from sending while they still compute.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.errors import PluginError
from refbench.types import SlicePairs

if TYPE_CHECKING:
    from refbench.attackers.options import NetworkAttacker


def world() -> int:
    """How many processes train together; 1 where a training is alone."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """This process' number; 0 reports and keeps checkpoints."""
    return distributed.get_rank() if world() > 1 else 0


def agreed(value: float) -> float:
    """The value that process 0 has."""
    if world() == 1:
        return value
    shared = torch.tensor(value, dtype=torch.float64)
    distributed.broadcast(shared, 0)
    return shared.item()


def share_weights(network: nn.Module) -> None:
    """Let all begin with the weights of process 0."""
    if world() > 1:
        for value in network.state_dict().values():
            distributed.broadcast(value, 0)


def own_stream(rng: np.random.Generator, seed: int, done: int) -> np.random.Generator:
    """Random numbers of this process alone (a resumed training goes on with new ones); also seeds torch."""
    if world() == 1:
        return rng
    own = np.random.default_rng([seed, rank(), done])
    torch.manual_seed(int(own.integers(2**62)))
    return own


def average_gradients(optimiser: torch.optim.Optimizer) -> None:
    """Put the mean over all processes in place of an optimiser's gradients."""
    if world() == 1:
        return
    gradients = [
        parameter.grad
        for group in optimiser.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    together = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(together)
    together /= world()
    parts = torch.split(together, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def fit_on_several(
    attacker: NetworkAttacker, train: SlicePairs, validation: SlicePairs, context: TrainingContext, devices: int
) -> Reconstructor:
    """Train as `attacker.fit` does, on several GPUs (or, with the device `cpu`, in several processes).

    Every process takes `batch / devices` of a batch; an epoch has as many steps as on one device. The losses of a batch
    must be means over its images and the networks must normalise by instance, as all here do.

    Raises:
        PluginError: the batch cannot be shared out evenly.
        Whatever `attacker.fit` raises.
    """
    if devices == 1:
        return attacker.fit(train, validation, context)
    if attacker.batch % devices:
        raise PluginError(
            f"a batch of {attacker.batch} cannot be shared by {devices} devices; "
            f"make batch a multiple of {devices}, or train on one device"
        )
    attacker = attacker.model_copy(update={"batch": attacker.batch // devices})
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        # All choose by the validation people what they show their networks; only process 0 has somebody who listens.
        silent = replace(context, report=_say_nothing)
        others = spawn(  # type: ignore[no-untyped-call]
            _join_in, (attacker, train, validation, silent, devices, meeting), nprocs=devices - 1, join=False
        )
        try:
            return _fit_as(0, attacker, train, validation, context, devices, meeting)
        finally:
            for process in others.processes:
                process.join(timeout=5)
                process.kill()


def _say_nothing(done: int, total: int, losses: dict[str, float]) -> None:
    """A function of the module, as other processes can be given."""


def _join_in(number: int, *assigned: Any) -> None:
    _fit_as(number + 1, *assigned)


def _fit_as(
    number: int,
    attacker: NetworkAttacker,
    train: SlicePairs,
    validation: SlicePairs,
    context: TrainingContext,
    devices: int,
    meeting: str,
) -> Reconstructor:
    on_gpus = context.device.startswith("cuda")
    if on_gpus:
        torch.cuda.set_device(number)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // devices))
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    distributed.init_process_group(backend, init_method=meeting, rank=number, world_size=devices)
    try:
        return attacker.fit(train, validation, context)
    finally:
        distributed.destroy_process_group()
