"""Several probes of one person: what is added, beside what, and what is left out."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_runs import made_up_faces, made_up_run
from rich.console import Console

from refbench import render_together
from refbench.commands.identify import identify
from refbench.face_tables import IDENTIFICATION_COLUMNS
from refbench.identification import identification_figures
from refbench.together import FIGURES, figures_together, summed

NAN = float("nan")


def table(
    visits: list[np.ndarray], anonymizer: str = "veil", attacker: str = "", recognizer: str = "surface"
) -> pd.DataFrame:
    """Of each visit [people, gallery]."""
    condition = "reconstructed" if attacker else "anonymized"
    rows = [
        (f"P{person}", str(visit), "A", anonymizer, attacker, 0, condition, recognizer, f"P{face}", False, value)
        for visit, values in enumerate(visits)
        for (person, face), value in np.ndenumerate(values)
    ]
    return pd.DataFrame(rows, columns=IDENTIFICATION_COLUMNS)


def test_ratios_are_added_and_what_is_unknown_adds_nothing() -> None:
    one = np.array([[1.0, 2, 0], [NAN, NAN, NAN], [NAN, NAN, NAN]])
    other = np.array([[3.0, 0, 1], [0, 4, 0], [NAN, NAN, NAN]])
    both = summed(table([one, other]), ["site", "subject"])
    found = both.pivot(index="subject", columns="gallery", values="similarity").to_numpy()
    np.testing.assert_array_equal(found, [[4, 2, 1], [0, 4, 0], [NAN, NAN, NAN]])
    assert list(both.columns) == IDENTIFICATION_COLUMNS


def test_two_visits_find_whom_each_alone_mistakes() -> None:
    """Each visit takes people for another neighbour, and only the own face is near in both."""
    own = 2 * np.eye(6)
    visits = [own + 3 * np.roll(np.eye(6), shift, axis=1) for shift in (1, 2)]
    (row,) = figures_together(table(visits)).to_dict("records")
    assert (row["held"], row["probes"], row["people"], row["gallery"]) == ("visits", 2, 6, 6)
    assert (row["single_rank1"], row["rank1"]) == (0, 1)
    assert row["eer"] < row["single_eer"]


def test_the_best_alone_is_named_and_its_figures_are_those_of_the_run() -> None:
    rng = np.random.default_rng(0)
    good, bad = (rng.normal(size=(12, 12)) + gain * np.eye(12) for gain in (3, 0.5))
    rows = [table([bad], "veil"), table([good], "mask")]
    (row,) = figures_together(pd.concat(rows)).to_dict("records")
    assert (row["held"], row["anonymizer"], row["also_anonymizer"], row["single"]) == (
        "releases",
        "veil",
        "mask",
        "mask",
    )
    (alone,) = identification_figures(rows[1]).to_dict("records")
    for figure in FIGURES:
        for end in ("", "_low", "_high"):
            assert row[f"single_{figure}{end}"] == alone[f"{figure}{end}"]


def test_a_second_release_that_says_nothing_changes_nothing() -> None:
    values = np.random.default_rng(1).normal(size=(8, 8)) + np.eye(8)
    silent = table([np.full((8, 8), NAN)], "blank")
    (row,) = figures_together(pd.concat([table([values]), silent])).to_dict("records")
    assert [row[figure] for figure in FIGURES] == [row[f"single_{figure}"] for figure in FIGURES]


def test_only_visits_that_both_releases_have_count() -> None:
    first = table([np.eye(4), np.eye(4)], "veil")
    second = table([np.eye(4)], "mask")
    figures = figures_together(pd.concat([first, second[second["subject"] != "P3"]]))
    visits, releases = figures.to_dict("records")
    assert (visits["anonymizer"], visits["people"], releases["people"], releases["gallery"]) == ("veil", 4, 3, 4)


def test_of_each_anonymizer_the_strongest_attack_is_taken_and_what_hides_nothing_is_not() -> None:
    weak, strong = np.roll(np.eye(4), 1, axis=1), np.eye(4)
    rows = [table([weak], hider) for hider in ("identity", "veil", "mask")]
    rows += [table([weak], "veil", "none"), table([strong], "veil", "network"), table([weak], "mask", "none")]
    rows += [table([weak], "veil", "network", recognizer="other")]
    figures = figures_together(pd.concat(rows))
    assert figures[["anonymizer", "also_anonymizer"]].drop_duplicates().to_numpy().tolist() == [["veil", "mask"]]
    released, attacked = figures.to_dict("records")
    assert (released["attacker"], released["also_attacker"]) == ("", "")
    assert (attacked["attacker"], attacked["also_attacker"], attacked["recognizer"]) == ("network", "none", "surface")


def test_nobody_looked_for_has_no_figures() -> None:
    assert figures_together(pd.DataFrame(columns=IDENTIFICATION_COLUMNS)).empty
    assert figures_together(table([np.eye(3)])).empty


def test_every_format_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made_up_run(tmp_path / "made_up-12345678", anonymizers=("veil", "mask"), people=5)
    attackers = dict.fromkeys(run.scores["attacker"], 3.0)
    made_up = made_up_faces(run, recognized=attackers, recognizers=("surface",)).identification
    once = made_up[made_up["attacker"].isin(["", "none"])]
    run = replace(run, identification=pd.concat([once, once.assign(session="again")]))
    monkeypatch.setattr("refbench.sharing.read.open_runs", lambda store, names: [run])
    written = {}
    for form in ("csv", "markdown", "json"):
        identify(format=form, together=True)
        written[form] = capsys.readouterr().out
    table = pd.read_csv(io.StringIO(written["csv"]))
    rows = json.loads(written["json"])["rows"]
    assert len(rows) == len(table) == 5
    header, _, *lines = written["markdown"].splitlines()
    assert {line.count("|") for line in (header, *lines[: len(table)])} == {header.count("|")}
    stream = io.StringIO()
    render_together.show(pd.DataFrame(rows), Console(file=stream))
    for part in ("2 visits", "no calibrated ratio", "mask, released"):
        assert part in stream.getvalue()


def test_without_further_visits_the_table_says_so() -> None:
    figures = figures_together(pd.concat([table([np.eye(3)], "veil"), table([np.eye(3)], "mask")]))
    assert "more than one visit" in render_together.to_markdown(figures)


def test_the_order_of_rows_changes_no_figure() -> None:
    values = np.random.default_rng(2).normal(size=(2, 5, 5)) + np.eye(5)
    rows = table(list(values))
    shuffled = figures_together(rows.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(shuffled, figures_together(rows))
