"""The state of a training on disk: tensors in a safetensors file, whatever else there is as JSON in its header."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from refbench.errors import StoreError


def write(file: Path, state: Any) -> None:
    """Write a state so that a kill at any moment leaves the old file or the new one.

    Args:
        file: where to; its folder exists.
        state: tensors, numbers, texts, None, nested in dictionaries (keys: text or whole numbers), lists and tuples.

    Raises:
        TypeError: the state holds something else.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_described(state, tensors))
    beside = file.with_suffix(".new")
    save_file(tensors, beside, {"structure": structure})
    with beside.open("rb") as stream:
        os.fsync(stream.fileno())
    beside.replace(file)


def read(file: Path) -> Any:
    """What `write` was given, tensors in main memory, tuples as lists.

    Raises:
        StoreError: the file is damaged; the message names it.
    """
    try:
        with safe_open(file, "pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  # not a dictionary
            return _restored(json.loads(stored.metadata()["structure"]), tensors)
    except Exception as error:
        raise StoreError(f"{file} holds no usable checkpoint: {error}; remove it to train from the start") from error


def _described(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON that tells tensors, dictionaries and lists apart; fills `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # safetensors takes no two names for one memory, and torch shares freely
        tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _described(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_described(item, tensors) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds no {type(value).__name__}")


def _restored(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_restored(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    return {key: _restored(item, tensors) for key, item in value["dict"]}
