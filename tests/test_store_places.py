"""Stores where nothing can be written, or no more."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import Workplace
from once_run import SUITE, copy_of, of_kind

from refbench.store import Store

pytestmark = pytest.mark.slow

Mount = Callable[[Path, str], None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts a small disk of its own, or mounts it anew with other options."""
    mounted: list[Path] = []

    def do(folder: Path, options: str) -> None:
        if folder in mounted:
            subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True, capture_output=True)
            return
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("mounting a disk takes rights that are not here")
        mounted.append(folder)

    yield do
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_store_that_cannot_be_written_is_read(once_run: Path, tmp_path: Path, mount: Mount) -> None:
    workplace = copy_of(once_run, tmp_path / "copy")
    disk = tmp_path / "disk"
    mount(disk, "size=20m")
    store = Path(shutil.copytree(once_run / "store", disk / "store"))
    suite = workplace.suite(SUITE)
    expected = workplace.refbench("leaderboard").stdout
    mount(disk, "ro")

    def ask(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        result = workplace.refbench(*arguments, "--store", store)
        assert "Traceback" not in result.stderr, result.stderr
        return result

    assert ask("leaderboard").stdout == expected
    assert "0 to run" in ask("plan", suite).stdout
    assert ask("plot", "--out", workplace.folder / "plots").returncode == 0
    assert ask("store", "du").returncode == 0
    assert "0 damaged" in ask("store", "verify").stdout
    cached = ask("run", suite)
    assert cached.returncode == 0, cached.stderr
    assert "smear" in cached.stdout
    assert f"{len(list(store.glob('objects/*/*')))} cached" in cached.stdout
    (copy,) = (workplace.folder / "store" / "runs").iterdir()
    assert ask("store", "export", copy.name, workplace.folder / "run.zip").returncode == 0

    for refused, said in (
        (ask("run", workplace.suite("attackers: [offset: {share: 0.5}]")), "cannot be written, and"),
        (ask("store", "gc"), "`--dry-run` shows what could go"),
        (ask("plot"), "Read-only file system"),
    ):
        assert refused.returncode == 2
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert ask("store", "gc", "--dry-run", "--keep", "tables").stdout.count("kind not kept") > 3


def test_a_full_disk_stops_a_run_and_gc_makes_room_on_it(tmp_path: Path, mount: Mount) -> None:
    workplace = Workplace(tmp_path)
    text = yaml.safe_dump(
        {"slices": {"count": 21, "size": 48, "spacing_mm": 4}, "anonymizers": [{"smear": {"reach": [1, 2]}}]}
    )
    suite = workplace.suite(text)
    assert workplace.refbench("run", suite, "--store", "calm").returncode == 0
    mount(tmp_path / "disk", "size=3m")
    store = Store(tmp_path / "disk" / "store")
    stopped = workplace.refbench("run", suite, "--store", store.root)
    assert stopped.returncode == 2
    assert "Traceback" not in stopped.stderr
    assert "the same command goes on from there" in stopped.stderr
    assert not list(store.root.glob("failures/*/*")), "nobody is to blame"
    made = of_kind(store, "head")
    assert len(made) == 8
    verified = workplace.refbench("store", "verify", "--store", store.root)
    assert " 0 damaged" in verified.stdout, "what was written is whole"
    before = shutil.disk_usage(store.root).free
    gone = workplace.refbench("store", "gc", "--budget", "1MB", "--store", store.root)
    assert "Traceback" not in gone.stderr
    assert shutil.disk_usage(store.root).free > before + 1_000_000
    mount(tmp_path / "disk", "size=30m")
    ended = workplace.refbench("run", suite, "--store", store.root)
    assert ended.returncode == 0, ended.stderr
    tables = [next((tmp_path / name / "runs").glob("*/scores.parquet")) for name in ("calm", "disk/store")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_where_checkpoints_and_lists_of_jobs_do_not_fit_the_last_ones_stay(
    once_run: Path, tmp_path: Path, mount: Mount
) -> None:
    workplace = copy_of(once_run, tmp_path / "copy")
    mount(tmp_path / "disk", "size=16m")
    store = Store(Path(shutil.copytree(once_run / "store", tmp_path / "disk" / "store")))
    suite = workplace.suite("attackers: [walk: {steps: 4, ballast: 2000000}]", "walk")

    def stopped() -> str:
        result = workplace.refbench("run", suite, "--store", store.root)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
        assert not store.failed(), "nobody is to blame"
        return result.stderr

    def fill(left: int) -> None:
        filler.write_bytes(bytes(shutil.disk_usage(tmp_path / "disk").free - left))

    filler = tmp_path / "disk" / "filler"
    fill(0)
    assert "make room; the same command goes on from there" in stopped()
    filler.unlink()
    fill(9_000_000)
    assert "there was no space left to write its result" in stopped()
    (checkpoint,) = store.root.glob("scratch/*/checkpoint")
    assert checkpoint.read_text().split("]")[0].startswith("[2, ")
    filler.unlink()
    assert workplace.refbench("run", suite, "--store", store.root).returncode == 0
    assert not list((store.root / "scratch").iterdir())
