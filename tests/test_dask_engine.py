"""The Dask engine on a scheduler and two workers in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Workplace
from dask_cluster import DaskCluster

from refbench.results import load_run
from refbench.running import RUNNING_NAME
from refbench.store import Store

pytest.importorskip("distributed", reason="the extra dask is not installed: pip install 'refbench[dask]'")
pytestmark = pytest.mark.slow

SUITE = """
anonymizers: [identity, smear: {reach: [1, 2]}]
attackers: [none, offset]
"""
FEW = "dataset: {tiny_heads: {people: 3}}\nsplit: {test: 1, validation: 1}\n"
"""Three people: enough where it does not matter what is computed."""


@pytest.fixture
def cluster(workplace: Workplace) -> Iterator[DaskCluster]:
    """Two workers."""
    made = DaskCluster(workplace.folder / "dask", workplace.environment())
    try:
        made.worker()
        made.worker()
        yield made
    finally:
        made.stop()


def on(cluster: DaskCluster, **options: Any) -> str:
    inside = "".join(f", {name}: {value}" for name, value in options.items())
    return f"--engine=dask: {{scheduler: {cluster.file}{inside}}}"


def wait_until(true: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def table(store: Path) -> bytes:
    return next((store / "runs").glob("*/scores.parquet")).read_bytes()


def parents(pid: int) -> list[int]:
    """A process and those above it."""
    found = [pid]
    while found[-1] > 1:
        found.append(int(Path(f"/proc/{found[-1]}/stat").read_text().rpartition(")")[2].split()[1]))
    return found


def running_jobs(workplace: Workplace) -> list[int]:
    """Process groups of jobs that have begun."""
    notes = (workplace.folder / "store" / "scratch").glob(f"*/{RUNNING_NAME}")
    return [int(text.partition('"pid": ')[2].partition(",")[0]) for note in notes if (text := note.read_text())]


def test_the_same_table_byte_for_byte_and_nothing_twice(workplace: Workplace, cluster: DaskCluster) -> None:
    suite = workplace.suite(FEW + SUITE)
    assert workplace.refbench("run", suite, "--store", "calm").returncode == 0
    for file in (workplace.folder / "log").iterdir():
        file.unlink()
    result = workplace.refbench("run", suite, on(cluster))
    assert result.returncode == 0, result.stderr
    assert table(workplace.folder / "store") == table(workplace.folder / "calm")
    assert (workplace.count("load"), workplace.count("fit")) == (3, 3)
    assert load_run(workplace.run_folder()).info["engine"]["dask"]["scheduler"] == str(cluster.file)
    again = workplace.refbench("run", suite, "--engine", "local")
    assert "0 jobs" not in again.stdout
    assert workplace.count("fit") == 3, "the engine is part of no key and of no folder"
    assert not list((workplace.folder / "store" / "scratch").iterdir())


@pytest.mark.parametrize("with_its_jobs", [False, True])
def test_a_worker_that_is_killed_costs_nothing_but_time(
    workplace: Workplace, cluster: DaskCluster, with_its_jobs: bool
) -> None:
    suite = workplace.suite(f"{FEW}attackers: [none, offset: {{pause: 4}}]")
    process = workplace.start("run", suite, on(cluster))
    wait_until(lambda: workplace.count("fit"))
    (job,) = wait_until(lambda: running_jobs(workplace))
    above = parents(job)
    (killed,) = [worker for worker in cluster.workers if worker.pid in above]
    killed.kill()
    if with_its_jobs:
        for pid in above[: above.index(killed.pid)]:
            os.kill(pid, signal.SIGKILL)
    output, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors + output
    assert set(load_run(workplace.run_folder()).cells["status"]) == {"ok"}
    # What was left goes on, and whoever tries it again waits for its end.
    assert workplace.count("fit") == (2 if with_its_jobs else 1)


def test_plugins_that_take_their_process_with_them_leave_the_workers_alone(
    workplace: Workplace, cluster: DaskCluster
) -> None:
    suite = workplace.suite(
        "anonymizers: [identity, smear: {fault: exit, every: 2}]\n"
        "attackers: [none, offset: {fault: segfault}]\nlimits: {minutes: 5}"
    )
    result = workplace.refbench("run", suite, on(cluster))
    assert result.returncode == 3
    assert "Traceback" not in result.stdout + result.stderr
    assert [worker.poll() for worker in cluster.workers] == [None, None]
    run = load_run(workplace.run_folder())
    ended = run.cells.set_index(["anonymizer", "attacker"])["status"]
    assert ended["identity", "none"] == "ok"
    assert ended["identity", "offset(fault=segfault)"] == "crashed"
    died = run.subjects[run.subjects["outcome"] == "crashed"]
    assert 0 < len(died) < 8
    assert workplace.count("anonymize") == 8, "a job that ended badly by itself is not tried again"


def test_ctrl_c_ends_what_runs_on_the_workers(workplace: Workplace, cluster: DaskCluster) -> None:
    suite = workplace.suite(f"{FEW}attackers: [offset: {{pause: 300}}, offset: {{pause: 301}}, offset: {{pause: 302}}]")
    process = workplace.start("run", suite, on(cluster, bundle=1))
    wait_until(lambda: workplace.count("fit") == 2)
    jobs = running_jobs(workplace)
    assert len(jobs) == 2
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "the same command goes on from there" in errors
    assert not [job for job in jobs if Path(f"/proc/{job}").exists()]
    assert not Store(workplace.folder / "store").failed()
    time.sleep(1)
    assert workplace.count("fit") == 2, "what had not begun does not begin"


DEEP = """
import json, os, time
from pathlib import Path
from typing import ClassVar
from refbench.attackers.none import NoAttack
from refbench.plugin import param


class Deep(NoAttack):
    "Notes which cards it sees."

    gpu: ClassVar[bool] = True
    number: int = param(0, "tells one from another")

    def fit(self, train, validation, context):
        time.sleep(2)
        note = {"cards": os.environ.get("CUDA_VISIBLE_DEVICES"), "worker": os.environ.get("WORKER")}
        (Path(os.environ["TINY_LOG"]) / f"deep-{self.number}").write_text(json.dumps(note))
        return super().fit(train, validation, context)
"""


def test_trainings_of_networks_go_where_cards_are_offered_and_have_theirs_alone(
    workplace: Workplace, cluster: DaskCluster
) -> None:
    (workplace.folder / "deep.py").write_text(DEEP)
    cluster.worker("--resources", "GPU=2", threads=2, under=("env", "WORKER=with cards", "CUDA_VISIBLE_DEVICES=5,7"))
    wait_until(lambda: "Registered to" in cluster.said(2))
    tiny = Path(__file__).with_name("tiny_plugins.py")
    suite = workplace.suite(f"{FEW}plugins: [{tiny}, deep.py]\nattackers: [none, deep: {{number: [1, 2]}}]")
    result = workplace.refbench("run", suite, on(cluster))
    assert result.returncode == 0, result.stderr
    notes = [json.loads((workplace.folder / "log" / f"deep-{number}").read_text()) for number in (1, 2)]
    assert {note["worker"] for note in notes} == {"with cards"}
    assert sorted(note["cards"] for note in notes) == ["5", "7"]
    refused = workplace.refbench(
        "run",
        workplace.suite(f"{FEW}plugins: [{tiny}, deep.py]\nattackers: [deep]\ntraining: {{gpus: 3}}"),
        on(cluster),
    )
    assert refused.returncode == 2
    assert "wants 3 graphics cards, and no worker offers more than 2" in refused.stderr


def test_a_worker_that_does_not_see_the_store_is_found_out_before_anything_runs(
    workplace: Workplace, cluster: DaskCluster
) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("hiding the store from a worker takes a mount of its own, and that needs root")
    store, elsewhere = workplace.folder / "store", workplace.folder / "elsewhere"
    elsewhere.mkdir()
    Store(store)
    # This machine has the folder, too, and it is another one.
    cluster.worker(under=("unshare", "--mount", "sh", "-c", f'mount --bind {elsewhere} {store} && exec "$@"', "sh"))
    wait_until(lambda: "Registered to" in cluster.said(2))
    result = workplace.refbench("run", workplace.suite(""), on(cluster))
    assert result.returncode == 2
    assert f"does not see the store {store}: it must be the same folder" in result.stderr
    assert "Traceback" not in result.stderr
    assert workplace.count("load") == 0
    assert not list((store / "scratch").iterdir())
