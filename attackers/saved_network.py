"""A trained network in a folder: its architecture, its weights, and how its training went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from refbench.attackers.training import Trained
from refbench.errors import StoreError


@dataclass(frozen=True)
class SavedNetwork:
    """A network on the device it works on, in evaluation mode.

    Attributes:
        arguments: what its class is built with (JSON values).
        network: the network. device: `cpu` or `cuda`.
        bfloat16: whether it answers in bfloat16, as it was trained.
        trained: how its training went; None for one that was read back, or that nothing was there to train on.
    """

    arguments: dict[str, Any]
    network: nn.Module
    device: str
    bfloat16: bool
    trained: Trained | None = None

    @classmethod
    def of(cls, arguments: dict[str, Any], network: nn.Module, device: str, trained: Trained | None) -> SavedNetwork:
        """A network as its training left it."""
        return cls(arguments, network.eval(), device, trained is not None and trained.pace.bfloat16, trained)

    @contextmanager
    def answering(self) -> Iterator[nn.Module]:
        """Lend the network for answers: no gradients, and the numbers it was trained and validated in."""
        with (
            torch.inference_mode(),
            torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.bfloat16),
        ):
            yield self.network

    def save(self, folder: Path) -> None:
        """Write `network.json`, `weights.safetensors` and `training.json` (the curve of the validations)."""
        description = {"arguments": self.arguments, "bfloat16": self.bfloat16}
        (folder / "network.json").write_text(json.dumps(description, indent=2) + "\n")
        weights = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        if self.trained:
            (folder / "training.json").write_text(json.dumps(asdict(self.trained)) + "\n")

    @classmethod
    def load(cls, folder: Path, device: str, kind: type[nn.Module]) -> SavedNetwork:
        """Read what `save` wrote of a network of this class.

        Raises:
            StoreError: a file is missing or damaged; the message names it.
        """
        file = folder / "network.json"
        try:
            description = json.loads(file.read_text())
            arguments, bfloat16 = description["arguments"], bool(description["bfloat16"])
            network = kind(**arguments)
            file = folder / "weights.safetensors"
            network.load_state_dict(load_file(file))
        except Exception as error:
            raise StoreError(f"{file} holds no usable network: {error}; remove {folder} to train again") from error
        return cls(arguments, network.to(device).eval(), device, bfloat16)
