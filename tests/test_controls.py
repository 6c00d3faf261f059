"""Numbers that can be trusted: a leak, a weak attacker and a broken anonymizer are exposed by the table alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Workplace
from rich.console import Console

from refbench.leaderboard import Leaderboard, View, build_leaderboard
from refbench.render import to_csv, to_json, to_markdown, to_terminal
from refbench.results import load_run

pytestmark = pytest.mark.slow

FILES = [str(Path(__file__).with_name(name)) for name in ("tiny_plugins.py", "untrustworthy_plugins.py")]
SUITE = """
plugins: {plugins}
dataset: {{tiny_heads: {{people: 14}}}}
split: {{test: 4, validation: 2}}
anonymizers: [smear, broken]
attackers: [regression, weak, careless, {leaking}]
metrics: [correlation]
controls: true
"""


def run(workplace: Workplace, leaking: str = "none") -> None:
    suite = workplace.suite(
        SUITE.format(plugins=FILES, leaking=leaking), name="honest" if leaking == "none" else "leak"
    )
    done = workplace.refbench("run", suite)
    assert done.returncode == 0, done.stdout + done.stderr


def answers(workplace: Workplace) -> Path:
    """What a leak knows: released and original slices of the test people, of every anonymizer, in order."""
    (folder,) = (workplace.folder / "store" / "runs").glob("honest-*")
    keys = json.loads((folder / "jobs.json").read_text())
    subjects = pd.read_csv(folder / "subjects.csv", dtype=str)
    tested = subjects[subjects["part"] == "test"]
    released, original = [], []
    for _, row in tested.iterrows():
        (key,) = (
            key
            for label, key in keys.items()
            if label.startswith(f"slice {row['subject']} ") and label.endswith(f" {row['anonymizer']}")
        )
        slices = workplace.folder / "store" / "objects" / key[:2] / key
        released.append(np.load(slices / "anonymized.npy"))
        original.append(np.load(slices / "original.npy"))
    path = workplace.folder / "answers.npz"
    np.savez(path, released=np.concatenate(released), original=np.concatenate(original))
    return path


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    workplace = Workplace(tmp_path_factory.mktemp("controls"))
    run(workplace)
    run(workplace, f"{{leaking: {{answers: {answers(workplace)}}}}}")
    (folder,) = (workplace.folder / "store" / "runs").glob("leak-*")
    return build_leaderboard([load_run(folder)], View(attackers=True))


def terminal(board: Leaderboard) -> str:
    stream = io.StringIO()
    Console(file=stream, width=400).print(to_terminal(board, 400), highlight=False)
    return stream.getvalue()


def reason(board: Leaderboard, anonymizer: str, attacker: str) -> str:
    rows = board.rows
    (row,) = [
        row for _, row in rows.iterrows() if row["anonymizer"] == anonymizer and row["attacker"].startswith(attacker)
    ]
    return str(row["untrusted"])


def test_a_leak_recovers_faces_of_whom_it_was_given_nothing(board: Leaderboard) -> None:
    assert "nothing: it knows them from elsewhere" in reason(board, "smear", "leaking")
    assert board.rows.iloc[0]["attacker"] != "leaking"


def test_a_weak_attacker_is_said_to_gain_nothing(board: Leaderboard) -> None:
    assert reason(board, "smear", "weak") == "gains nothing over the floor on any anonymizer here"


def test_a_careless_attacker_spoils_what_was_not_hidden(board: Leaderboard) -> None:
    assert "on heads to which nothing was done" in reason(board, "smear", "careless")


def test_an_honest_attacker_passes_and_ranks(board: Leaderboard) -> None:
    assert reason(board, "smear", "regression") == ""
    assert set(board.rows.drop_duplicates("anonymizer")["attacker"]) & {"regression"}


def test_a_broken_anonymizer_is_recovered(board: Leaderboard) -> None:
    (row,) = [
        row for _, row in board.rows.iterrows() if (row["anonymizer"], row["attacker"]) == ("broken", "regression")
    ]
    assert row["recovery"] > 0.5


def test_controls_never_rank_and_every_format_shows_who_failed(board: Leaderboard) -> None:
    rows = board.rows.drop_duplicates("anonymizer").set_index("anonymizer")
    assert rows.loc[["identity", "constant"], "rank"].isna().all()
    assert rows.loc[["smear", "broken"], "rank"].notna().all()
    for text in (to_csv(board), to_markdown(board), to_json(board), terminal(board)):
        assert "it knows them from elsewhere" in text
    assert "leaking" in terminal(board).partition("controls of")[2]


def test_a_suite_without_controls_says_so(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    done = workplace.refbench("run", workplace.suite("attackers: [none]\n"))
    assert "Controls are switched off" in done.stdout
