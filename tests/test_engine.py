"""How the engine shares out cores and cards; real processes are tested in test_run.py and test_interruption.py."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from refbench.engines import local as engine_module
from refbench.engines.local import LocalEngine
from refbench.errors import SuiteError
from refbench.job import Job
from refbench.store import Store
from refbench.suite_file import Limits
from refbench.watch.listeners import Silent
from refbench.worker import _take_device


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


def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cards: int, cores: int, shards: int, deep: int, each: int = 1
) -> None:
    SEEN.clear()
    monkeypatch.setattr(engine_module, "gpus", lambda: ("a card",) * cards)
    engine = Recording(Store(tmp_path / "store"), Limits(), (), Silent(), slots=cores, cards=each)
    engine.run([[Job("train", f"job {number}", {"number": number})] for number in range(shards)], deep=deep)


def test_each_card_trains_one_attacker_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, cards=2, cores=16, shards=9, deep=9)
    assert len(SEEN) == 9
    assert {device for device, _, _ in SEEN} == {"cuda:0", "cuda:1"}
    assert max(together for _, _, together in SEEN) == 1


@pytest.mark.parametrize("cards", [4, 5])
def test_a_training_over_several_cards_has_them_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cards: int
) -> None:
    run(tmp_path, monkeypatch, cards=cards, cores=16, shards=5, deep=5, each=2)
    assert {device for device, _, _ in SEEN} == {"cuda:0,1", "cuda:2,3"}
    assert max(together for _, _, together in SEEN) == 1


def test_a_training_that_wants_more_cards_than_there_are_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SuiteError, match=r"wants 3 graphics cards, and there are 2 .* lower training\.gpus"):
        run(tmp_path, monkeypatch, cards=2, cores=4, shards=1, deep=0, each=3)
    assert not SEEN


def test_without_cards_it_does_not_matter_how_many_a_training_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, monkeypatch, cards=0, cores=4, shards=2, deep=2, each=8)
    assert {(device, threads) for device, threads, _ in SEEN} == {("cpu", 2)}


@pytest.mark.parametrize(
    ("visible", "device", "kind", "own"),
    [
        (None, "cuda:1", "cuda", "1"),
        (None, "cuda:2,3", "cuda", "2,3"),
        ("4, 6,GPU-9", "cuda:1,2", "cuda", "6,GPU-9"),
        ("4,6", "cpu", "cpu", "4,6"),
    ],
)
def test_a_job_sees_no_card_but_its_own(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, device: str, kind: str, own: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert _take_device(device) == kind
    assert os.environ["CUDA_VISIBLE_DEVICES"] == own


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
