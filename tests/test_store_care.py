"""What a store holds, what may go and what never, whether it is sound, and that it can be moved."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from conftest import Workplace
from once_run import SUITE, copy_of, flip, of_kind, store_of, table

from refbench.job import Job
from refbench.job_file import write_jobs
from refbench.lock_file import going_on
from refbench.store import Store
from refbench.store_care.check import verify_store
from refbench.store_care.collect import Rules, collect
from refbench.store_care.usage import folder_size, look_through
from refbench.suite_file import Limits


@pytest.fixture
def workplace(once_run: Path, tmp_path: Path) -> Workplace:
    return copy_of(once_run, tmp_path / "copy")


def keys(store: Store) -> set[str]:
    return set(store.keys())


def unreferenced(store: Store, kind: str = "head") -> Job:
    """A result that no run refers to."""
    job = Job(kind, f"{kind} of nobody", {"number": 1})
    result = store.scratch(job.key) / "result"
    result.mkdir(parents=True)
    (result / "voxels.npy").write_bytes(b"x" * 1000)
    store.commit(job, result, {"status": "ok", "seconds": 1.0, "label": job.label})
    return job


def test_what_a_run_refers_to_is_known_before_it_has_ended(workplace: Workplace) -> None:
    store = store_of(workplace)
    (workplace.run_folder() / "jobs.json").unlink()  # written last
    assert keys(store) <= look_through(store).referenced


def test_du_tells_kinds_runs_and_what_nobody_needs(workplace: Workplace) -> None:
    unreferenced(store_of(workplace))
    shown = workplace.refbench("store", "du").stdout
    assert "slice               8 " in shown
    assert workplace.run_folder().name in shown
    assert "no run: 1 results; `refbench store gc`" in shown


def test_gc_takes_what_no_run_refers_to_and_nothing_else(workplace: Workplace) -> None:
    store = store_of(workplace)
    before, job = keys(store), unreferenced(store)
    (store.root / "scratch" / job.key).mkdir()
    (workplace.run_folder() / ".scores.parquet.0123abcd").write_bytes(b"cut short")
    shown = collect(store, Rules(), dry=True)
    assert store.has(job.key)
    done = collect(store, Rules())
    assert [(one.why, one.what) for one in done.removals] == [(one.why, one.what) for one in shown.removals]
    assert keys(store) == before
    assert not store.scratch(job.key).exists()
    assert not list(store.root.rglob(".*"))
    assert done.left == shown.left == folder_size(store.root)
    shutil.rmtree(workplace.run_folder())
    collect(store, Rules())
    assert keys(store) == set()


@pytest.mark.slow
def test_dropped_results_leave_tables_and_records_and_cost_nothing_again(workplace: Workplace) -> None:
    store, before, had = store_of(workplace), table(workplace), keys(store_of(workplace))
    trained = of_kind(store, "train")[0]
    gone = workplace.refbench("store", "gc", "--keep", "tables")
    assert gone.returncode == 0, gone.stderr
    assert {store.identity(key)["kind"] for key in keys(store)} == {"score", "check"}
    assert (store.record(trained) or {})["status"] == "ok"
    assert len(had) == len(keys(store)) + len(list(store.root.glob("dropped/*/*/status.json")))
    loads = workplace.count("load")
    again = workplace.refbench("run", workplace.suite(SUITE))
    assert again.returncode == 0, again.stderr
    assert f"{len(had)} jobs, {len(had)} cached" in again.stdout
    assert (workplace.count("load"), table(workplace)) == (loads, before)
    assert "0 to run" in workplace.refbench("plan", workplace.suite(SUITE)).stdout


@pytest.mark.slow
def test_what_is_needed_again_is_made_again_and_no_more(workplace: Workplace) -> None:
    store = store_of(workplace)
    collect(store, Rules(keep=frozenset({"slice", "score", "check"})))
    fits, loads = workplace.count("fit"), workplace.count("load")
    result = workplace.refbench("run", workplace.suite("attackers: [none, offset, offset: {share: 0.5}]"))
    assert result.returncode == 0, result.stderr
    assert (workplace.count("fit"), workplace.count("load")) == (fits + 1, loads)
    result = workplace.refbench("run", workplace.suite("attackers: [offset]\nanonymizers: [smear: {reach: 1}]"))
    assert result.returncode == 0, result.stderr
    assert workplace.count("load") == loads + 8, "heads were dropped, and another anonymizer needs them"
    assert of_kind(store, "head")[0] not in set(store.dropped_keys())
    done = workplace.refbench("run", workplace.suite(SUITE), "--whole")
    assert done.returncode == 0, done.stderr
    assert not list(store.dropped_keys())


def test_what_tables_about_heads_are_made_of_stays_and_faces_go(workplace: Workplace) -> None:
    store, listed = store_of(workplace), workplace.run_folder() / "jobs.json"
    made = [unreferenced(store, kind) for kind in ("frame", "look", "recognize", "identify", "measure")]
    listed.write_text(json.dumps(json.loads(listed.read_text()) | {job.label: job.key for job in made}))
    collect(store, Rules(keep=frozenset()))
    assert {store.identity(key)["kind"] for key in keys(store)} == {"score", "check", "identify", "measure"}


def test_over_a_budget_the_longest_unused_goes_first_then_what_is_cheap(workplace: Workplace) -> None:
    store = store_of(workplace)
    full = collect(store, Rules(), dry=True).left
    heads = look_through(store)
    some = heads.size(of_kind(store, "head")) // 2
    done = collect(store, Rules(budget=full - some))
    assert done.left <= full - some
    assert {one.why for one in done.removals} == {"over the budget"}
    usage, dropped = look_through(store), {one.what for one in done.removals}
    rate = {kind: _rate(store, heads, kind) for kind in ("head", "anonymize", "slice", "train", "reconstruct")}
    assert min(rate, key=lambda kind: rate[kind]) in dropped or dropped <= {"face", "skin"}
    assert usage.results.keys() < heads.results.keys()
    least = workplace.refbench("store", "gc", "--budget", "1kB")
    assert least.returncode == 3
    assert "The store stays over 1.0 kB" in least.stderr
    assert {store.identity(key)["kind"] for key in keys(store)} == {"score", "check"}


def test_files_of_slurm_tasks_stay_while_anything_is_to_come(workplace: Workplace) -> None:
    store = store_of(workplace)
    (store.root / "slurm").mkdir()
    (store.root / "slurm" / "12_0_log.out").write_text("said")
    plan = workplace.run_folder() / "plan.json"
    before = plan.read_text()
    plan.write_text(json.dumps({**json.loads(before), "jobs": {}}))  # as `run --detach` announces a runner
    assert collect(store, Rules()).removals == ()
    plan.write_text(before)
    assert [one.what for one in collect(store, Rules()).removals] == ["task file"]
    assert not list((store.root / "slurm").iterdir())


def _rate(store: Store, usage: object, kind: str) -> float:
    results = [one for one in usage.results.values() if one.kind == kind]  # type: ignore[attr-defined]
    return sum(one.seconds for one in results) / sum(one.bytes for one in results)


def test_what_goes_on_now_is_never_touched(workplace: Workplace) -> None:
    store, had = store_of(workplace), keys(store_of(workplace))
    with going_on(store, workplace.run_folder().name):
        done = collect(store, Rules(keep=frozenset(), budget=0))
        assert (done.removals, done.spared) == ((), len(had))
        assert keys(store) == had
    waiting = Job("score", "score of slices", {"x": 1}, (of_kind(store, "slice")[0],))
    shutil.rmtree(workplace.run_folder())
    write_jobs(store, [waiting], (), Limits())
    collect(store, Rules(keep=frozenset()))
    assert keys(store) == {of_kind(store, "slice")[0]}, "a job that waits elsewhere needs it"
    store.fail(waiting.key, {"status": "failed", "error": ""})  # one that failed waits no more
    collect(store, Rules())
    assert keys(store) == set()
    assert not list((store.root / "jobs").glob("*/*"))
    stranger = unreferenced(store)
    with store.lock("e" * 40):  # as a trial holds its jobs
        done = collect(store, Rules(keep=frozenset()))
    assert (done.removals, done.strangers) == ((), 1)
    assert store.has(stranger.key)


@pytest.mark.slow
def test_a_run_that_goes_on_loses_nothing_to_gc(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    process = workplace.start("run", workplace.suite("attackers: [none, offset: {pause: 20}]"))
    while not workplace.count("fit"):
        assert process.poll() is None
        time.sleep(0.02)
    had = keys(store_of(workplace))
    gone = workplace.refbench("store", "gc", "--keep", "tables", "--budget", "0B")
    assert "are needed now and stay" in gone.stdout, gone.stdout + gone.stderr
    assert had <= keys(store_of(workplace))
    assert "now " in workplace.refbench("store", "du").stdout
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_a_drop_that_was_killed_is_finished_later(workplace: Workplace) -> None:
    store = store_of(workplace)
    key = of_kind(store, "slice")[0]
    store.drop(key)  # and then the kill: its arrays are still there
    assert not store.has(key)
    assert (store.dropped_folder(key) / "original.npy").exists()
    collect(store, Rules())
    assert sorted(path.name for path in store.dropped_folder(key).iterdir()) == ["job.json", "status.json"]


@pytest.mark.parametrize("option", ["--keep=slices", "--budget=many"])
def test_a_slip_in_an_option_is_one_message(workplace: Workplace, option: str) -> None:
    result = workplace.refbench("store", "gc", option)
    assert result.returncode == 2
    assert ("did you mean 'slice'" in result.stderr) or ("write it as 50GB" in result.stderr)


@pytest.mark.slow
def test_verify_finds_every_flipped_bit_and_the_next_run_heals_the_store(workplace: Workplace) -> None:
    store, before = store_of(workplace), table(workplace)
    assert verify_store(store, lambda done, total: None).damaged == {}
    hit = {kind: of_kind(store, kind)[0] for kind in ("head", "slice", "reconstruct", "score")}
    names = {"head": "voxels.npy", "slice": "face.npy", "reconstruct": "reconstructed.npy", "score": "scores.npy"}
    for kind, key in hit.items():
        flip(store.folder(key) / names[kind])
    verified = workplace.refbench("store", "verify")
    assert verified.returncode == 3
    assert verified.stderr.count("differs from its checksum") == 4
    assert "4 damaged" in verified.stdout
    assert not any(store.has(key) for key in hit.values())
    healed = workplace.refbench("run", workplace.suite(SUITE))
    assert healed.returncode == 0, healed.stderr
    assert table(workplace) == before
    assert verify_store(store, lambda done, total: None).damaged == {}


@pytest.mark.slow
def test_a_store_can_be_moved_and_holds_no_path_of_its_own(
    once_run: Path, workplace: Workplace, tmp_path: Path
) -> None:
    fits, old, made_in = workplace.count("fit"), workplace.folder / "store", str(once_run / "store").encode()
    # where plug-ins and suites lie is known, but they lie outside of the store
    assert not [path for path in old.rglob("*") if path.is_file() and made_in in path.read_bytes()]
    old.rename(tmp_path / "moved")
    moved = workplace.refbench("run", workplace.suite(SUITE), "--store", tmp_path / "moved")
    assert moved.returncode == 0, moved.stderr
    jobs, cached = moved.stdout.split(" jobs, ")[-2:][0].split()[-1], moved.stdout.split(" cached")[0].split()[-1]
    assert jobs == cached
    assert workplace.count("fit") == fits


def test_versions_are_kept_once_and_named_by_every_result(once_run: Path) -> None:
    store = Store(once_run / "store")
    (file,) = (store.root / "environments").iterdir()
    versions = json.loads(file.read_text())
    assert {"numpy", "torch", "refbench"} <= versions["packages"].keys()
    for key in keys(store):
        record = store.status(key) or {}
        assert record["environment"] == file.stem
        assert record["hardware"]["cores"]
        assert "gpu_memory_mb" not in record, "there is no card here"
