"""Advice for a data custodian: plain words, and nothing that the tables do not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_up_runs import made_up_faces, made_up_run

from refbench.advice import Page, advice, to_markdown
from refbench.leaderboard import View, build_leaderboard
from refbench.results import Run

HIDERS = ("identity", "veil(strength_mm=4)", "veil(strength_mm=8)")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    plain = made_up_run(tmp_path_factory.mktemp("advice") / "made_up-12345678", anonymizers=HIDERS, people=12)
    params = plain.cells["anonymizer"].str.extract(r"strength_mm=(\d+)")[0].fillna("0")
    cells = plain.cells.assign(
        anonymizer_params=[f'{{"strength_mm": {value}}}' for value in params],
        learner=plain.cells["attacker"],
        threat="informed",
        floor=plain.cells["attacker"].eq("none"),
        control=plain.cells["anonymizer"].where(plain.cells["anonymizer"] == "identity", ""),
    )
    untouched = plain.scores["anonymizer"].eq("identity")
    plain.scores.loc[untouched, "value"] = 1.0
    people = {"train": 8, "validation": 2, "test": 12, "left out": 0}
    data = {"name": "ixi", "real": True, "people": 22, "sites": {"HH": 22}, "sessions": 1, "voxel_mm": [2.0, 2.0, 2.0]}
    info = plain.info | {"split": {"people": people}, "data": data}
    return made_up_faces(
        replace(plain, cells=cells, info=info),
        recognized={"": 1, "none": 1, "weak(steps=5)": 2, "strong(steps=50)": 30},
    )


def pages(run: Run) -> dict[str, Page]:
    found = advice(run, build_leaderboard([run], View(attackers=True)))
    return {page.anonymizer: page for page in found}


def test_every_anonymizer_that_is_no_control_has_a_page(run: Run) -> None:
    assert set(pages(run)) == {"veil(strength_mm=4)", "veil(strength_mm=8)"}


def test_a_page_answers_the_questions_of_a_custodian(run: Run) -> None:
    page = pages(run)["veil(strength_mm=8)"]
    assert [section.question for section in page.sections] == [
        "On what data?",
        "What was tried?",
        "What came back?",
        "What did it cost?",
        "How much would be enough?",
        "Can these figures be believed?",
        "What was not tried?",
    ]
    text = to_markdown([page])
    assert "ixi, 22 people of one site (HH), voxels of 2 x 2 x 2 mm, T1-weighted" in text
    assert "of the way from the floor" in text
    assert "100 % [100, 100] after strong" in text
    assert "chance 8.3 %" in text
    assert "No attackers that learnt at another site or from another data set." in text
    assert "none of these figures is an upper bound" in text


def test_where_nothing_can_be_said_that_is_said(run: Run) -> None:
    idle = run.scores.copy()
    attacked = idle["attacker"].isin(["weak(steps=5)", "strong(steps=50)"]) & idle["anonymizer"].ne("identity")
    idle.loc[attacked, "value"] = 0.1
    page = pages(replace(run, scores=idle))["veil(strength_mm=8)"]
    assert page.short.startswith("Nothing can be said about how well it hides faces: no attack tried on it gains")


def test_virtual_people_are_said_to_be_virtual(run: Run) -> None:
    data = {**run.info["data"], "name": "phantom", "real": False, "sites": {"A": 11, "B": 11}, "sessions": 2}
    (text,) = {
        to_markdown([page]) for name, page in pages(replace(run, info=run.info | {"data": data})).items() if "8" in name
    }
    assert "phantom, 22 virtual people of 2 sites (A, B), up to 2 sessions each" in text
    assert "They are not real" in text


def test_the_command_writes_pages(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from refbench.commands.advise import advise
    from refbench.sharing import read

    monkeypatch.setattr(read, "open_runs", lambda store, names: [run])
    advise(run="made_up", anonymizer="veil(strength_mm=4)", region=None, store=tmp_path, out=tmp_path / "advice.md")
    text = (tmp_path / "advice.md").read_text()
    assert text.startswith("# veil(strength_mm=4)\n")
    assert "veil(strength_mm=8)" not in text
    assert isinstance(run.cells, pd.DataFrame)
