"""Runs merged: what joins, what is taken once, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_leaderboard import PLAIN, SPREAD, VIEW, Series, make_run, rows, score_rows

from refbench.differences import build_differences
from refbench.errors import RefbenchError
from refbench.leaderboard import build_leaderboard, column
from refbench.results import Run


def run(series: list[Series], name: str = "run", people: dict[str, str] | None = None, **info: Any) -> Run:
    made = make_run(score_rows(series), notes=tuple(info.pop("notes", ())), **info.pop("more", {}))
    scores, subjects = (
        table.assign(subject=table["subject"].replace(people or {})) for table in (made.scores, made.subjects)
    )
    return replace(made, folder=Path(name), info=made.info | info, scores=scores, subjects=subjects)


def test_what_two_runs_share_is_taken_once() -> None:
    one, two = run([*PLAIN[:2], *PLAIN[3:5]], "one"), run(PLAIN, "two")
    alone = build_leaderboard([two], VIEW)
    for pair in ([one, two], [two, one], [two, two]):
        pd.testing.assert_frame_equal(build_leaderboard(pair, VIEW).rows, alone.rows)


def test_seeds_of_two_runs_join() -> None:
    one, two = (run([*PLAIN[:2], ("blur", "gan", seed, mean)]) for seed, mean in ((0, 0.7), (1, 0.9)))
    found = build_leaderboard([one, two], VIEW)
    assert rows(found, "anonymizer", "seed") == [("blur", 1)]
    assert found.rows.loc[0, "over_seeds"] == pytest.approx(0.825)


@pytest.mark.parametrize(
    ("what", "one", "other", "words"),
    [
        ("dataset", "ixi", "phantom", "the dataset differs: ixi in A, phantom in B"),
        ("slices", {"count": 21, "size": 64}, {"count": 21, "size": 128}, "the slices differ: size=64 in A, size=128"),
        ("split", {"digest": "aa", "seed": 0}, {"digest": "bb", "seed": 0}, "the split differs: aa in A, bb in B"),
        ("selection", {"metric": "ssim"}, {"metric": "correlation"}, "the selection differs: metric=ssim in A"),
    ],
)
def test_other_settings_are_refused_by_name_with_both_values(what: str, one: Any, other: Any, words: str) -> None:
    pair = [run(PLAIN[:3], "A", **{what: one}), run(PLAIN[3:], "B", **{what: other})]
    with pytest.raises(RefbenchError, match=words) as refused:
        build_leaderboard(pair, VIEW)
    assert "Run both with the same settings and versions" in str(refused.value)


def test_the_same_people_in_the_same_parts_are_the_same_split_however_they_came_there() -> None:
    options: list[dict[str, Any]] = [{"method": "csv"}, {"method": "random", "seed": 0}]
    pair = [run(PLAIN, split={"digest": "aa", **own}) for own in options]
    assert len(build_leaderboard(pair, VIEW).rows) == 2


@pytest.mark.parametrize("name", ["anonymizer_version", "attacker_version", "anonymizer_params"])
def test_one_name_for_two_things_is_refused(name: str) -> None:
    one, two = run(PLAIN, "A"), run(PLAIN, "B")
    one.cells[name], two.cells[name] = "1", "2"
    with pytest.raises(RefbenchError, match=rf"{name.partition('_')[0]} \w+ differs: {name}=1 in A, {name}=2 in B"):
        build_leaderboard([one, two], VIEW)


def test_a_score_that_two_runs_tell_differently_is_refused_with_its_place_and_size() -> None:
    one, two = run(PLAIN, "A"), run(PLAIN, "B")
    there = two.scores.query("anonymizer == 'blur' and attacker == 'gan'").index[3]
    two.scores.loc[there, "value"] += 1e-3
    with pytest.raises(RefbenchError) as refused:
        build_leaderboard([one, two], VIEW)
    assert "blur, gan, 0, front_half, correlation: 1 image, by up to 0.001000" in str(refused.value)
    assert "removal" not in str(refused.value)


def test_rounding_is_no_difference_and_an_undefined_score_equals_itself() -> None:
    one, two = run(PLAIN, "A"), run(PLAIN, "B")
    two.scores["value"] += 1e-9
    for made in (one, two):
        made.scores.loc[made.scores.index[:2], "value"] = np.nan
    assert len(build_leaderboard([one, two], VIEW).rows) == 2


def test_a_score_that_one_run_lacks_is_a_difference() -> None:
    one, two = run(PLAIN, "A"), run(PLAIN, "B")
    with pytest.raises(RefbenchError, match="1 image in one of them only"):
        build_leaderboard([one, replace(two, scores=two.scores.iloc[1:])], VIEW)


def test_a_cell_that_failed_on_one_machine_and_worked_on_another_has_worked() -> None:
    failed = run(PLAIN[:2] + PLAIN[3:], more={"statuses": {("blur", "gan", 0): "out of memory"}})
    for pair in ([failed, run(PLAIN)], [run(PLAIN), failed]):
        assert rows(build_leaderboard(pair, VIEW), "rank", "missing") == [(1, ""), (2, "")]


def test_an_attack_that_was_not_tried_on_everything_leaves_the_rest_without_rank() -> None:
    found = build_leaderboard([run(PLAIN[:3]), run(PLAIN[3:5])], VIEW)
    assert rows(found, "rank", "anonymizer", "missing") == [(1, "blur", ""), (None, "removal", "gan: not tried")]


def test_a_metric_that_one_run_lacks_is_refused_and_the_common_one_is_shown_when_asked_for() -> None:
    ssim = run(PLAIN, "B")
    both = replace(ssim, scores=pd.concat([ssim.scores, ssim.scores.assign(metric="ssim")]))
    with pytest.raises(RefbenchError, match="A has no metric 'ssim'; there are: correlation"):
        build_leaderboard([run(PLAIN, "A"), both], VIEW)
    assert len(build_leaderboard([run(PLAIN, "A"), both], replace(VIEW, metrics=("correlation",))).rows) == 2


def test_outcomes_that_differ_are_said() -> None:
    one, two = run(PLAIN, "A"), run(PLAIN, "B", more={"outcomes": {("blur", "g1"): "failed"}})
    found = build_leaderboard([one, two], VIEW)
    assert found.notes == (
        "blur: how its scans ended differs: failed on 0 of 5 scans in A (shown), on 1 of 5 scans in B",
    )
    assert rows(found, "anonymizer", "scans", "failed") == [("removal", 5, 0), ("blur", 5, 0)]


OTHER_NAMES = {"g1": "f0", "g2": "0a", "g3": "9c", "h1": "77", "t1": "31"}


def test_people_by_other_pseudonyms_are_counted_once_and_change_no_figure() -> None:
    one = run(PLAIN[:3], "A", pseudonyms="x")
    two = run(PLAIN, "B", OTHER_NAMES, pseudonyms="y")
    both, alone = build_leaderboard([one, two], VIEW), build_leaderboard([run(PLAIN)], VIEW)
    assert rows(both, "rank", "anonymizer", "subjects", "scans") == rows(
        alone, "rank", "anonymizer", "subjects", "scans"
    )
    for name in ("all", "Guys", "HH", "all_median"):
        figures = column("reconstructed", "correlation", "front_half", name)
        assert both.rows[figures].tolist() == pytest.approx(alone.rows[figures].tolist())
    blur = column("reconstructed", "correlation", "front_half", "all_low")
    assert both.rows.loc[1, blur] == pytest.approx(alone.rows.loc[1, blur], abs=1e-12)


def test_people_by_other_pseudonyms_are_known_by_all_their_scores() -> None:
    one, two = run(PLAIN, "A", pseudonyms="x"), run(PLAIN, "B", OTHER_NAMES, pseudonyms="y")
    two.scores.loc[two.scores.index[-1], "value"] += 1e-3
    with pytest.raises(RefbenchError, match=r"removal, gan, 0, front_half, correlation: \d images?, by up to 0.001"):
        build_leaderboard([one, two], VIEW)


def test_seeds_tested_under_other_pseudonyms_have_no_interval_and_nobody_is_compared_with_somebody_else() -> None:
    assert SPREAD.keys() == OTHER_NAMES.keys() - {"t1"}
    one = run([*PLAIN[:2], ("blur", "gan", 0, 0.7)], "A", pseudonyms="x")
    two = run([*PLAIN[:2], ("blur", "gan", 1, 0.9)], "B", OTHER_NAMES, pseudonyms="y")
    assert "over_seeds" not in build_leaderboard([one, two], VIEW).rows
    with pytest.raises(RefbenchError, match="different pseudonyms"):
        build_differences([one, two], VIEW)
