"""Earlier fakes that a discriminator is shown from, so that it does not forget them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class FakePool:
    """The history of fakes of Shrivastava et al. 2017 (section 2.3), as Zhu et al. 2017 use it.

    Until `capacity` fakes are in, each passes through and is kept. From then on each is, with even odds, either
    passed through and not kept, or exchanged for a random earlier one. What happens to a fake does not depend on how
    it looks, so `draw` decides it beforehand on the host, and `exchange` never makes a GPU wait.

    Args:
        capacity: fakes that are kept; 0 shows the newest only.
        batch: fakes that come at once.
        height, width: of an image. device: where the fakes are.
    """

    def __init__(self, capacity: int, batch: int, height: int, width: int, device: str) -> None:
        self.capacity = capacity
        self.filled = 0
        self.rows = torch.zeros(capacity + batch, 1, height, width, device=device)
        """The kept fakes, and behind them room for the newest batch."""

    def draw(self, rng: np.random.Generator) -> Tensor:
        """Decide about the next batch: int64 [2, batch], the rows it is shown from and the rows it is kept in."""
        shown: list[int] = []
        kept: list[int] = []
        holder = list(range(len(self.rows)))  # the row in which, before this batch is kept, each row's content lies
        for newest in range(self.capacity, len(self.rows)):
            if self.filled < self.capacity:
                place, exchanged = self.filled, False
                self.filled += 1
            elif self.capacity and rng.random() < 0.5:
                place, exchanged = int(rng.integers(self.capacity)), True
            else:
                place, exchanged = newest, False
            shown.append(holder[place] if exchanged else newest)
            kept = [self.capacity + number if row == place else row for number, row in enumerate(kept)]
            kept.append(place)
            holder[place] = newest
        return torch.tensor([shown, kept])

    def exchange(self, fakes: Tensor, decided: Tensor) -> Tensor:
        """Put in a batch [batch, 1, h, w] and take out one of the same shape, as `draw` has decided."""
        newest = fakes.detach()
        self.rows[self.capacity :] = newest
        shown = self.rows.index_select(0, decided[0])
        self.rows.index_copy_(0, decided[1], newest)
        return shown

    def state_dict(self) -> dict[str, Any]:
        """Return the fakes and how many there are."""
        return {"rows": self.rows, "filled": self.filled}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the fakes, in the same memory."""
        self.rows.copy_(state_dict["rows"])
        self.filled = state_dict["filled"]
