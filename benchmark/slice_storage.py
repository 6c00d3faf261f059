"""How the pixels of slices lie on disk: exactly, or with fewer bytes and an error that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refbench.types import Images

Storage = Literal["float32", "float16", "uint16", "uint8"]

LARGEST_ERROR: Mapping[Storage, float] = {
    "float32": 0.0,
    "float16": 2.0**-12,
    "uint16": 0.5 / 65535,
    "uint8": 0.5 / 255,
}
"""The most that a pixel of 0-1 can differ when it is read again; of float16 just below 1, less in the dark."""


def encode(images: Images, storage: Storage) -> NDArray[Any]:
    """Pixels of 0-1 as they are stored, rounded to the nearest that the type has; its largest integer stands for 1."""
    dtype = np.dtype(storage)
    if dtype.kind == "f":
        return images.astype(dtype)
    steps = np.iinfo(dtype).max
    return np.rint(images * np.float64(steps)).astype(dtype)


def decode(stored: NDArray[Any]) -> NDArray[Any]:
    """What `encode` made, as float32 of 0-1; masks (bool) as they are."""
    if stored.dtype.kind == "u":
        return stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    return stored if stored.dtype == bool else stored.astype(np.float32, copy=False)
