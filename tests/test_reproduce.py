"""The lock file of a run, and running the same again from it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from conftest import Workplace
from once_run import SUITE, copy_of

from refbench.errors import RefbenchError
from refbench.lock_file import read_lock
from refbench.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def workplace(once_run: Path, tmp_path: Path) -> Workplace:
    return copy_of(once_run, tmp_path / "copy")


def test_the_lock_file_says_all_that_it_takes(workplace: Workplace) -> None:
    folder = workplace.run_folder()
    lock = read_lock(folder)
    parts = pd.read_csv(folder / "split.csv", dtype=str, keep_default_na=False).set_index("subject")["part"]
    assert lock.parts == parts[parts != ""].to_dict()
    assert "offset" in lock.suite
    assert lock.jobs == json.loads((folder / "jobs.json").read_text())
    assert lock.made_with == dict.fromkeys(lock.environments, len(set(lock.jobs.values())))
    (folder / "lock.json").write_text("{}")
    with pytest.raises(RefbenchError, match="cannot be used"):
        read_lock(folder)


def test_the_same_again_gives_the_same_numbers(workplace: Workplace) -> None:
    workplace.suite("attackers: [none]")  # the file has changed since; the lock file has not
    done = workplace.refbench("reproduce", workplace.run_folder().name, "--into", "again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "72 numbers compared, 0 differ" in done.stdout
    assert f"{workplace.run_folder().name} came out again" in done.stdout
    assert "other" not in done.stdout
    own = workplace.refbench("reproduce", workplace.run_folder().name, "--into", "store")
    assert own.returncode == 2
    assert "the run's own store" in own.stderr


def test_other_numbers_are_told_one_by_one_and_what_else_differs(workplace: Workplace) -> None:
    folder = workplace.run_folder()
    scores = pd.read_parquet(folder / "scores.parquet")
    row = scores.index[(scores["attacker"] == "offset") & (scores["region"] == "whole")][0]
    scores.loc[row, "value"] += 0.125
    scores.to_parquet(folder / "scores.parquet", index=False)
    lock = json.loads((folder / "lock.json").read_text())
    for versions in lock["environments"].values():
        versions["packages"]["numpy"] = "1.0"
    (folder / "lock.json").write_text(json.dumps(lock))
    plugin = workplace.folder / "plugin.py"
    done = workplace.refbench("reproduce", folder.name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "72 numbers compared, 1 differ" in done.stdout
    assert "smear × offset seed 0, correlation in whole: 1 of 6, by up to 0.125" in done.stdout
    assert "other version: numpy 1.0 → " in done.stdout
    assert "verdict" in done.stdout, "the means, by refbench compare"
    assert (workplace.folder / "store-reproduced").is_dir()
    assert not plugin.exists()
    near = workplace.refbench("reproduce", folder.name, "--tolerance", "0.2")
    assert near.returncode == 0, near.stdout
    assert " 0 differ" in near.stdout


def test_other_code_is_named_and_the_split_is_that_of_the_lock_file(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    own = tmp_path / "own.py"
    own.write_text(Path(__file__).with_name("tiny_plugins.py").read_text())
    suite = workplace.suite(f"{SUITE}\nplugins: [own.py]")
    assert workplace.refbench("run", suite).returncode == 0
    own.write_text(own.read_text().replace('people: int = param(8, "how many")', 'people: int = param(9, "how many")'))
    folder = workplace.run_folder()
    done = workplace.refbench("reproduce", folder.name)
    assert "own.py" in done.stdout.split("changed since: ")[1].splitlines()[0]
    assert "72 numbers compared, 0 differ" in done.stdout, done.stdout + done.stderr
    assert "other job: head: dataset.code" in done.stdout
    made = Store(tmp_path / "store-reproduced")
    (again,) = (made.root / "runs").iterdir()
    assert read_lock(again).parts == read_lock(folder).parts, "the ninth was not there"
