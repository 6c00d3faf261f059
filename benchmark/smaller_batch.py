"""Trains in smaller batches where the memory of a graphics card is too small for those that were asked for."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from refbench.attackers.base import Attacker, Reconstructor
from refbench.errors import CardFull, PluginError
from refbench.gpu_use import card_is_full

FILE = "batch.json"
"""Beside a training's checkpoints: the batch that did, so that a training that is taken up again goes on with it."""

Fit = Callable[[Attacker], Reconstructor]


def fit_in_memory(
    fit: Fit, attacker: Attacker, folder: Path, remarks: dict[str, Any], *, processes: int = 1
) -> Reconstructor:
    """Train; where a card's memory is full, again with half the batch of an attacker that says it can.

    Args:
        fit: trains the attacker that it is given.
        attacker: as the suite has it; `Attacker.batch_parameter` says what may be halved.
        folder: survives a kill of the training.
        remarks: gets `batch`, asked and used, where these differ.
        processes: that share a batch; each has at least one of it, and all the same number.

    Raises:
        CardFull: the smallest batch is too large.
        PluginError: `batch_parameter` names no whole number.
        Whatever `fit` raises.
    """
    name = attacker.batch_parameter
    if name is None:
        return fit(attacker)
    asked = getattr(attacker, name, None)
    if not isinstance(asked, int):
        raise PluginError(f"{type(attacker).__name__}.batch_parameter is {name!r}, which is no whole number of its own")
    batch, file = asked, folder / FILE
    if file.exists():
        batch = min(asked, int(json.loads(file.read_text())))
    while True:
        if batch < asked:
            remarks["batch"] = {"asked": asked, "used": batch}
        try:
            return fit(attacker.model_copy(update={name: batch}) if batch < asked else attacker)
        except Exception as error:
            if not card_is_full(error):
                raise
            if batch // 2 < processes or batch // 2 % processes:
                file.unlink(missing_ok=True)  # another card may hold more
                halved = f" (halved from {asked})" if batch < asked else ""
                raise CardFull(
                    f"the graphics card's memory is too small even for {name}: {batch}{halved}; make the network or "
                    "the slices smaller, or train on a card with more"
                ) from error
            print(f"the graphics card's memory is full with {name}: {batch}: {error}", file=sys.stderr)
        batch //= 2  # after the error is gone, which held what the training had on the card
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps(batch))
        beside.replace(file)
        _free_the_card()


def batch_notes(trainings: Iterable[tuple[str, Mapping[str, Any] | None]]) -> list[str]:
    """What readers of the results should know of trainings, given as label and record, whose batch was halved."""
    return [
        f"{label.removeprefix('train ')}: trained in batches of {record['batch']['used']} in place of "
        f"{record['batch']['asked']}, as the memory of its graphics card was full"
        for label, record in trainings
        if record and "batch" in record
    ]


def _free_the_card() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
