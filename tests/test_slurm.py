"""Runs through a real SLURM: the same tables as on one machine, whatever happens to its tasks."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from conftest import Workplace
from slurm_cluster import queue, slurm

from refbench.results import load_run

pytestmark = pytest.mark.slow

FEW = "dataset: {tiny_heads: {people: 4}}\nsplit: {test: 1, validation: 1}\n"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with slurm():
        yield


def _wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.1)


def _prepared(workplace: Workplace) -> None:
    """The first stages are done already, on this machine."""
    assert workplace.refbench("run", workplace.suite(FEW, "prepared")).returncode == 0


def _table(folder: Path) -> bytes:
    return next((folder / "runs").glob("*/scores.parquet")).read_bytes()


def _arrays(workplace: Workplace) -> list[dict[str, list[str]]]:
    """Keys by task of every array, in the order in which they were handed in."""
    files = sorted((workplace.folder / "store" / "slurm").glob("*.json"), key=lambda file: int(file.stem))
    return [json.loads(file.read_text()) for file in files]


def test_the_same_table_as_on_one_machine_and_what_crashes_costs_nobody_else(workplace: Workplace) -> None:
    suite = workplace.suite(
        FEW + "anonymizers: [identity, smear: {fault: [none, segfault]}]\n"
        "attackers: [none, offset, offset: {fault: segfault}]\n"
        "engine: {slurm: {bundle: 1, max_array: 2, setup: ['export SET_UP=yes']}}"
    )
    calm = workplace.refbench("run", suite, "--store", "calm", "--engine", "local")
    assert calm.returncode == 3
    done = workplace.refbench("run", suite)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert _table(workplace.folder / "store") == _table(workplace.folder / "calm")
    runs = [load_run(next((workplace.folder / store / "runs").iterdir())) for store in ("store", "calm")]
    columns = ["anonymizer", "attacker", "status", "error"]
    pd.testing.assert_frame_equal(*(run.cells[columns] for run in runs))
    assert runs[0].cells["error"].str.startswith("killed by SIGSEGV").any()
    prepare, *others = _arrays(workplace)
    assert len(prepare) == 2, "four people in two tasks"
    assert len({key for keys in prepare.values() for key in keys}) == 12
    assert all(len(array) <= 2 for array in others)
    assert not queue()


def test_a_training_longer_than_the_time_limit_goes_on_from_its_checkpoint(workplace: Workplace) -> None:
    _prepared(workplace)
    suite = workplace.suite(
        FEW + "attackers: [offset, deep: {step_seconds: 0.6}]\n"
        "engine: {slurm: {trainings: {minutes: 1, cpus: 2}, notice_seconds: 10}}"
    )
    done = workplace.refbench("run", suite)
    assert done.returncode == 0, done.stderr
    assert workplace.count("turn") >= 2
    assert workplace.count("step") <= 100 + workplace.count("turn"), "at most the step that was under way is done again"
    scores = load_run(
        max((workplace.folder / "store" / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    ).scores
    values = {name: list(rows["value"]) for name, rows in scores.groupby("attacker")}
    assert values["deep(step_seconds=0.6)"] == values["offset"]
    scripts = [file.read_text() for file in (workplace.folder / "store" / "slurm").glob("*_submission.sh")]
    (deep,) = (text for text in scripts if "--gpus-per-node=1" in text)
    assert "--time=1\n" in deep
    assert "--cpus-per-task=2\n" in deep


def test_a_task_outlives_its_runner_is_taken_over_and_tried_again_when_it_is_lost(workplace: Workplace) -> None:
    _prepared(workplace)
    suite = workplace.suite(FEW + "attackers: [none, patient: {step_seconds: 0.4}]\nengine: slurm")
    killed = workplace.start("run", suite)
    _wait_until(lambda: workplace.count("step") > 0, "a step")
    killed.kill()
    killed.communicate()
    (task,) = queue()
    second = workplace.start("run", suite)
    steps = workplace.count("step")
    _wait_until(lambda: "under way" in workplace.refbench("status", "tiny").stdout, "a runner")
    assert list(queue()) == [task], "the second runner follows the task of the first"
    assert workplace.count("turn") == 1
    assert workplace.count("step") > steps
    subprocess.run(["scancel", task], check=True)
    _, errors = second.communicate(timeout=180)
    assert second.returncode == 0, errors
    assert workplace.count("turn") == 2
    assert workplace.count("step") <= 102
    assert len(_arrays(workplace)) == 3, "the task, its second start, and the scores"


def test_ctrl_c_takes_what_runs_and_what_waits_from_the_queue(workplace: Workplace) -> None:
    _prepared(workplace)
    suite = workplace.suite(
        FEW + "attackers: [patient: {step_seconds: [5, 6, 7]}]\nengine: {slurm: {bundle: 1, parallel: 1}}"
    )
    process = workplace.start("run", suite)
    _wait_until(lambda: sorted(queue().values()) == ["PENDING", "PENDING", "RUNNING"], "one runs, two wait")
    _wait_until(lambda: workplace.count("turn") > 0, "a training")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on from there" in " ".join(errors.split())
    _wait_until(lambda: not queue(), "an empty queue")
    assert "0 kept" in workplace.refbench("plan", suite).stdout


def test_a_detached_run_is_left_to_slurm_and_watched_through_the_store(workplace: Workplace) -> None:
    _prepared(workplace)
    suite = workplace.suite(FEW + "attackers: [none, offset]\nengine: slurm")
    handed_in = workplace.refbench("run", suite, "--detach")
    assert handed_in.returncode == 0, handed_in.stderr
    assert "handed in as SLURM job" in handed_in.stdout
    first = workplace.refbench("status", "tiny").stdout
    assert "SLURM job" in first
    assert "its runner has not begun yet" in first or "under way since" in first
    _wait_until(lambda: "finished" in workplace.refbench("status", "tiny").stdout, "the end of the run")
    assert len(_arrays(workplace)) == 2, "one for the trainings that were left, one for their scores"
    (jobs,) = (line for line in workplace.refbench("run", suite).stdout.splitlines() if " cached, " in line)
    assert jobs.split()[0] == jobs.split()[2], "all was done"


def test_what_slurm_refuses_is_one_message(workplace: Workplace) -> None:
    suite = workplace.suite(FEW + "engine: {slurm: {tasks: {partition: nowhere}}}")
    refused = workplace.refbench("run", suite)
    assert refused.returncode == 2
    assert "SLURM refused the tasks" in refused.stderr
    assert "invalid partition specified: nowhere" in refused.stderr
    assert "Traceback" not in refused.stderr
