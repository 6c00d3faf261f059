"""Damaged results are found, set aside, made again and reported; and what checksums cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Workplace
from once_run import SUITE, copy_of, flip, of_kind, store_of, table

from refbench.checksums import look
from refbench.damage import DamagedInput, check_inputs
from refbench.job import Job
from refbench.store import Store


@pytest.fixture
def workplace(once_run: Path, tmp_path: Path) -> Workplace:
    return copy_of(once_run, tmp_path / "copy")


ARTIFACTS = {
    "head": "voxels.npy",
    "face": "face.npz",
    "skin": "skin.npz",
    "anonymize": "values.npy",
    "check": "check.json",
    "slice": "anonymized.npy",
    "train": "model/model.npz",
    "reconstruct": "reconstructed.npy",
    "score": "scores.npy",
}


def test_a_flipped_bit_shows_in_every_kind_of_artifact(once_run: Path, tmp_path: Path) -> None:
    store = Store(once_run / "store")
    assert {store.identity(key)["kind"] for key in store.keys()} == set(ARTIFACTS)  # noqa: SIM118  # a method
    for kind, name in ARTIFACTS.items():
        key = of_kind(store, kind)[0]
        for file in (name, "job.json", "status.json"):
            folder = Path(shutil.copytree(store.folder(key), tmp_path / f"{kind}-{file.replace('/', '-')}" / key))
            assert look(folder, deep=True).state == "sound"
            flip(folder / file)
            assert look(folder, deep=True).state == "damaged", (kind, file)
    assert look(tmp_path / "nowhere", deep=True).state == "gone"


def test_missing_cut_and_strange_files_are_named(once_run: Path, tmp_path: Path) -> None:
    store = Store(once_run / "store")
    key = of_kind(store, "slice")[0]
    folder = Path(shutil.copytree(store.folder(key), tmp_path / key))
    (folder / "strange.npy").write_bytes(b"?")
    assert look(folder, deep=True).what == "strange.npy does not belong there"
    (folder / "face.npy").write_bytes(b"short")
    assert look(folder, deep=False).what.startswith("face.npy has 5 bytes, not ")
    (folder / "changed.npy").unlink()
    assert look(folder, deep=False).what == "changed.npy is missing"


def test_results_from_before_there_were_checksums_are_unverified_and_used(once_run: Path, tmp_path: Path) -> None:
    store = Store(Path(shutil.copytree(once_run / "store", tmp_path / "store")))
    key = of_kind(store, "head")[0]
    record = store.status(key) or {}
    old = {name: value for name, value in record.items() if name not in ("files", "digest")}
    (store.folder(key) / "status.json").write_text(json.dumps(old))
    assert look(store.folder(key), deep=True).state == "unverified"
    check_inputs(store, [key])
    assert store.has(key)


def test_a_job_refuses_a_damaged_input_and_sets_it_aside(once_run: Path, tmp_path: Path) -> None:
    store = Store(Path(shutil.copytree(once_run / "store", tmp_path / "store")))
    key = of_kind(store, "head")[0]
    flip(store.folder(key) / "voxels.npy")
    with pytest.raises(DamagedInput, match=r"head T\d\d .*was damaged \(voxels.npy differs from its checksum\)"):
        check_inputs(store, [key])
    assert not store.has(key)
    assert store.damaged()[key]["what"] == "voxels.npy differs from its checksum"
    with pytest.raises(DamagedInput, match="not there any more"):
        check_inputs(store, [key])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "redo"), [("slice", "reconstruct"), ("train", "reconstruct")])
def test_a_run_makes_a_damaged_input_again_and_says_so(workplace: Workplace, kind: str, redo: str) -> None:
    """Sizes are right, so only the job that reads it can tell; the same command makes it again and goes on."""
    before, store = table(workplace), store_of(workplace)
    keys = of_kind(store, kind)
    if kind == "slice":  # one that is tested
        keys = [store.identity(of_kind(store, "reconstruct")[0])["test"][0]]
    for key in keys[:1]:
        flip(store.folder(key) / ARTIFACTS[kind])
    for again in (*of_kind(store, redo), *of_kind(store, "score")):
        shutil.rmtree(store.folder(again))
    result = workplace.refbench("run", workplace.suite(SUITE))
    assert result.returncode == 0, result.stderr
    assert f"damaged, set aside and made again where needed: {kind} " in result.stderr
    assert f"{ARTIFACTS[kind]} differs from its checksum" in result.stderr
    assert table(workplace) == before
    assert store.has(keys[0])
    assert list(store.damaged()) == keys[:1]
    assert "damaged" not in workplace.refbench("run", workplace.suite(SUITE)).stderr, "it is said once"


@pytest.mark.slow
def test_a_cached_run_looks_at_what_its_tables_are_made_of_and_at_sizes(workplace: Workplace) -> None:
    before, store = table(workplace), store_of(workplace)
    score, head = of_kind(store, "score")[0], of_kind(store, "head")[0]
    flip(store.folder(score) / "scores.npy")
    (store.folder(head) / "voxels.npy").write_bytes(b"cut")
    (store.root / "failures" / "ab").mkdir()
    failed = Job("train", "x", {"seed": 1})
    store.fail(failed.key, {"status": "failed"})
    plan = workplace.refbench("plan", workplace.suite(SUITE)).stdout
    assert "damaged: voxels.npy has 3 bytes" in plan
    result = workplace.refbench("run", workplace.suite(SUITE))
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("made again where needed") == 2
    assert table(workplace) == before
    assert store.has(head)
