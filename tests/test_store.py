import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from refbench.errors import StoreError
from refbench.fingerprint import file_digest
from refbench.job import Job
from refbench.store import FileHashes, Store, default_store, write_atomically

JOB = Job("train", "train x", {"seed": 1})


def finished(store: Store, text: str = "weights", job: Job = JOB) -> Path:
    """A result as a worker leaves it in scratch."""
    result = store.scratch(job.key) / "result"
    result.mkdir(parents=True, exist_ok=True)
    (result / "model.txt").write_text(text)
    return result


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_new_store_has_nothing(store: Store) -> None:
    assert not store.has(JOB.key)
    assert store.status(JOB.key) is None
    assert store.failure(JOB.key) is None


def test_a_committed_result_stands_under_its_key_and_leaves_no_scratch(store: Store) -> None:
    store.commit(JOB, finished(store), {"status": "ok", "seconds": 2.0})
    assert store.has(JOB.key)
    record = store.status(JOB.key) or {}
    assert (record["status"], record["seconds"]) == ("ok", 2.0)
    assert record["files"]["model.txt"] == [7, hashlib.sha256(b"weights").hexdigest()]
    assert list(record["files"]) == ["job.json", "model.txt"]
    assert store.folder(JOB.key) == store.root / "objects" / JOB.key[:2] / JOB.key
    assert files(store.folder(JOB.key)) == ["job.json", "model.txt", "status.json"]
    assert json.loads((store.folder(JOB.key) / "job.json").read_text()) == {"kind": "train", "seed": 1}
    assert not store.scratch(JOB.key).exists()


def test_a_result_in_scratch_is_no_result(store: Store) -> None:
    finished(store)
    assert not store.has(JOB.key)
    assert Store(store.root).status(JOB.key) is None


def test_the_first_of_two_results_stays(store: Store) -> None:
    store.commit(JOB, finished(store, "first"), {"status": "ok"})
    store.commit(JOB, finished(store, "second"), {"status": "ok"})
    assert (store.folder(JOB.key) / "model.txt").read_text() == "first"


def test_a_failure_is_kept_until_it_is_forgotten_or_overtaken(store: Store) -> None:
    store.fail(JOB.key, {"status": "failed", "error": "diverged"})
    assert store.status(JOB.key) == store.failure(JOB.key) == {"status": "failed", "error": "diverged"}
    assert not store.has(JOB.key)
    store.forget_failure(JOB.key)
    assert store.failure(JOB.key) is None
    store.fail(JOB.key, {"status": "crashed", "error": ""})
    store.commit(JOB, finished(store), {"status": "ok"})
    assert store.failure(JOB.key) is None
    assert (store.status(JOB.key) or {})["status"] == "ok"


def test_forgetting_what_never_failed_is_no_error(store: Store) -> None:
    store.forget_failure(JOB.key)


def test_checkpoints_survive_a_failure(store: Store) -> None:
    with store.lock(JOB.key):
        (store.scratch(JOB.key) / "checkpoint.bin").write_text("x")
    store.fail(JOB.key, {"status": "timed out"})
    assert (store.scratch(JOB.key) / "checkpoint.bin").exists()


def test_damage_is_named(store: Store) -> None:
    store.fail(JOB.key, {"status": "failed"})
    (damaged,) = (store.root / "failures").rglob("*.json")
    damaged.write_text('{"status": "fai')
    with pytest.raises(StoreError, match=rf"{JOB.key}\.json is damaged .*; delete it"):
        store.status(JOB.key)


def test_a_store_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another with --store"):
        Store(tmp_path / "file" / "store")


def test_a_failed_rename_is_no_result(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    result = finished(store)

    def full(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", full)
        with pytest.raises(OSError, match="no space left"):
            store.commit(JOB, result, {"status": "ok"})
    assert not store.has(JOB.key)
    store.commit(JOB, result, {"status": "ok"})
    assert store.has(JOB.key)


def test_a_relative_store_stays_where_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(Path("here"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.root == tmp_path / "here"


# Locks


def test_one_lock_one_holder(store: Store) -> None:
    inside, most = 0, 0
    counting = threading.Lock()
    start = threading.Barrier(6)

    def work() -> None:
        nonlocal inside, most
        own = Store(store.root)
        start.wait()
        for _ in range(15):
            with own.lock(JOB.key):
                with counting:
                    inside += 1
                    most = max(most, inside)
                with counting:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_second_holder_waits_and_then_finds_the_result(store: Store) -> None:
    entered, found = threading.Event(), []

    def second() -> None:
        entered.set()
        with Store(store.root).lock(JOB.key):
            found.append(store.has(JOB.key))

    thread = threading.Thread(target=second)
    with store.lock(JOB.key):
        thread.start()
        entered.wait()
        store.commit(JOB, finished(store), {"status": "ok"})
    thread.join()
    assert found == [True]


def test_a_lock_ends_with_an_error_and_keys_do_not_block_each_other(store: Store) -> None:
    with pytest.raises(RuntimeError), store.lock(JOB.key):
        raise RuntimeError
    with store.lock(JOB.key), store.lock("0" * 40):
        pass
    assert not list((store.root / "scratch").glob("*.lock"))


def test_a_child_that_outlives_its_holder_holds_nothing(store: Store) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from refbench.store import Store\n"
        f"with Store(Path({str(store.root)!r})).lock('a'):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"  # it speaks once it runs, which is when it has let go
        "        print(os.getpid(), flush=True)\n"
        "        time.sleep(60)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    child = int(holder.stdout.readline())
    try:
        assert store.held("a")
        holder.kill()
        holder.wait()
        assert Path(f"/proc/{child}").exists()
        assert not store.held("a")
        store.sweep()
        assert not list((store.root / "scratch").glob("*.lock"))
    finally:
        os.kill(child, signal.SIGKILL)


# Small files


def test_write_atomically_leaves_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    write_atomically(path, "old")
    write_atomically(path, "naïve")
    assert path.read_text(encoding="utf-8") == "naïve"
    assert files(tmp_path) == ["new/run.json"]


def test_a_file_is_read_again_only_when_it_changed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "head.nii"
    path.write_bytes(b"abc")
    hashes = FileHashes(store)
    first = hashes.digest(path)
    hashes.save()
    reads = []
    monkeypatch.setattr("refbench.store.file_digest", lambda path: reads.append(path) or "f" * 40)
    again = FileHashes(store)
    assert again.digest(path) == first
    assert reads == []
    path.write_bytes(b"abcd")
    assert again.digest(path) == "f" * 40
    assert reads == [path]


def test_damaged_file_hashes_only_cost_time(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "head.nii"
    path.write_bytes(b"abc")
    for text in ("{", "[1]", '{"x": 3}', json.dumps({str(path): 3})):
        (store.root / "file_hashes.json").write_text(text)
        assert FileHashes(store).digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a3"


def test_the_default_store_is_in_the_current_folder_or_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFBENCH_STORE", raising=False)
    assert default_store() == Path(".refbench")
    monkeypatch.setenv("REFBENCH_STORE", "/big/disk")
    assert default_store() == Path("/big/disk")


def test_a_file_that_cannot_be_read_has_a_digest_that_says_so(tmp_path: Path) -> None:
    hashes = FileHashes(Store(tmp_path / "store"))
    path = tmp_path / "head.nii.gz"
    assert hashes.digest(path) == f"unreadable: {path} (No such file or directory)"
    path.write_bytes(b"there again")
    assert hashes.digest(path) == file_digest(path)


def test_sweep_removes_what_finished_jobs_left_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    done, open_ = Job("head", "done", {"n": 1}), Job("head", "open", {"n": 2})
    for job in (done, open_):
        (store.scratch(job.key) / "result").mkdir(parents=True)
        (store.root / "scratch" / f"{job.key}.lock").touch()
    store.commit(done, store.scratch(done.key) / "result", {"status": "ok"})
    store.scratch(done.key).mkdir()
    store.sweep()
    assert {path.stem for path in (store.root / "scratch").iterdir()} == {open_.key}
