"""What a job took of its graphics cards: memory as torch counts it, energy where the card and nvidia-ml-py tell."""

from __future__ import annotations

import sys
from typing import Any

_FULL = ("CUDA out of memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
"""Words of torch's allocator, of the driver, and of cuBLAS and cuDNN."""


def card_is_full(error: Exception) -> bool:
    """Whether an error of torch says that there is no memory left on a graphics card."""
    # By its name: nobody imports torch only to ask.
    named = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    return named or (isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL))


class GpuUse:
    """Counts from when it is made. Nothing is imported for a job that has no card, or that never touched it."""

    def __init__(self, device: str) -> None:
        self._before = _energy_mj() if device.startswith("cuda") else {}

    def figures(self) -> dict[str, Any]:
        """`gpu_memory_mb`, the most that torch reserved on all cards, and `gpu_energy_j` of the cards; or neither."""
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
            return {}
        cards = range(torch.cuda.device_count())
        found: dict[str, Any] = {"gpu_memory_mb": sum(torch.cuda.max_memory_reserved(card) for card in cards) / 1e6}
        after = _energy_mj()
        # Whatever else ran on a card counts, too: a job has its cards to itself.
        own = [f"GPU-{torch.cuda.get_device_properties(card).uuid}" for card in cards]
        if own and all(card in self._before and card in after for card in own):
            found["gpu_energy_j"] = sum(after[card] - self._before[card] for card in own) / 1000
        return found


def _energy_mj() -> dict[str, int]:
    """Energy that each card has used since its driver was loaded, in millijoule, by the card's own number."""
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        cards = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return {pynvml.nvmlDeviceGetUUID(card): pynvml.nvmlDeviceGetTotalEnergyConsumption(card) for card in cards}
    except pynvml.NVMLError:  # no driver, or a card that counts no energy
        return {}
