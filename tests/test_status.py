"""`refbench status`: where a run stands, from the store alone."""

from __future__ import annotations

import signal
import time
from collections import Counter

from conftest import Workplace

from refbench.run_status import RunStatus, run_status
from refbench.store import Store

SUITE = "dataset: {tiny_heads: {people: 4}}\nsplit: {test: 1, validation: 1}\n"


def _now(workplace: Workplace) -> RunStatus:
    return run_status(workplace.run_folder(), Store(workplace.folder / "store"))


def test_a_run_can_be_watched_while_it_runs_and_after_its_end(workplace: Workplace) -> None:
    suite = workplace.suite(SUITE + "attackers: [none, patient: {step_seconds: 0.5}]")
    process = workplace.start("run", suite)
    deadline = time.monotonic() + 60
    while not workplace.count("step"):
        assert time.monotonic() < deadline, "the training never began"
        time.sleep(0.05)
    found = _now(workplace)
    assert found.attended
    assert not found.finished
    assert f"process {process.pid} on " in found.runner
    (training,) = (job for job in found.jobs if job.state == "running" and job.kind == "train")
    assert training.note["device"] == "cpu"
    assert {cell.name: cell.state for cell in found.cells}["smear × patient(step_seconds=0.5)"] == "running"
    counted = Counter((job.kind, job.state) for job in found.jobs)
    assert counted["head", "done"] == 4
    assert counted["score", "waiting"] == 3
    shown = workplace.refbench("status").stdout
    assert "under way since" in shown
    assert "train smear × patient(step_seconds=0.5): " in shown
    assert " on cpu of " in shown

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    found = _now(workplace)
    assert not found.attended
    assert Counter(job.state for job in found.jobs)["running"] == 0
    assert "nobody works on it" in workplace.refbench("status", found.name[:6]).stdout


def test_failures_are_shown_with_their_reasons(workplace: Workplace) -> None:
    suite = workplace.suite(SUITE + "anonymizers: [identity, smear: {fault: raise}]\nattackers: [none]")
    workplace.refbench("run", suite)
    found = _now(workplace)
    assert found.finished
    assert {cell.state for cell in found.cells} == {"done", "failed"}
    shown = workplace.refbench("status").stdout
    assert "cells: 1 done, 1 failed" in shown
    assert "anonymize T00 session  smear(fault=raise) and 3 more: failed: ValueError: no nose in sight" in shown
    assert "smear(fault=raise) × none: blocked: nobody is left" in shown
    assert f"next: refbench leaderboard {found.name}" in shown


def test_without_a_run_it_says_so(workplace: Workplace) -> None:
    asked = workplace.refbench("status")
    assert asked.returncode == 2
    assert "no run in" in asked.stderr
    folder = workplace.folder / "store" / "runs" / "tiny-12345678"
    folder.mkdir()
    (folder / "plan.json").write_text("{")
    asked = workplace.refbench("status", "tiny")
    assert asked.returncode == 2
    assert "plan.json cannot be read" in asked.stderr
    assert "Traceback" not in asked.stderr
