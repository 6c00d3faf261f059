"""Plug-ins that do what they should not: each has its end, and a reason to act on; all others are as without them.

What anonymizers and attackers return, exceptions and exit codes: `test_run.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from conftest import Workplace

from refbench import job_log
from refbench.results import load_run
from refbench.store import Store

TESTS = Path(__file__).parent
SUITE = f"""
plugins: [{TESTS / "tiny_plugins.py"}, {TESTS / "rogue_plugins.py"}]
dataset: {{tiny_heads: {{people: 3}}}}
split: {{test: 1, validation: 1}}
attackers:
- none
- offset: {{fault: nan}}
- odd
- hungry: {{fits: [2, 0]}}
- rogue: {{way: [hang, touch nothing, die and leave a child, leave a child, eat, shout, shout and die]}}
limits: {{minutes: 0.1, memory_gb: 3}}
"""
ENDS = {
    "none": ("ok", ""),
    "offset(fault=nan)": ("invalid output", "NaN"),
    "odd": ("invalid output", "what odd returned must be float32 (3, 24, 24), not list"),
    "hungry(fits=2)": ("ok", ""),
    "hungry(fits=0)": ("out of memory", "too small even for batch: 1 (halved from 8); make the network or the slices"),
    "rogue(way=hang)": ("timed out", "ran past 0.1 minutes; raise limits.minutes in the suite"),
    "rogue(way=touch nothing)": ("crashed", "killed by SIGSEGV; `refbench report` shows the end of its log"),
    "rogue(way=die and leave a child)": ("crashed", "ended with exit code 3 and left no result"),
    "rogue(way=leave a child)": ("ok", ""),
    "rogue(way=eat)": ("out of memory", "data type uint8; a job may have 3 GB: raise limits.memory_gb in the suite"),
    "rogue(way=shout)": ("ok", ""),
    "rogue(way=shout and die)": ("failed", "RuntimeError: hoarse"),
}


@pytest.mark.slow
def test_every_misdeed_has_its_end_and_costs_nobody_else(workplace: Workplace) -> None:
    result = workplace.refbench("run", workplace.suite(SUITE))
    assert result.returncode == 3
    assert "Traceback" not in result.stdout + result.stderr
    run, store = load_run(workplace.run_folder()), Store(workplace.folder / "store")
    cells = run.cells.set_index("attacker")
    assert cells["status"].to_dict() == {attacker: status for attacker, (status, _) in ENDS.items()}
    for attacker, (_, reason) in ENDS.items():
        assert reason in cells.loc[attacker, "error"]
    assert set(run.scores["attacker"]) == {"", *(attacker for attacker, (status, _) in ENDS.items() if status == "ok")}

    children = [int(file.name.partition("-")[2]) for file in (workplace.folder / "log").glob("child-*")]
    assert len(children) == 2
    assert not [child for child in children if psutil.pid_exists(child)]

    log = (store.failure(cells.loc["rogue(way=touch nothing)", "key"]) or {})["log"]
    assert "so far, so good" in log
    assert any("rogue_plugins.py" in line and "in fit" in line for line in log), "where it was"
    shouted = cells.loc["rogue(way=shout and die)", "key"]
    kept = (store.failure(shouted) or {})["log"]
    assert kept[-1] == "RuntimeError: hoarse"
    assert sum(map(len, kept)) <= job_log.TAIL_LENGTH
    assert (store.scratch(shouted) / job_log.NAME).stat().st_size <= job_log.MOST_BYTES

    told = "smear × hungry(fits=2): trained in batches of 2 in place of 8, as the memory of its graphics card was full"
    assert f"! {told}" in result.stdout
    assert (store.status(cells.loc["hungry(fits=2)", "key"]) or {})["batch"] == {"asked": 8, "used": 2}
    assert told in json.loads(workplace.refbench("leaderboard", "--format", "json").stdout)["notes"]


def test_of_a_long_log_the_end_stays_and_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "MOST_BYTES", 1000)
    file = tmp_path / "log.txt"
    with file.open("ab", buffering=0) as writer:
        writer.write(b"early\n" * 100)
        job_log.shorten(file)
        assert file.stat().st_size == 600
        writer.write(b"late\n" * 100)
        job_log.shorten(file)
        writer.write(b"last\n")
    lines = file.read_text().splitlines()
    assert lines == ["(what was printed before is left out)", *["late"] * job_log.TAIL_LINES, "last"]
    file.write_text(f"where it was\n\nExtension modules: {'numpy, ' * 800}\n")
    assert job_log.tail(file) == ["where it was"]
    assert job_log.tail(tmp_path / "none.txt") == []
