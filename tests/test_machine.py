"""How much of a machine is used where only a part of it was given out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from refbench import machine
from refbench.machine import cores, jobs_side_by_side, memory


def test_only_cores_that_were_given_out_count() -> None:
    one = next(iter(os.sched_getaffinity(0)))
    code = f"import os; os.sched_setaffinity(0, [{one}]); from refbench.machine import cores; print(cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
    assert cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("group", "file", "limit"),
    [
        ("0::/job/step", "job/memory.max", "4000000000"),  # the step may have all of its job's
        ("4:cpu,memory:/job", "memory/job/memory.limit_in_bytes", "4000000000\n"),
        ("4:memory:/seen/from/outside", "memory/memory.limit_in_bytes", "4000000000"),  # within a container
    ],
)
def test_the_limit_of_a_control_group_counts(tmp_path: Path, group: str, file: str, limit: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(limit)
    (tmp_path / "groups").write_text(f"1:pids:/\n{group}\n")
    assert memory(tmp_path, tmp_path / "groups") == 4_000_000_000


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "groups").write_text("0::/\n")
    assert memory(tmp_path, tmp_path / "groups") == memory(tmp_path, tmp_path / "none") > 10**8


def test_jobs_that_say_what_they_take_find_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 16)
    monkeypatch.setattr(machine, "memory", lambda: 64_000_000_000)
    assert [jobs_side_by_side(size) for size in (None, 1, 8, 20, 100)] == [16, 16, 8, 3, 1]
