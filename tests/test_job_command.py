"""`refbench job KEY`: what engines start somewhere, and whoever wants to see a failure by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Workplace

from refbench.errors import StoreError
from refbench.job import Job
from refbench.job_file import read_job, write_jobs
from refbench.plan import build_plan
from refbench.store import Store
from refbench.suite import load_suite
from refbench.suite_file import Limits


def test_a_job_left_in_the_store_is_read_as_it_was(tmp_path: Path) -> None:
    store, job = Store(tmp_path), Job("train", "train a × b", {"seed": 3, "gpus": 2}, ("a" * 40,), {"path": "/x"})
    write_jobs(store, [job], (Path("/plug.py"),), Limits(minutes=5))
    left = read_job(store, job.key[:7])
    assert left.job == job
    assert left.job.key == job.key
    assert (left.plugin_files, left.limits.minutes) == ((Path("/plug.py"),), 5)


def test_a_file_that_holds_another_job_is_refused(tmp_path: Path) -> None:
    store, job = Store(tmp_path), Job("train", "x", {"seed": 3})
    write_jobs(store, [job], (), Limits())
    file = store.job_file(job.key)
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data | {"identity": {"seed": 4}}))
    with pytest.raises(StoreError, match="does not hold the job that it is named after"):
        read_job(store, job.key)
    file.write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        read_job(store, job.key)
    with pytest.raises(StoreError, match="no open job is 'ffff'"):
        read_job(store, "ffff")


def test_jobs_run_one_by_one_make_what_a_run_makes(workplace: Workplace) -> None:
    suite = workplace.suite("attackers: [none, offset]")
    store = Store(workplace.folder / "store")
    plan = build_plan(load_suite(str(suite)), store)
    jobs = list({job.key: job for job in plan.jobs()}.values())
    write_jobs(store, jobs, plan.suite.plugin_files, Limits())
    done = workplace.refbench("job", *(job.key[:20] for job in jobs))
    assert done.returncode == 0, done.stderr
    assert all(store.has(job.key) for job in jobs)
    assert not list((store.root / "jobs").rglob("*.json"))
    run = workplace.refbench("run", suite)
    assert f"{len(jobs)} jobs, {len(jobs)} cached" in run.stdout


def test_without_its_inputs_a_job_is_blocked_and_says_so(workplace: Workplace) -> None:
    suite = workplace.suite("")
    store = Store(workplace.folder / "store")
    plan = build_plan(load_suite(str(suite)), store)
    (job,) = [job for job in plan.jobs() if job.kind == "reconstruct"]
    write_jobs(store, [job], plan.suite.plugin_files, Limits())
    done = workplace.refbench("job", job.key)
    assert done.returncode == 3
    assert f"{job.label}: blocked: an input: it was not made" in done.stderr
