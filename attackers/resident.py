"""Training images where the networks are: 16 bits a pixel, on the device when they fit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEVELS = 65535
"""Intensities are kept in steps of 1 / 65535."""

SHARE_OF_MEMORY = 0.5
"""Of a GPU's free memory, at most this much holds images; else they stay in main memory and travel batch by batch."""


Levels = NDArray[np.int16]


def levels(images: NDArray[np.float32] | NDArray[np.bool_] | Levels) -> Levels:
    """Images 0-1 in 16 bits a pixel; images that are so already stay as they are."""
    if images.dtype == np.int16:
        return images.astype(np.int16, copy=False)
    whole: Levels = np.empty(images.shape, np.int16)
    for start in range(0, len(images), 64):  # never a float copy of a whole cohort
        block = np.clip(images[start : start + 64].astype(np.float32), 0, 1)
        whole[start : start + 64] = np.round(block * LEVELS).astype(np.int32) - (LEVELS + 1) // 2
    return whole


class Resident:
    """Images 0-1 at hand for a training.

    Args:
        images: float32 or bool [n, h, w] or [n, channels, h, w], 0-1, or the `levels` of such.
        device: where the networks are.
    """

    def __init__(self, images: NDArray[np.float32] | NDArray[np.bool_] | Levels, device: str) -> None:
        whole = levels(images)
        stored = torch.from_numpy(whole if images.ndim == 4 else whole[:, None])
        self.device = device
        self.stored = stored.to(device) if _fits(stored, device) else stored

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of an image."""
        height, width = self.stored.shape[2:]
        return height, width

    def take(self, index: Tensor) -> Tensor:
        """Some of the images by int64 [k]: float32 [k, channels, h, w] on the device, 0-1."""
        chosen = self.stored.index_select(0, index.to(self.stored.device)).to(self.device, non_blocking=True)
        return (chosen.float() + (LEVELS + 1) // 2) / LEVELS


def _fits(stored: Tensor, device: str) -> bool:
    if not device.startswith("cuda"):
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return stored.numel() * stored.element_size() < SHARE_OF_MEMORY * free
