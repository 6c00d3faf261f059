"""Faces and heads in the leaderboard: one look tells who is recognised, by which attack, and what hiding cost."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_runs import made_up_faces, made_up_run
from rich.console import Console

from refbench import render_identification
from refbench.errors import RefbenchError
from refbench.face_columns import face_figures, figure_text
from refbench.identification import identification_figures
from refbench.leaderboard import Leaderboard, View, build_leaderboard
from refbench.plots.figures import score_drawings
from refbench.plots.style import style
from refbench.render import to_csv, to_json, to_markdown, to_terminal
from refbench.render_identification import show
from refbench.report.write import write_report
from refbench.results import Run

HIDERS = ("identity", "veil(strength_mm=4)")
WEAK, STRONG = "weak(steps=5)", "strong(steps=50)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The attack with the highest correlation brings nobody back; a weaker one does."""
    plain = made_up_run(tmp_path_factory.mktemp("faces") / "made_up-12345678", anonymizers=HIDERS, people=12)
    return made_up_faces(plain, recognized={"": 1, "none": 1, WEAK: 20, STRONG: math.nan})


@pytest.fixture(scope="module")
def board(run: Run) -> Leaderboard:
    return build_leaderboard([run], View())


def text(board: Leaderboard, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(to_terminal(board, width), highlight=False)
    return stream.getvalue()


def test_the_strongest_attack_in_each_sense_has_a_line(board: Leaderboard) -> None:
    lines = [(row["anonymizer"], row["attacker"], row["strongest_by"]) for _, row in board.rows.iterrows()]
    assert lines == [(hider, *own) for hider in HIDERS for own in ((STRONG, "correlation"), (WEAK, "rank1"))]
    assert board.rows["rank"].notna().tolist() == [True, False] * 2


def test_one_attack_that_is_strongest_in_both_senses_has_one_line(run: Run) -> None:
    both = build_leaderboard([made_up_faces(run, recognized={"": 1, "none": 1, WEAK: 1, STRONG: 30})], View())
    assert both.rows["attacker"].tolist() == [STRONG] * 2
    assert set(both.rows["strongest_by"]) == {"correlation, rank1"}


def test_faces_without_attack_on_them_count_as_chance(board: Leaderboard) -> None:
    strong, weak = (board.rows[board.rows["attacker"] == attacker].iloc[0] for attacker in (STRONG, WEAK))
    assert strong["reconstructed_rank1"] == pytest.approx(1 / 12)
    assert weak["reconstructed_rank1"] == 1
    assert weak["reconstructed_recognizer"] == "surface"


def test_rank1_ranks(run: Run) -> None:
    quiet = run.identification["anonymizer"] != "identity"
    shown = run.identification["attacker"] != WEAK
    hidden = replace(run, identification=run.identification[quiet | shown])
    board = build_leaderboard([hidden], View(by="rank1"))
    assert board.rows.drop_duplicates("anonymizer")["anonymizer"].tolist() == list(HIDERS)
    assert board.rows.drop_duplicates("anonymizer")["attacker"].tolist()[1] == WEAK
    assert "by rank-1 of the strongest attack" in to_markdown(board)


def test_a_release_that_is_recognised_more_than_what_attacks_make_of_it_ranks(run: Run) -> None:
    lost = {"": 30, "none": math.nan, WEAK: math.nan, STRONG: math.nan}
    hidden = made_up_faces(run, recognized=lost)
    table, nobody = hidden.identification, made_up_faces(run, recognized=lost | {"": math.nan}).identification
    veiled = HIDERS[1]
    mixed = pd.concat([table[table["anonymizer"] != veiled], nobody[nobody["anonymizer"] == veiled]])
    board = build_leaderboard([replace(hidden, identification=mixed)], View(by="rank1"))
    assert board.rows.set_index("anonymizer")["rank"].dropna().to_dict() == {veiled: 1, "identity": 2}


def test_what_no_attack_gives_back_is_the_release_where_it_was_not_looked_at(run: Run) -> None:
    looked_at = replace(run, identification=run.identification[run.identification["attacker"] != "none"])
    rows = build_leaderboard([looked_at], View(attackers=True)).rows
    idle = rows[rows["attacker"] == "none"]
    assert idle["reconstructed_rank1"].tolist() == idle["anonymized_rank1"].tolist()


@pytest.mark.parametrize("width", [100, 140, 220])
def test_a_terminal_of_any_width_shows_them_beside_the_scores(board: Leaderboard, width: int) -> None:
    lines = text(board, width).splitlines()
    assert max(map(len, lines)) <= width
    attacked = next(line for line in lines if "weak" in line)
    for part in ("0.", "100 % [100, 100]", "-1.3"):
        assert part in attacked
    assert any("(by" in line for line in lines)


def test_notes_say_chance_numbers_and_whether_the_recognizers_can_judge(run: Run, board: Leaderboard) -> None:
    said = " ".join(board.notes)
    for part in (
        "12 original faces",
        "12 probes",
        "chance 8.3 %",
        "the very scan",
        "Warning: the strongest recognizer",
    ):
        assert part in said
    able = made_up_faces(run, recognized={"": 30, "none": 30, WEAK: 1, STRONG: 1}, moved=False)
    said = " ".join(build_leaderboard([able], View()).notes)
    assert "other sessions" in said
    assert "Warning" not in said
    without = replace(able, identification=able.identification[able.identification["anonymizer"] != "identity"])
    assert "Without the anonymizer `identity`" in " ".join(build_leaderboard([without], View()).notes)


def test_every_format_has_them(board: Leaderboard) -> None:
    table = pd.read_csv(io.StringIO(to_csv(board)))
    assert table["reconstructed_brain_brain_dice"].tolist() == pytest.approx([0.97] * 4, abs=0.02)
    assert table["anonymized_rank1_low"].notna().all()
    rows = json.loads(to_json(board))["rows"]
    assert [row["reconstructed_rank1"] for row in rows] == board.rows["reconstructed_rank1"].tolist()
    header, _, first, *_ = to_markdown(board).splitlines()
    assert "| rank-1 [95 %] | recognizer |" in header
    assert header.count("|") == first.count("|")


def test_a_run_without_them_is_as_before(run: Run) -> None:
    plain = build_leaderboard([replace(run, identification=run.identification[:0], heads=run.heads[:0])], View())
    assert not [name for name in plain.rows if "rank1" in name or "brain" in name or "strongest" in name]
    assert "rank-1" not in to_markdown(plain) + text(plain, 140)
    with pytest.raises(RefbenchError, match="name `recognizers` in its suite"):
        build_leaderboard([replace(run, identification=run.identification[:0])], View(by="rank1"))


def test_two_runs_share_what_both_have(run: Run) -> None:
    twice = build_leaderboard([run, run], View())
    once = build_leaderboard([run], View())
    pd.testing.assert_frame_equal(twice.rows, once.rows)


def test_the_report_holds_them(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refbench.report.write.page_figures", lambda *_: [])
    monkeypatch.setattr("refbench.report.write.strongest_attacks", lambda *_: [])
    write_report(run, tmp_path / "report.html", None)
    page = (tmp_path / "report.html").read_text()
    assert "strongest by rank1" in page
    assert "100 % [100, 100]" in page
    assert "<option>heads</option>" in page
    assert "Can people be recognised?" in page
    assert "% of people are recognised as released, and 100 % [100, 100] after weak" in page


def test_figures_of_heads_are_short() -> None:
    assert [figure_text(value) for value in (0.9987, 1.234, -12.34, 12345.6, 0.0, np.nan)] == [
        *("0.999", "1.23", "-12.3", "12346", "0.00", "–"),
    ]


def test_identify_shows_every_recognizer_in_every_format(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    figures, faces = identification_figures(run.identification), face_figures([run])
    show(figures, faces, Console())
    printed = capsys.readouterr().out
    for part in ("released", STRONG, "network(steps=5)", "100 % [100, 100]", "No face to compare"):
        assert part in printed
    written = json.loads(render_identification.to_json(figures, faces))
    table = pd.read_csv(io.StringIO(render_identification.to_csv(figures)))
    assert len(table) == len(written["rows"]) == len(HIDERS) * 4 * 2
    header, _, *lines = render_identification.to_markdown(figures, faces).splitlines()
    assert {line.count("|") for line in (header, *lines[: len(table)])} == {header.count("|")}


def test_figures_of_recognition_are_drawn(run: Run) -> None:
    left_out: list[str] = []
    with style():
        all_ = score_drawings(run, "front_half", View(), left_out)
        drawn = {one.name: one.draw() for one in all_ if one.name in ("identification", "cost")}
    assert len(drawn) == 2
    curves = drawn["identification"].axes[0].get_lines()
    assert {line.get_label() for line in curves} >= {f"{HIDERS[1]}, released", f"{HIDERS[1]}, {WEAK}", "chance"}
    quiet = replace(run, identification=run.identification[:0])
    assert not [
        one for one in score_drawings(quiet, "front_half", View(), []) if one.name in ("identification", "cost")
    ]


def test_brief_shows_the_release_and_the_attack_that_brings_most_people_back(run: Run) -> None:
    figures = identification_figures(run.identification)
    few = render_identification.brief(figures)
    assert list(few.groupby(["anonymizer", "attacker"], sort=False).groups) == [
        (hider, attacker) for hider in HIDERS for attacker in ("", WEAK)
    ]
    stream = io.StringIO()
    render_identification.show_brief(figures, face_figures([run]), Console(file=stream, width=200))
    lines = stream.getvalue().splitlines()
    released, attacked = (next(line for line in lines if what in line) for what in ("released", f"↳ {WEAK}"))
    assert attacked.count("100 % [100, 100]") == 2  # both recognizers
    assert "100 % [100, 100]" not in released
