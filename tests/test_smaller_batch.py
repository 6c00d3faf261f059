"""A graphics card whose memory is full: smaller batches where the attacker says it can, and everybody is told."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tiny_plugins import Keep, Offset
from toy_training import ToyAttacker, same, toy_pairs, train

from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.errors import CardFull, PluginError
from refbench.gpu_use import card_is_full
from refbench.plugin import param
from refbench.smaller_batch import batch_notes, fit_in_memory
from refbench.types import SlicePairs


class Fitted(Attacker):
    """Has a batch."""

    batch_parameter: ClassVar[str | None] = "batch"
    batch: int = param(12, "size", ge=1)

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        raise NotImplementedError

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        raise NotImplementedError


class Card:
    """Holds so many images; who asks for more is told as torch tells it."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.asked: list[int] = []
        self.held: list[weakref.ref[Any]] = []

    def fit(self, attacker: Any) -> Reconstructor:
        batch = attacker.batch
        self.asked.append(batch)
        assert not [one for one in self.held if one() is not None], "what the last try held is gone"
        taken = np.zeros(batch)
        self.held.append(weakref.ref(taken))
        if batch > self.images:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {taken.size} GiB")
        return Keep(batch)


def test_the_batch_is_halved_until_it_fits_and_that_is_noted(tmp_path: Path) -> None:
    card, remarks = Card(3), dict[str, Any]()
    gc.disable()  # the harness sees to it by itself
    try:
        fitted = fit_in_memory(card.fit, Fitted(), tmp_path, remarks)
    finally:
        gc.enable()
    assert (card.asked, remarks) == ([12, 6, 3], {"batch": {"asked": 12, "used": 3}})
    assert isinstance(fitted, Keep)
    assert batch_notes([("train blur × net", remarks), ("train blur × none", {}), ("train x", None)]) == [
        "blur × net: trained in batches of 3 in place of 12, as the memory of its graphics card was full"
    ]
    again, remarks = Card(100), {}
    fit_in_memory(again.fit, Fitted(), tmp_path, remarks)
    assert again.asked == [3], "a training that is taken up again keeps to the batch of its checkpoints"
    assert remarks == {"batch": {"asked": 12, "used": 3}}


def test_what_fits_at_once_is_no_remark(tmp_path: Path) -> None:
    card, remarks = Card(12), dict[str, Any]()
    fit_in_memory(card.fit, Fitted(), tmp_path, remarks)
    assert (card.asked, remarks, list(tmp_path.iterdir())) == ([12], {}, [])


def test_below_one_there_is_nothing_and_the_next_try_begins_anew(tmp_path: Path) -> None:
    card, remarks = Card(0), dict[str, Any]()
    with pytest.raises(CardFull, match=r"too small even for batch: 1 \(halved from 12\); make the network"):
        fit_in_memory(card.fit, Fitted(), tmp_path, remarks)
    assert (card.asked, remarks["batch"]) == ([12, 6, 3, 1], {"asked": 12, "used": 1})
    assert not list(tmp_path.iterdir())


def test_cards_that_share_a_batch_have_one_each_at_least(tmp_path: Path) -> None:
    card = Card(1)
    with pytest.raises(CardFull, match=r"even for batch: 2 \(halved from 8\)"):
        fit_in_memory(card.fit, Fitted(batch=8), tmp_path, {}, processes=2)
    assert card.asked == [8, 4, 2]


def test_an_attacker_that_does_not_say_it_can_is_left_as_it_is(tmp_path: Path) -> None:
    def fit(attacker: Attacker) -> Reconstructor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        fit_in_memory(fit, Offset(), tmp_path, {})

    class Wrong(Fitted):
        batch_parameter: ClassVar[str | None] = "size"

    with pytest.raises(PluginError, match=r"Wrong\.batch_parameter is 'size'"):
        fit_in_memory(fit, Wrong(), tmp_path, {})


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("any words"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), False),
        (ValueError("CUDA out of memory"), False),
    ],
)
def test_a_full_card_is_told_from_other_errors(error: Exception, full: bool) -> None:
    assert card_is_full(error) == full


def test_a_network_ends_as_if_the_smaller_batch_had_been_asked_for(tmp_path: Path) -> None:
    """Checkpoints of the larger batch are there, and are not taken up."""
    context = TrainingContext(0, tmp_path)

    def fit(attacker: Attacker) -> Reconstructor:
        made = attacker.fit(toy_pairs(), toy_pairs(0), context)
        if attacker.batch > 2:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return made

    remarks: dict[str, Any] = {}
    halved = fit_in_memory(fit, ToyAttacker(batch=4), tmp_path, remarks)
    assert remarks == {"batch": {"asked": 4, "used": 2}}
    assert same(halved, train(tmp_path / "asked", batch=2))  # type: ignore[arg-type]
