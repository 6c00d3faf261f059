"""A trained generator as a reconstructor, and the two small files it is kept in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from refbench.attackers.base import Reconstructor
from refbench.attackers.networks import ResidualGenerator, UNet
from refbench.attackers.training import from_network, on_device, to_network
from refbench.errors import StoreError
from refbench.types import Images, ReleasedSlices

BATCH = 16
NETWORKS: dict[str, type[ResidualGenerator] | type[UNet]] = {"ResidualGenerator": ResidualGenerator, "UNet": UNet}


class NetworkReconstructor(Reconstructor):
    """Passes every slice through one generator.

    Args:
        network: name in NETWORKS. arguments: what its class is built with (JSON values).
        generator: the network, on the device it works on. device: `cpu` or `cuda`.
    """

    def __init__(
        self, network: str, arguments: dict[str, Any], generator: ResidualGenerator | UNet, device: str
    ) -> None:
        self.network = network
        self.arguments = arguments
        self.generator = generator.eval()
        self.device = device

    @torch.inference_mode()
    def reconstruct(self, released: ReleasedSlices) -> Images:
        """Translate the released slices, a few at a time: float32 [n, h, w], 0-1."""
        reconstructed = np.empty_like(released.images, dtype=np.float32)
        for start in range(0, len(released), BATCH):
            batch = to_network(on_device(released.images[start : start + BATCH], self.device))
            reconstructed[start : start + BATCH] = from_network(self.generator(batch))[:, 0].cpu().numpy()
        return reconstructed

    def save(self, folder: Path) -> None:
        """Write `network.json` (the architecture) and `weights.safetensors`."""
        description = {"network": self.network, "arguments": self.arguments}
        (folder / "network.json").write_text(json.dumps(description, indent=2) + "\n")
        save_file(self.generator.state_dict(), folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path, device: str) -> NetworkReconstructor:
        """Read what `save` wrote.

        Raises:
            StoreError: a file is missing or damaged; the message names the folder.
        """
        try:
            description = json.loads((folder / "network.json").read_text())
            generator = NETWORKS[description["network"]](**description["arguments"])
            generator.load_state_dict(load_file(folder / "weights.safetensors"))
        except Exception as error:
            raise StoreError(f"{folder} holds no usable network: {error}; remove it to train again") from error
        return cls(description["network"], description["arguments"], generator.to(device), device)
