import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from test_leaderboard import PLAIN, make_run, score_rows

from refbench import compare_render
from refbench.baseline import Baseline, Row, baseline_of, read_baseline, write_baseline
from refbench.compare import Comparison, Line, compare
from refbench.errors import RefbenchError
from refbench.results import Run

Scores = dict[tuple[str, str], float | None]
"""Anonymizer and attacker (empty: released) to the correlation of everybody."""

BEFORE: Scores = {("blur", ""): 0.5, ("blur", "none"): 0.5, ("blur", "gan"): 0.7, ("blur", "mean"): 0.6}


def means(scores: Scores, **more: object) -> Baseline:
    rows = [
        Row(anonymizer=a, attacker=b, seed=0, status="ok", scores={"correlation": {"all": value, "HH": value}})
        for (a, b), value in scores.items()
    ]
    usual = {
        "run": "r",
        "dataset": "d",
        "slices": {"count": 3},
        "split": "s",
        "region": "face",
        "versions": {"numpy": "1"},
        "failed": {"blur": (0, 9)},
        "rows": rows,
    }
    return Baseline.model_validate(usual | more)


def against(now: Scores | Baseline, before: Scores = BEFORE, tolerance: float = 0.01) -> Comparison:
    return compare(means(before), now if isinstance(now, Baseline) else means(now), {"correlation": tolerance})


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {line.attack: line.verdict for line in comparison.lines}


def line(comparison: Comparison, attack: str) -> Line:
    return next(line for line in comparison.lines if line.attack == attack)


def test_equal_runs_are_the_same_in_every_row() -> None:
    assert verdicts(against(BEFORE)) == dict.fromkeys(("strongest attack", "released", "none", "gan", "mean"), "same")


def test_within_the_tolerance_is_the_same_and_beyond_it_is_not() -> None:
    assert verdicts(against(BEFORE | {("blur", "gan"): 0.71}))["gan"] == "same"
    assert verdicts(against(BEFORE | {("blur", "gan"): 0.7101}))["gan"] == "better"


def test_an_anonymizer_that_hides_less_is_worse_and_the_reason_says_by_how_much() -> None:
    found = against({("blur", ""): 0.6, ("blur", "none"): 0.6, ("blur", "gan"): 0.75, ("blur", "mean"): 0.6})
    assert verdicts(found) == {
        "strongest attack": "worse", "released": "worse", "none": "worse", "gan": "worse", "mean": "same",
    }  # fmt: skip
    said = line(found, "strongest attack").reason
    assert said == "hides less: correlation (gan) 0.700 → 0.750 (+0.0500, tolerance 0.01), and 1 more"


def test_an_attacker_that_got_weaker_is_worse_though_the_anonymizer_looks_better() -> None:
    found = against(BEFORE | {("blur", "gan"): 0.55})
    assert verdicts(found)["gan"] == "worse"
    assert "the attack is weaker: correlation 0.700 → 0.550 (-0.150" in line(found, "gan").reason
    assert line(found, "strongest attack").reason.startswith("hides more: correlation (gan → mean) 0.700 → 0.600")


def test_an_attack_that_falls_with_the_release_only_follows_the_anonymizer() -> None:
    found = against({("blur", ""): 0.3, ("blur", "none"): 0.3, ("blur", "gan"): 0.5, ("blur", "mean"): 0.6})
    assert verdicts(found) == {
        "strongest attack": "better", "released": "better", "none": "better", "gan": "better", "mean": "same",
    }  # fmt: skip


def test_a_stronger_attack_is_better_for_the_attack_and_worse_for_the_anonymizer() -> None:
    found = against(BEFORE | {("blur", "gan"): 0.8})
    assert (verdicts(found)["gan"], verdicts(found)["strongest attack"]) == ("better", "worse")


def test_one_site_is_enough() -> None:
    now = means(BEFORE)
    now.rows[2].scores["correlation"]["HH"] = 0.8
    assert "correlation at HH (gan) 0.700 → 0.800" in line(against(now), "strongest attack").reason


def test_two_attacks_that_are_equally_strong_cannot_move_the_strongest() -> None:
    before: Scores = {("blur", ""): 0.5, ("blur", "a"): 0.7, ("blur", "b"): 0.6999}
    found = against(before | {("blur", "a"): 0.6998, ("blur", "b"): 0.7001}, before)
    assert set(verdicts(found).values()) == {"same"}


def test_a_row_without_figures_now_is_newly_failing_and_so_is_the_strongest_attack() -> None:
    now = means(BEFORE)
    now.rows[2] = now.rows[2].model_copy(update={"status": "crashed", "scores": {}})
    found = against(now)
    assert line(found, "gan").reason == "ok before, crashed now"
    assert (verdicts(found)["gan"], verdicts(found)["strongest attack"]) == ("newly failing", "newly failing")


def test_undefined_before_and_now() -> None:
    undefined: Scores = {("blank", ""): None, ("blank", "none"): None}
    assert verdicts(against(undefined, undefined))["none"] == "same"
    assert verdicts(against(undefined, {("blank", ""): 0.1, ("blank", "none"): 0.1}))["none"] == "newly failing"
    assert verdicts(against({("blank", ""): 0.9, ("blank", "none"): 0.9}, undefined))["none"] == "not comparable"


def test_scans_on_which_an_anonymizer_newly_fails_make_it_worse() -> None:
    found = against(means(BEFORE, failed={"blur": (2, 9)}))
    assert line(found, "strongest attack").verdict == "worse"
    assert line(found, "strongest attack").reason == "does not work on 2 of 9 scans, before on 0"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"dataset": "e"}, "the dataset differs: d before, e now"),
        ({"slices": {"count": 5}}, "the slices differ: count=3 before, count=5 now"),
        ({"split": "t"}, "the split differs"),
    ],
)
def test_other_people_or_slices_cannot_be_compared(other: dict[str, object], words: str) -> None:
    found = against(means(BEFORE, **other))
    assert set(verdicts(found).values()) == {"not comparable"}
    assert words in found.obstacle


def test_rows_of_one_run_only() -> None:
    gone: Scores = {key: value for key, value in BEFORE.items() if key[1] != "mean"}
    found = against(gone | {("removal", ""): 0.1, ("removal", "gan"): 0.2})
    assert [(x.anonymizer, x.attack, x.required) for x in found.lines if x.verdict == "not comparable"] == [
        ("blur", "mean", True),
        ("removal", "strongest attack", False),
    ]


def test_other_versions_are_named() -> None:
    assert against(means(BEFORE, versions={"numpy": "2"})).versions == ("numpy 1 → 2",)


def as_run(**more: object) -> Run:
    run = make_run(score_rows(PLAIN))
    info = {
        "dataset": "d",
        "slices": {},
        "split": {"digest": "s"},
        "environment": {"python": "3", "packages": {"numpy": "1"}},
    }
    return Run(Path("run"), info | more, run.scores, run.cells, run.subjects)


def test_a_baseline_holds_the_means_of_a_run_and_no_subject(tmp_path: Path) -> None:
    made = baseline_of(as_run(), "front_half")
    (row,) = [row for row in made.rows if (row.anonymizer, row.attacker) == ("blur", "gan")]
    assert row.scores["correlation"] == pytest.approx({"all": 0.725, "Guys": 0.7, "HH": 0.8})
    assert made.failed == {"blur": (0, 5), "removal": (0, 5)}
    write_baseline(made, tmp_path / "new" / "baseline.json")
    assert read_baseline(tmp_path / "new" / "baseline.json") == made
    text = (tmp_path / "new" / "baseline.json").read_text()
    assert not any(subject in text for subject in ('"g1"', '"g2"', '"h1"', '"t1"'))
    assert set(verdicts(compare(made, made, {})).values()) == {"same"}


def test_an_undefined_mean_is_null_and_stays_so(tmp_path: Path) -> None:
    run = as_run()
    run.scores.loc[run.scores["attacker"] == "gan", "value"] = np.nan
    write_baseline(baseline_of(run, "front_half"), tmp_path / "b.json")
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert next(row for row in rows if row["attacker"] == "gan")["scores"]["correlation"]["all"] is None


@pytest.mark.parametrize(("text", "words"), [(None, "--write"), ("{", "no baseline"), ('{"format": 9}', "format")])
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "b.json").write_text(text)
    with pytest.raises(RefbenchError, match=words):
        read_baseline(tmp_path / "b.json")


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(RefbenchError, match="did you mean 'front_half'"):
        baseline_of(as_run(), "front_halv")


def test_the_three_ways_of_showing_it_say_the_same(tmp_path: Path) -> None:
    found = against(BEFORE | {("blur", "gan"): 0.55})
    with (tmp_path / "table").open("w") as file:
        compare_render.show(found, Console(file=file))
    for text in ((tmp_path / "table").read_text(), compare_render.to_markdown(found)):
        assert "0.700 → 0.550" in text
        assert "the attack is weaker" in text
    lines = json.loads(compare_render.to_json(found))["lines"]
    assert [one["verdict"] for one in lines] == ["better", "same", "same", "worse", "same"]
