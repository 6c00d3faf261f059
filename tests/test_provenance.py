"""What a result was made with."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from refbench import provenance
from refbench.gpu_use import GpuUse


def test_without_cards_nothing_is_said_of_them() -> None:
    assert GpuUse("cpu").figures() == {}


def test_what_cards_took_is_the_difference_of_their_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins with the names that torch and nvidia-ml-py have; the real ones need a card."""
    counter = iter([{"GPU-a": 5_000, "GPU-b": 9_000}, {"GPU-a": 12_500, "GPU-b": 9_100}])
    now: dict[str, int] = {}
    nvml = types.SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: now.update(next(counter)),
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: ["GPU-a", "GPU-b"][number],
        nvmlDeviceGetUUID=lambda card: card,
        nvmlDeviceGetTotalEnergyConsumption=lambda card: now[card],
    )
    cuda = types.SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: True,
        device_count=lambda: 1,
        max_memory_reserved=lambda card: 3_000_000,
        get_device_properties=lambda card: types.SimpleNamespace(uuid="a"),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    assert GpuUse("cuda:0").figures() == {"gpu_memory_mb": 3.0, "gpu_energy_j": 7.5}


def test_a_card_that_counts_no_energy_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("not supported")

    nvml = types.SimpleNamespace(NVMLError=RuntimeError, nvmlInit=refuse)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)  # type: ignore[arg-type]
    assert GpuUse("cuda:0")._before == {}


def test_a_checkout_tells_its_commit_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    module = tmp_path / "benchmark" / "provenance.py"
    module.parent.mkdir()
    monkeypatch.setattr(provenance, "__file__", str(module))
    provenance.checkout.cache_clear()
    assert provenance.checkout() == {}
    git("init", "--quiet")
    module.write_text("x = 1\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    for text, changed in (("x = 1\n", False), ("x = 2\n", True)):
        module.write_text(text)
        provenance.checkout.cache_clear()
        assert provenance.checkout() == {"commit": git("rev-parse", "HEAD"), "changed_since": changed}
    monkeypatch.undo()
    provenance.checkout.cache_clear()


def test_every_package_is_named_once_by_its_normal_name() -> None:
    packages = provenance.software()["packages"]
    assert {"numpy", "scikit-image", "refbench", "pytest"} <= packages.keys()
    assert all(name == name.lower() and "_" not in name for name in packages)
    assert provenance.environment()["packages"]["scikit-image"] == packages["scikit-image"]
