"""A clock that is set while a suite runs: no job is ended for it, and none lives for ever."""

from __future__ import annotations

import os
import time

import pytest
from conftest import Workplace

from refbench.commands.status import status_lines
from refbench.results import load_run
from refbench.run_status import run_status
from refbench.store import Store

DAY = 86400
SET_BY = """
import os
import time

_true = time.time


def _set():
    try:
        with open({file!r}) as stream:
            return _true() + float(stream.read())
    except (OSError, ValueError):
        return _true()


time.time = _set
"""
"""Every Python begins with this; files have the times of the system all the same."""

SUITE = """
dataset: {tiny_heads: {people: 3}}
split: {test: 1, validation: 1}
attackers: [walk: {steps: 40, step_seconds: 0.05}, offset: {pause: 300}]
limits: {minutes: 0.1}
"""


def wait_for(workplace: Workplace, what: str) -> None:
    deadline = time.monotonic() + 60
    while not workplace.count(what):
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_clock_that_is_set_forth_and_back_changes_nothing(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = workplace.folder / "clock"
    (workplace.folder / "sitecustomize.py").write_text(SET_BY.format(file=str(clock)))
    monkeypatch.setenv("PYTHONPATH", str(workplace.folder))
    suite = workplace.suite(SUITE)
    process = workplace.start("run", suite, "--jobs", "2")
    wait_for(workplace, "turn")
    clock.write_text(str(DAY))
    wait_for(workplace, "fit")
    time.sleep(0.3)
    clock.write_text(str(-DAY))
    folder, store = workplace.run_folder(), Store(workplace.folder / "store")
    shown = status_lines(run_status(folder, store), time.time() - DAY)
    assert f"  train smear × offset(pause=300): on cpu of {os.uname().nodename}, 0.0 s" in shown
    output, errors = process.communicate(timeout=90)
    assert process.returncode == 3, output + errors
    run = load_run(folder)
    walked, hung = (run.cells[run.cells["attacker"].str.startswith(name)].iloc[0] for name in ("walk", "offset"))
    assert (walked["status"], hung["status"]) == ("ok", "timed out")
    assert 2 <= walked["train_seconds"] < 60
    assert 6 <= run.info["seconds"] < 90
    assert run_status(folder, store).finished
    assert not [path.stem for path in (store.root / "scratch").glob("*.lock") if store.held(path.stem)]
