"""A trained generator that redraws whole slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from refbench.attackers.base import Reconstructor
from refbench.attackers.networks import from_network, to_network
from refbench.attackers.saved_network import SavedNetwork
from refbench.types import Images, ReleasedSlices

BATCH = 4


@dataclass(frozen=True)
class NetworkReconstructor(Reconstructor):
    """Passes every slice through one generator."""

    saved: SavedNetwork

    def reconstruct(self, released: ReleasedSlices) -> Images:
        """Translate the released slices, a few at a time: float32 [n, h, w], 0-1."""
        reconstructed = np.empty_like(released.images, dtype=np.float32)
        with self.saved.answering() as generator:
            for start in range(0, len(released), BATCH):
                batch = torch.from_numpy(released.images[start : start + BATCH, None]).to(self.saved.device)
                answer = from_network(generator(to_network(batch)).float())
                reconstructed[start : start + BATCH] = answer[:, 0].cpu().numpy()
        return reconstructed

    def save(self, folder: Path) -> None:
        """Write the network's files."""
        self.saved.save(folder)

    @classmethod
    def load(cls, folder: Path, device: str, kind: type[nn.Module]) -> NetworkReconstructor:
        """Read what `save` wrote of a generator of this class.

        Raises:
            StoreError: a file is missing or damaged; the message names it.
        """
        return cls(SavedNetwork.load(folder, device, kind))
