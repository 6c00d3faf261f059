"""A suite from its file to its tables, through the command line and real processes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Workplace

from refbench.results import Run, load_run

FEW = "dataset: {tiny_heads: {people: 4}}\nsplit: {test: 1, validation: 1}\n"
"""Enough where it does not matter what is computed."""


def test_a_suite_runs_to_its_leaderboard_and_the_second_time_does_nothing(workplace: Workplace) -> None:
    suite = workplace.suite("anonymizers: [identity, smear: {reach: [1, 3]}]\nattackers: [none, offset]")
    first = workplace.refbench("run", suite)
    assert first.returncode == 0, first.stderr
    assert "smear(reach=3)" in first.stdout
    loads, fits = workplace.count("load"), workplace.count("fit")
    assert (loads, fits) == (8, 3)

    second = workplace.refbench("run", suite)
    assert second.returncode == 0
    assert (workplace.count("load"), workplace.count("fit")) == (loads, fits)
    assert "0 to run" in workplace.refbench("plan", suite).stdout

    run = load_run(workplace.run_folder())
    scores = run.scores
    # 2 test people x 3 slices x 4 regions, for 3 releases and 6 attacks
    assert len(scores) == 2 * 3 * 4 * (3 + 6)
    whole = scores[(scores["region"] == "whole") & (scores["condition"] == "anonymized")]
    means = whole.groupby("anonymizer")["value"].mean()
    assert means["identity"] == pytest.approx(1)
    assert means["smear(reach=1)"] > means["smear(reach=3)"]


def test_leaderboard_formats_agree_to_the_last_digit(workplace: Workplace) -> None:
    suite = workplace.suite(FEW + "anonymizers: [identity, smear]")
    workplace.refbench("run", suite)
    csv = workplace.refbench("leaderboard", "--format", "csv", "--region", "whole").stdout
    (workplace.folder / "board.csv").write_text(csv)
    table = pd.read_csv(workplace.folder / "board.csv")
    rows = json.loads(workplace.refbench("leaderboard", "--format", "json", "--region", "whole").stdout)["rows"]
    for line, (_, row) in zip(rows, table.iterrows(), strict=True):
        assert line["anonymizer"] == row["anonymizer"]
        assert line["reconstructed_correlation_whole_all"] == row["reconstructed_correlation_whole_all"]
    assert table["anonymizer"].tolist() == ["smear", "identity"]  # the safer one first
    markdown = workplace.refbench("leaderboard", "--format", "markdown").stdout
    assert markdown.startswith("| rank | anonymizer |")


def test_same_suite_same_seed_same_table(workplace: Workplace) -> None:
    suite = workplace.suite(FEW + "attackers: [none, offset, mean_face]")
    workplace.refbench("run", suite, "--store", "one")
    workplace.refbench("run", suite, "--store", "two")
    tables = [
        next((workplace.folder / store / "runs").glob("*/scores.parquet")).read_bytes() for store in ("one", "two")
    ]
    assert tables[0] == tables[1]


ANONYMIZERS_FAULTS = {
    "raise": ("failed", "no nose in sight"),
    "shape": ("invalid output", "shape (23, 24, 24)"),
    "nan": ("invalid output", "NaN"),
    "type": ("invalid output", "ndarray, not a Head"),
    "affine": ("invalid output", "another affine"),
    "segfault": ("crashed", "SIGSEGV"),
    "exit": ("crashed", "exit code 7"),
    "hang": ("timed out", "limits.minutes"),
}
ATTACKERS_FAULTS = {
    "raise": ("failed", "diverged"),
    "segfault": ("crashed", "SIGSEGV"),
    "memory": ("out of memory", "allocate"),
    "shape": ("invalid output", "must be float32"),
    "nan": ("invalid output", "NaN"),
}
"""What goes wrong, with the status and a part of the error that it ends in."""

Board = dict[str, dict[str, Any]]


def with_faults(workplace: Workplace, text: str) -> tuple[Run, Board]:
    """A run of which something must fail, and its leaderboard by anonymizer."""
    result = workplace.refbench("run", workplace.suite(FEW + text))
    assert result.returncode == 3
    assert "Traceback" not in result.stdout + result.stderr
    board = json.loads(workplace.refbench("leaderboard", "--format", "json").stdout)["rows"]
    return load_run(workplace.run_folder()), {row["anonymizer"]: row for row in board}


@pytest.fixture(scope="module")
def anonymizers_faults(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Board]:
    """All of them side by side."""
    faults = ", ".join(ANONYMIZERS_FAULTS)
    text = f"anonymizers: [{{smear: {{reach: 1}}}}, smear: {{fault: [{faults}]}}]\nlimits: {{minutes: 0.1}}"
    return with_faults(Workplace(tmp_path_factory.mktemp("anonymizers")), text)


@pytest.mark.parametrize("fault", ANONYMIZERS_FAULTS)
def test_an_anonymizer_that_fails_is_recorded_and_stops_only_its_own_cells(
    anonymizers_faults: tuple[Run, Board], fault: str
) -> None:
    run, board = anonymizers_faults
    status, message = ANONYMIZERS_FAULTS[fault]
    own = run.subjects[run.subjects["anonymizer"] == f"smear(fault={fault})"]
    assert set(own["outcome"]) == {status}
    assert own["note"].str.contains(message, regex=False).all()
    ended = run.cells.set_index("anonymizer")["status"]
    assert ended["smear(reach=1)"] == "ok"
    assert ended[f"smear(fault={fault})"] != "ok"
    assert (board["smear(reach=1)"]["rank"], board[f"smear(fault={fault})"]["rank"]) == (1, None)


def test_subjects_on_which_an_anonymizer_failed_are_counted_not_dropped(workplace: Workplace) -> None:
    suite = workplace.suite("anonymizers: [smear: {fault: raise, every: 2}]")
    result = workplace.refbench("run", suite)
    assert result.returncode == 3
    run = load_run(workplace.run_folder())
    failed = int((run.subjects["outcome"] == "failed").sum())
    assert 0 < failed < 8
    board = json.loads(workplace.refbench("leaderboard", "--format", "json").stdout)["rows"]
    assert board[0]["failed"] == failed
    assert board[0]["scans"] == 8


def test_the_mask_of_what_changed_is_derived_not_believed(workplace: Workplace) -> None:
    suite = workplace.suite(FEW + "anonymizers: [smear: {fault: claim}]")
    workplace.refbench("run", suite)
    subjects = load_run(workplace.run_folder()).subjects
    assert set(subjects["outcome"]) == {"face left"}
    assert subjects["note"].str.contains("the nose is still there").all()
    assert (subjects["changed"].astype(float) == 0).all()


@pytest.fixture(scope="module")
def attackers_faults(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Board]:
    """All of them side by side."""
    text = f"attackers: [none, offset: {{fault: [{', '.join(ATTACKERS_FAULTS)}]}}]"
    return with_faults(Workplace(tmp_path_factory.mktemp("attackers")), text)


@pytest.mark.parametrize("fault", ATTACKERS_FAULTS)
def test_an_attacker_that_dies_leaves_a_row_and_every_finished_job(
    attackers_faults: tuple[Run, Board], fault: str
) -> None:
    run, board = attackers_faults
    status, message = ATTACKERS_FAULTS[fault]
    cells = run.cells.set_index("attacker")
    assert cells.loc["none", "status"] == "ok"
    assert cells.loc[f"offset(fault={fault})", "status"] == status
    assert message in cells.loc[f"offset(fault={fault})", "error"]
    assert board["smear"]["rank"] is None
    assert status in board["smear"]["missing"]


def test_a_training_that_diverges_keeps_its_last_checkpoint_and_costs_nobody_else(workplace: Workplace) -> None:
    suite = workplace.suite(FEW + "attackers: [none, offset: {share: [0.4, 1]}, offset: {fault: diverge}]")
    result = workplace.refbench("run", suite)
    assert result.returncode == 3
    run = load_run(workplace.run_folder())
    cells = run.cells.set_index("attacker")
    assert cells["status"].to_dict() == {
        "none": "ok",
        "offset(share=0.4)": "ok",
        "offset(share=1)": "ok",
        "offset(fault=diverge)": "invalid output",
    }
    lost = cells.loc["offset(fault=diverge)"]
    assert lost["error"] == "the training diverged: its loss is nan at step 5 of 9"
    checkpoint = workplace.folder / "store" / "scratch" / lost["key"] / "checkpoint"
    assert checkpoint.read_text() == "the last good one"
    assert set(run.scores["attacker"]) == {"", "none", "offset(share=0.4)", "offset(share=1)"}
    workplace.refbench("run", suite, "--retry", "failed")
    assert workplace.count("fit") == 4, "only the one that diverged was tried again"
    assert checkpoint.exists()

    shown = workplace.refbench("curves")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == str(workplace.run_folder() / "curves.svg")
    rows = [line.split() for line in shown.stdout.splitlines()[1:-1]]
    assert [(row[0], row[1], row[2], row[3]) for row in rows] == [
        ("offset(share=0.4)", "smear", "2", "2"),
        ("offset(share=1)", "smear", "2", "2"),
    ]
    assert run.info["selection"] == {"metric": "correlation", "region": "changed"}


def test_without_a_curve_there_is_a_sentence(workplace: Workplace) -> None:
    workplace.refbench("run", workplace.suite(FEW + "anonymizers: [identity]", "unchanged"))
    shown = workplace.refbench("curves").stdout
    assert "Nothing to draw: on these validation people correlation in changed is defined nowhere." in shown
    workplace.refbench("run", workplace.suite(FEW + "attackers: [none]", "untrained"))
    shown = workplace.refbench("curves", "untrained").stdout
    assert shown.startswith("No training of untrained-")
    assert not list((workplace.folder / "store" / "runs").glob("*/curves.svg"))


def test_a_head_that_cannot_be_read_costs_only_its_subject(workplace: Workplace) -> None:
    suite = workplace.suite("dataset: {tiny_heads: {people: 9, broken: [4]}}")
    result = workplace.refbench("run", suite)
    assert result.returncode == 3
    assert "head_4.nii.gz is cut short" in result.stderr
    run = load_run(workplace.run_folder())
    assert set(run.subjects[run.subjects["subject"] == "T04"]["part"]) == {"excluded"}
    assert set(run.cells["status"]) == {"ok"}


def test_failures_are_kept_until_asked_for(workplace: Workplace) -> None:
    suite = workplace.suite(FEW + "attackers: [none, offset: {fault: raise}]")
    workplace.refbench("run", suite)
    assert workplace.count("fit") == 1
    assert workplace.refbench("run", suite).returncode == 3
    assert workplace.count("fit") == 1
    plan = workplace.refbench("plan", suite).stdout
    assert "kept" in plan
    assert "diverged" in plan
    workplace.refbench("run", suite, "--retry", "failed")
    assert workplace.count("fit") == 2


def test_what_was_lost_is_tried_again_unless_not_wanted(workplace: Workplace) -> None:
    suite = workplace.suite("attackers: [none, offset: {fault: segfault}]")
    for arguments, count in (((), 1), ((), 2), (("--retry", "none"), 2), (("--retry", "failed"), 3)):
        result = workplace.refbench("run", suite, *arguments)
        assert result.returncode == 3
        assert "crashed: killed by SIGSEGV" in result.stderr
        assert workplace.count("fit") == count, arguments
    assert "'none', 'lost', 'failed'" in workplace.refbench("run", suite, "--retry", "all").stderr


def test_nobody_left_for_a_part_of_the_split_is_one_message(workplace: Workplace) -> None:
    suite = workplace.suite("dataset: {tiny_heads: {people: 1}}")
    result = workplace.refbench("run", suite)
    assert result.returncode == 2
    assert "leave 1 to train" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_site_with_one_subject_is_said_and_trained_on(workplace: Workplace) -> None:
    suite = workplace.suite("dataset: {tiny_heads: {people: 5, sites: [A, A, A, A, B]}}")
    result = workplace.refbench("run", suite)
    assert result.returncode == 0
    assert "site B has one subject" in result.stdout
    subjects = load_run(workplace.run_folder()).subjects
    assert set(subjects[subjects["site"] == "B"]["part"]) == {"train"}


def test_plan_says_why_a_job_must_run(workplace: Workplace) -> None:
    workplace.refbench("run", workplace.suite(FEW + "attackers: [offset: {pause: 0.0}]"))
    suite = workplace.suite(FEW + "seeds: [3]\nattackers: [offset: {pause: 0.0}]")
    plan = workplace.refbench("plan", suite).stdout
    assert "seed 0 → 3" in plan
    assert workplace.count("fit") == 1  # it ran nothing


def test_reconstructions_follow_the_test_scans(workplace: Workplace) -> None:
    """Scores of the condition `reconstructed` belong to the subject they are said to belong to."""
    workplace.refbench("run", workplace.suite("anonymizers: [smear]\nattackers: [none]\nsplit: {test: 4}"))
    scores = load_run(workplace.run_folder()).scores
    wide = scores.pivot_table(index=["subject", "slice", "region"], columns="condition", values="value")
    assert len(wide)
    np.testing.assert_array_equal(wide["anonymized"], wide["reconstructed"])
