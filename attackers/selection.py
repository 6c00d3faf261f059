"""Which weights of a training are kept: those that the validation people liked best."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn


class Selection:
    """The validations of one training.

    Attributes:
        curve: (step, score) of every validation so far.
        best: the step of the best one; None where none had a score.

    Args:
        count: validations in a whole training, evenly spread; 0 keeps the last weights.
        patience: stop after so many without a better one.
    """

    def __init__(self, count: int, patience: int | None) -> None:
        self.count = count
        self.patience = patience
        self.curve: list[tuple[int, float]] = []
        self.best: int | None = None
        self._weights: dict[str, Tensor] = {}

    @property
    def exhausted(self) -> bool:
        """Whether patience is at an end."""
        since = sum(step > self.best for step, _ in self.curve) if self.best is not None else 0
        return self.patience is not None and since >= self.patience

    def due(self, progress: float) -> bool:
        """Whether a validation is to be made at this progress (0 to 1) of the training."""
        return self.count > 0 and progress >= (len(self.curve) + 1) / self.count

    def take(self, step: int, score: float, network: nn.Module) -> None:
        """Note a score, and the network's weights where it is the best so far."""
        scores = [earlier for _, earlier in self.curve if math.isfinite(earlier)]
        if math.isfinite(score) and score > max(scores, default=-math.inf):
            self.best = step
            self._weights = {name: value.detach().to("cpu", copy=True) for name, value in network.state_dict().items()}
        self.curve.append((step, score))

    def restore(self, network: nn.Module) -> None:
        """Put the best weights back; without any the network stays as it is."""
        if self._weights:
            network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return scores and the best weights."""
        return {"curve": self.curve, "best": self.best, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them up again."""
        self.curve = [(step, score) for step, score in state_dict["curve"]]
        self.best, self._weights = state_dict["best"], dict(state_dict["weights"])
