"""Attackers that do what no plug-in should, for `test_misbehaviour.py`; a plug-in file of a suite, as a user's own."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.none import NoAttack
from refbench.plugin import param
from refbench.types import SlicePairs

MEGABYTE = 1_000_000


def leave_a_child() -> None:
    """A process that nobody waits for, and that no plea ends."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (Path(os.environ["TINY_LOG"]) / f"child-{os.getpid()}").touch()
        time.sleep(600)
        os._exit(0)
    time.sleep(0.2)


class Rogue(NoAttack):
    """Misbehaves in one way."""

    way: Literal["touch nothing", "hang", "die and leave a child", "leave a child", "eat", "shout", "shout and die"] = (
        param(..., "what it does")
    )

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        match self.way:
            case "touch nothing":
                print("so far, so good")
                ctypes.string_at(0)
            case "hang":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(600)
            case "die and leave a child":
                leave_a_child()
                os._exit(3)
            case "leave a child":
                leave_a_child()
            case "eat":
                eaten = []
                while True:
                    eaten.append(np.empty(64 * MEGABYTE, np.uint8))  # which is not touched, for who else is here
            case "shout" | "shout and die":
                for _ in range(10):
                    print("x" * MEGABYTE)
                    sys.stderr.write("y" * MEGABYTE + "\n")
                    os.write(2, b"z" * MEGABYTE)
                if self.way == "shout and die":
                    raise RuntimeError("hoarse")
        return super().fit(train, validation, context)


class Hungry(NoAttack):
    """Fits on the card with so many slices at once."""

    gpu: ClassVar[bool] = True
    batch_parameter: ClassVar[str | None] = "batch"

    batch: int = param(8, "slices per step", ge=1)
    fits: int = param(2, "slices that the card holds")

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        import torch

        if self.batch > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().fit(train, validation, context)


class Odd(NoAttack):
    """Returns a list of images."""

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        loaded: Any = super().load(folder, device)
        loaded.reconstruct = lambda released: list(released.images)
        return loaded  # type: ignore[no-any-return]
