"""How the engine shares out cores and cards; real processes are tested in test_run.py and test_interruption.py."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from refbench import engine as engine_module
from refbench.engine import LocalEngine
from refbench.job import Job
from refbench.store import Store
from refbench.suite import Limits


class Silent:
    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None: ...

    def ended(self, job: Job, record: dict[str, Any]) -> None: ...


class Recording(LocalEngine):
    """Notes where and with how many threads each job would run, and how many ran at once on a device."""

    def _run_job(self, job: Job, device: str, threads: int) -> dict[str, Any]:
        with LOCK:
            BUSY[device] += 1
            SEEN.append((device, threads, BUSY[device]))
        time.sleep(0.02)
        with LOCK:
            BUSY[device] -= 1
        return {"status": "ok"}


LOCK = threading.Lock()
SEEN: list[tuple[str, int, int]] = []
BUSY: Counter[str] = Counter()


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cards: int, cores: int, shards: int, deep: int) -> None:
    SEEN.clear()
    monkeypatch.setattr(engine_module, "gpus", lambda: ("a card",) * cards)
    engine = Recording(Store(tmp_path / "store"), Limits(), (), Silent(), slots=cores)
    engine.run([[Job("train", f"job {number}", {"number": number})] for number in range(shards)], deep=deep)


def test_each_card_trains_one_attacker_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, cards=2, cores=16, shards=9, deep=9)
    assert len(SEEN) == 9
    assert {device for device, _, _ in SEEN} == {"cuda:0", "cuda:1"}
    assert max(together for _, _, together in SEEN) == 1


def test_without_cards_trainings_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, cards=0, cores=8, shards=2, deep=2)
    assert {(device, threads) for device, threads, _ in SEEN} == {("cpu", 4)}


def test_a_resumed_run_computes_with_the_same_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, cards=0, cores=8, shards=1, deep=8)
    assert [threads for _, threads, _ in SEEN] == [1]


def test_other_jobs_have_a_core_each_and_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, cards=2, cores=4, shards=8, deep=0)
    assert {(device, threads) for device, threads, _ in SEEN} == {("cpu", 1)}
    assert max(together for _, _, together in SEEN) <= 4
