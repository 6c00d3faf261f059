"""Steps of a training that are tried and taken back."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from refbench.attackers.training import Training


class Snapshot:
    """All that a step may change: networks, optimisers, whatever else a checkpoint holds, torch's random states.

    Tensors are put back where they lie, because a CUDA graph writes to fixed places.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        self._networks = {name: copy.deepcopy(part.state_dict()) for name, part in training.networks.items()}
        self._optimisers = {name: copy.deepcopy(part.state_dict()) for name, part in training.optimisers.items()}
        self._others = {name: copy.deepcopy(part.state_dict()) for name, part in training.others.items()}
        self._random = torch.get_rng_state()
        self._cuda_random = torch.cuda.get_rng_state() if torch.cuda.is_available() else None

    def restore(self) -> None:
        """Make it as it was, bit by bit."""
        for name, network in self._training.networks.items():
            network.load_state_dict(self._networks[name])
        for name, optimiser in self._training.optimisers.items():
            _restore_moments(optimiser, self._optimisers[name]["state"])
        for name, other in self._training.others.items():
            other.load_state_dict(copy.deepcopy(self._others[name]))
        torch.set_rng_state(self._random)
        if self._cuda_random is not None:
            torch.cuda.set_rng_state(self._cuda_random)


def _restore_moments(optimiser: torch.optim.Optimizer, before: dict[int, dict[str, Any]]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for number, parameter in enumerate(parameters):
        for name, value in optimiser.state[parameter].items():
            if number in before:
                value.copy_(before[number][name])
            else:  # moments and step count of Adam begin at zero
                value.zero_()
        parameter.grad = None
