"""What a run asks of whole heads: who is looked for among whom, and what the tables say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import MadeOnce, Workplace

pytestmark = pytest.mark.slow

PLUGINS = [str(Path(__file__).with_name(name)) for name in ("tiny_plugins.py", "face_plugins.py")]
SUITE = """
plugins: {plugins}
dataset: {{phantom: {{subjects: 7, sessions: {sessions}, scale: 0.25}}}}
slices: {{count: 5, size: 64, spacing_mm: 8}}
anonymizers: [smear]
attackers: [none, offset]
recognizers: [{recognizer}]
head_metrics: [changed_share, {{changed_share: {{refuse: true}}}}]
"""


def _suite(sessions: int = 1, recognizer: str = "plain_relief") -> str:
    return SUITE.format(plugins=PLUGINS, sessions=sessions, recognizer=recognizer)


def _tables(workplace: Workplace) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = workplace.run_folder()
    return pd.read_parquet(folder / "identification.parquet"), pd.read_parquet(folder / "heads.parquet")


@pytest.fixture(scope="module")
def once(made_once: MadeOnce) -> Workplace:
    return Workplace(made_once("faces", lambda folder: _run(Workplace(folder))))


def _run(workplace: Workplace) -> None:
    done = workplace.refbench("run", workplace.suite(_suite()))
    assert done.returncode == 0, done.stderr


def test_every_probe_is_held_against_every_original(once: Workplace) -> None:
    pairs, _ = _tables(once)
    people = set(pairs["subject"])
    assert len(people) == 2
    conditions = pairs.groupby(["anonymizer", "attacker", "condition", "recognizer"], sort=False)
    assert list(conditions.groups) == [
        ("smear", "", "anonymized", "plain_relief"),
        ("smear", "none", "reconstructed", "plain_relief"),
        ("smear", "offset", "reconstructed", "plain_relief"),
    ]
    for _, own in conditions:
        assert {(row.subject, row.gallery) for row in own.itertuples()} == {(a, b) for a in people for b in people}
    assert pairs["moved"].all()  # who came once is looked for by the very scan


def test_no_attack_is_recognised_as_what_was_released(once: Workplace) -> None:
    pairs, heads = _tables(once)
    for table, value in ((pairs, "similarity"), (heads, "value")):
        released = table.loc[table["condition"] == "anonymized", value]
        untouched = table.loc[table["attacker"] == "none", value]
        assert released.tolist() == pytest.approx(untouched.tolist(), nan_ok=True)


def test_what_cannot_be_measured_is_not_a_number_and_says_why(once: Workplace) -> None:
    _, heads = _tables(once)
    released = heads[heads["condition"] == "anonymized"].pivot(index="subject", columns="metric", values="value")
    assert (released["changed_share"] > 0).all()
    assert released["changed_share(refuse=True)"].isna().all()
    keys = json.loads((once.run_folder() / "jobs.json").read_text())
    key = keys["measure changed_share(refuse=True) smear released"]
    found = json.loads((once.folder / "store" / "objects" / key[:2] / key / "figures.json").read_text())
    assert found["problems"] == ["this head is refused"] * 2


def test_a_second_run_has_nothing_to_do(once: Workplace) -> None:
    before = [(once.run_folder() / name).read_bytes() for name in ("identification.parquet", "heads.parquet")]
    done = once.refbench("run", once.suite(_suite()))
    jobs, cached = re.findall(r"(\d+) jobs, (\d+) cached", done.stdout)[0]
    assert jobs == cached
    after = [(once.run_folder() / name).read_bytes() for name in ("identification.parquet", "heads.parquet")]
    assert before == after


def test_who_came_twice_is_looked_for_by_another_visit(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    done = workplace.refbench("run", workplace.suite(_suite(sessions=2)))
    assert done.returncode == 0, done.stderr
    pairs, heads = _tables(workplace)
    assert not pairs["moved"].any()
    assert set(heads["session"]) == set(pairs["session"])
    assert len(set(pairs["session"])) == 1


def test_a_recognizer_that_lacks_something_is_skipped_and_the_rest_goes_on(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    suite = workplace.suite(_suite(recognizer="{plain_relief: {lacks: a library}}"))
    done = workplace.refbench("run", suite)
    assert "a library" in done.stdout + done.stderr
    assert not (workplace.run_folder() / "identification.parquet").exists()
    assert (workplace.run_folder() / "heads.parquet").exists()
    assert "smear" in done.stdout
    notes = json.loads((workplace.run_folder() / "run.json").read_text())["notes"]
    assert any("has no figures for 3 of 3 conditions: " in note and "a library" in note for note in notes)
