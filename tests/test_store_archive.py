"""A run moves to another store: all of it is cached there, and nothing strange gets in on the way."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from conftest import Workplace
from once_run import SUITE, copy_of, of_kind, table

from refbench.checksums import sealed, sha256
from refbench.errors import StoreError
from refbench.job import KINDS
from refbench.results import find_runs, load_run
from refbench.run_jobs import job_keys
from refbench.store import Store
from refbench.store_care.archive import export_run, import_run


@pytest.fixture
def workplace(once_run: Path, tmp_path: Path) -> Workplace:
    return copy_of(once_run, tmp_path / "copy")


def exported(folder: Path, out: Path, kinds: tuple[str, ...] = KINDS) -> Path:
    store = Store(folder / "store")
    (run,) = find_runs(store.root, [])
    export_run(run, job_keys(load_run(run)).values(), store, kinds, out)
    return out


@pytest.fixture(scope="module")
def archive(once_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(once_run, tmp_path_factory.mktemp("out") / "run.zip")


def rewritten(archive: Path, target: Path, change: dict[str, bytes | None], extra: dict[str, bytes]) -> Path:
    """A copy with other members: those named in `change` replaced or left out, and some more."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as out:
        for member in source.infolist():
            content = change.get(member.filename, source.read(member))
            if content is not None:
                out.writestr(member, content)
        for name, content in extra.items():
            out.writestr(name, content)
    return target


def test_equal_stores_give_equal_archives(once_run: Path, archive: Path, tmp_path: Path) -> None:
    shutil.copytree(once_run, tmp_path / "copy")  # other times, another order on the disk
    assert sha256(exported(tmp_path / "copy", tmp_path / "again.zip")) == sha256(archive)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_in_another_store_everything_is_cached(workplace: Workplace, archive: Path) -> None:
    before, fits = table(workplace), workplace.count("fit")
    (workplace.folder / "store").rename(workplace.folder / "old")
    taken = workplace.refbench("store", "import", archive)
    assert taken.returncode == 0, taken.stderr
    assert "0 records taken in, 0 were there" in taken.stdout
    assert workplace.refbench("leaderboard").stdout == workplace.refbench("leaderboard", "--store", "old").stdout
    again = workplace.refbench("run", workplace.suite(SUITE))
    assert again.returncode == 0, again.stderr
    jobs = len(list((workplace.folder / "old").glob("objects/*/*")))
    assert f"{jobs} jobs, {jobs} cached" in again.stdout
    assert (workplace.count("fit"), table(workplace)) == (fits, before)


def test_kinds_that_stay_behind_leave_records(once_run: Path, tmp_path: Path) -> None:
    out = exported(once_run, tmp_path / "small.zip", ("score", "check"))
    store = Store(tmp_path / "new")
    moved = import_run(out, store)
    assert moved.results == len(of_kind(store, "score")) + len(of_kind(store, "check"))
    assert moved.records == len(list((once_run / "store").glob("objects/*/*"))) - moved.results
    assert of_kind(Store(once_run / "store"), "slice")[0] in set(store.dropped_keys())
    assert import_run(out, store).there == moved.results + moved.records, "twice is no harm"


def test_results_that_are_there_stay(once_run: Path, archive: Path, tmp_path: Path) -> None:
    store = Store(Path(shutil.copytree(once_run / "store", tmp_path / "store")))
    (run,) = (store.root / "runs").iterdir()
    (run / "suite.yaml").write_text("mine")
    assert import_run(archive, store).results == 0
    assert (run / "suite.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/outside",
        "objects/../../outside",
        "runs/tiny-00000000/../../../outside",
        "objects\\ab\\outside",
        "C:outside",
        "objects/ab/" + "a" * 40 + "/voxels.npy",
        "runs/other-12345678/run.json",
        "scratch/outside",
        "file_hashes.json",
    ],
)
def test_a_strange_path_is_refused_before_anything_is_written(archive: Path, tmp_path: Path, name: str) -> None:
    bad = rewritten(archive, tmp_path / "bad.zip", {}, {name: b"x"})
    store = Store(tmp_path / "new")
    with pytest.raises(StoreError, match="does not belong into an archive; nothing was taken in"):
        import_run(bad, store)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != bad]


def test_a_link_is_refused(archive: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("environments/" + "a" * 40 + ".json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    bad = rewritten(archive, tmp_path / "bad.zip", {}, {})
    with zipfile.ZipFile(bad, "a") as out:
        out.writestr(link, "/etc/passwd")
    with pytest.raises(StoreError, match="does not belong"):
        import_run(bad, Store(tmp_path / "new"))


def test_another_job_or_other_bytes_are_refused(once_run: Path, archive: Path, tmp_path: Path) -> None:
    store = Store(once_run / "store")
    key = of_kind(store, "slice")[0]
    place = f"objects/{key[:2]}/{key}"
    record = store.status(key) or {}
    other = json.dumps({**store.identity(key), "code": "another"}).encode()
    sums = {**record["files"], "job.json": [len(other), record["files"]["job.json"][1]]}
    forged = json.dumps(sealed({name: v for name, v in record.items() if name != "digest"} | {"files": sums})).encode()
    for change, what in (
        ({f"{place}/face.npy": b"other"}, "face.npy has 5 bytes"),
        ({f"{place}/face.npy": None}, "face.npy is missing"),
        ({f"{place}/job.json": other, f"{place}/status.json": forged}, "job.json is not that of this key"),
        ({f"{place}/status.json": None}, "it has no record"),
    ):
        bad = rewritten(archive, tmp_path / "bad.zip", change, {})
        new = Store(tmp_path / f"new {what[:8]}")
        with pytest.raises(StoreError, match=what):
            import_run(bad, new)
        assert not new.has(key)
        assert not list((new.root / "scratch").iterdir())
        assert not list((new.root / "runs").iterdir())


def test_what_is_no_archive_is_one_message(workplace: Workplace) -> None:
    (workplace.folder / "bad.zip").write_bytes(b"PK nonsense")
    for name, said in (("bad.zip", "no archive of refbench"), ("missing.zip", "No such file")):
        result = workplace.refbench("store", "import", name)
        assert result.returncode == 2
        assert said in result.stderr
        assert "Traceback" not in result.stderr


def test_faces_of_real_people_go_along_only_if_asked(workplace: Workplace) -> None:
    """The tiny plug-ins are no installed dataset, so their heads may be real."""
    run = workplace.run_folder().name
    refused = workplace.refbench("store", "export", run, "out.zip", "--kinds", "train,slice")
    assert refused.returncode == 2
    assert "slice, train: these hold faces of real people; take them with --faces" in refused.stderr
    assert not (workplace.folder / "out.zip").exists()
    less = workplace.refbench("store", "export", run, "less.zip")
    assert "Real people: only check, identify, measure, register, score and records" in less.stdout
    with zipfile.ZipFile(workplace.folder / "less.zip") as written:
        arrays = {Path(name).name for name in written.namelist() if name.startswith("objects/")}
    assert arrays == {"job.json", "status.json", "scores.npy", "check.json"}
    assert workplace.refbench("store", "export", run, "all.zip", "--faces").returncode == 0
    with zipfile.ZipFile(workplace.folder / "all.zip") as written:
        assert any(name.endswith("voxels.npy") for name in written.namelist())
