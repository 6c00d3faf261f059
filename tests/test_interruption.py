"""Runs that are killed or stopped: nothing that finished is lost, nothing half-written is left."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from conftest import Workplace

SUITE = """
anonymizers: [identity, smear: {reach: [1, 2, 3]}]
attackers: [none, offset: {pause: 0.3}]
"""


def _wait_for(workplace: Workplace, what: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while workplace.count(what) < count:
        assert time.monotonic() < deadline, f"never saw {count} x {what}"
        time.sleep(0.02)


def _table(store: Path) -> bytes:
    return next((store / "runs").glob("*/scores.parquet")).read_bytes()


def _undisturbed(workplace: Workplace, suite: Path) -> bytes:
    assert workplace.refbench("run", suite, "--store", "calm").returncode == 0
    return _table(workplace.folder / "calm")


@pytest.mark.parametrize(("what", "count"), [("anonymize", 5), ("fit", 2)])
def test_kill_9_loses_nothing_and_the_same_command_goes_on(workplace: Workplace, what: str, count: int) -> None:
    suite = workplace.suite(SUITE)
    expected = _undisturbed(workplace, suite)
    for file in (workplace.folder / "log").iterdir():
        file.unlink()
    process = workplace.start("run", suite)
    _wait_for(workplace, what, count)
    process.kill()
    process.communicate()
    done = len(list((workplace.folder / "store" / "objects").glob("*/*/status.json")))
    assert done
    result = workplace.refbench("run", suite)
    assert result.returncode == 0, result.stderr
    assert f"{done} cached" in result.stdout or int(result.stdout.split(" cached")[0].split()[-1]) >= done
    assert _table(workplace.folder / "store") == expected
    # What was under way when it died may have been done again, what had finished not.
    assert workplace.count("load") <= 8 + 2
    assert not list((workplace.folder / "store" / "scratch").iterdir())


def test_jobs_end_when_their_runner_is_gone(workplace: Workplace) -> None:
    process = workplace.start("run", workplace.suite("attackers: [offset: {pause: 100}]"))
    _wait_for(workplace, "fit", 1)
    (scratch,) = (p for p in (workplace.folder / "store" / "scratch").iterdir() if p.is_dir())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while _open_files(scratch):
        assert time.monotonic() < deadline, "the training goes on without its runner"
        time.sleep(0.1)


def _open_files(folder: Path) -> list[str]:
    held = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(str(folder)):
            held.append(target)
    return held


def test_ctrl_c_says_what_is_kept(workplace: Workplace) -> None:
    suite = workplace.suite("attackers: [none, offset: {pause: 100}]")
    process = workplace.start("run", suite)
    _wait_for(workplace, "fit", 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    plan = workplace.refbench("plan", suite).stdout
    assert "cancelled" not in plan  # a stop is no failure
    assert "kept failures" in plan
    assert " 0 kept" in plan


def test_two_runs_of_one_suite_at_once_do_no_harm(workplace: Workplace) -> None:
    suite = workplace.suite(SUITE)
    expected = _undisturbed(workplace, suite)
    for file in (workplace.folder / "log").iterdir():
        file.unlink()
    both = [workplace.start("run", suite) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert _table(workplace.folder / "store") == expected
    assert workplace.count("fit") == 4  # nothing was trained twice
