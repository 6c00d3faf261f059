"""Differences person by person: hand-made scores, whose differences are known."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from test_leaderboard import PLAIN, SUBJECTS, Series, make_run, score_rows

from refbench.differences import Attacked, Difference, Differences, build_differences
from refbench.leaderboard import View
from refbench.render_differences import show, to_csv, to_json, to_markdown
from refbench.results import NO_ATTACK

MANY = {f"s{number:02}": "Guys" if number < 8 else "HH" for number in range(14)}


def found(series: list[Series] = PLAIN, view: View | None = None, statuses: dict | None = None) -> Differences:
    return build_differences([make_run(score_rows(series), statuses)], view or View())


def many(noise: float = 0.01) -> Differences:
    """Fourteen people, who differ by 0.1 from each other; `noise` sets attacks on them apart."""
    rng = np.random.default_rng(0)
    scores = []
    for anonymizer, attacker, mean in [
        ("blur", "", 0.5), ("blur", "gan", 0.53), ("removal", "", 0.2), ("removal", "gan", 0.48), ("twin", "gan", 0.48)
    ]:  # fmt: skip
        ease = np.random.default_rng(1).normal(0, 0.1, len(MANY))  # the same faces are easy under every anonymizer
        values = mean + ease + rng.normal(0, noise, len(MANY))
        table = score_rows([(anonymizer, attacker, 0, 0.0)], subjects=dict.fromkeys(SUBJECTS, "Guys")).iloc[:1]
        table = pd.concat([table] * len(MANY)).assign(subject=list(MANY), site=list(MANY.values()), value=values)
        scores.append(table)
    return build_differences([make_run(pd.concat(scores))], View())


def by_names(differences: tuple[Difference, ...]) -> dict[tuple[str, str], Difference]:
    return {(one.less.anonymizer, one.more.anonymizer): one for one in differences}


# Between anonymizers


def test_the_strongest_attack_on_each_is_compared_person_by_person() -> None:
    (one,) = found().anonymizers
    assert (one.less, one.more) == (Attacked("removal", "gan"), Attacked("blur", "gan"))
    # People differ by up to 0.13, but each by 0.3 between the two: no doubt is left.
    assert [one.overall.value, one.overall.low, one.overall.high, one.middle] == pytest.approx([0.3] * 4)
    assert [one.sites[site].value for site in ("Guys", "HH")] == pytest.approx([0.3, 0.3])
    assert (one.people, one.seeds, one.p, one.holm, one.apart) == (4, (1, 1), 2 / 16, 2 / 16, False)


def test_what_intervals_of_the_leaderboard_leave_open_is_told_apart_person_by_person() -> None:
    differences = many()
    rows = differences.board.rows.set_index("anonymizer")
    name = "reconstructed_correlation_front_half_all"
    assert rows.loc["blur", f"{name}_low"] < rows.loc["removal", f"{name}_high"]
    pairs = by_names(differences.anonymizers)
    clear = pairs["removal", "blur"]
    assert clear.apart
    assert clear.overall.low > 0.03
    twins = next(one for names, one in pairs.items() if set(names) == {"removal", "twin"})
    assert not twins.apart
    assert twins.overall.low < 0 < twins.overall.high


def test_p_is_adjusted_for_the_tests_of_its_own_table() -> None:
    differences = many()
    smallest = min(one.p for one in differences.anonymizers)
    assert min(one.holm for one in differences.anonymizers) == pytest.approx(3 * smallest)
    assert all(one.holm >= one.p for one in differences.anonymizers)


def test_an_anonymizer_without_a_rank_is_not_compared_but_its_attacks_are() -> None:
    differences = found(statuses={("removal", "late", 0): "crashed"})
    assert differences.anonymizers == ()
    assert differences.notes == ("removal has no rank, and is not compared",)
    assert {one.more.anonymizer for one in differences.attacks} == {"blur", "removal"}


def test_in_the_changed_region_only_attacks_are_compared() -> None:
    run = make_run(pd.concat([score_rows(PLAIN), score_rows(PLAIN, region="changed")]))
    differences = build_differences([run], View(region="changed"))
    assert differences.anonymizers == ()
    assert "different pixels" in differences.notes[0]
    assert len(differences.attacks) == 4


def test_who_lacks_a_figure_is_left_out_of_that_pair_only() -> None:
    scores = score_rows(PLAIN)
    lost = (scores["anonymizer"] == "blur") & (scores["attacker"] == "gan") & (scores["subject"] == "h1")
    differences = build_differences([make_run(scores[~lost])], View())
    assert differences.anonymizers[0].people == 3
    assert differences.anonymizers[0].overall.value == pytest.approx(0.3)
    assert np.isnan(differences.anonymizers[0].sites["HH"].value)
    people = {(one.more.anonymizer, one.more.attacker): one.people for one in differences.attacks}
    assert people == {("blur", "gan"): 3, ("blur", "none"): 4, ("removal", "gan"): 4, ("removal", "none"): 4}


# Against no attack


def test_every_attack_is_compared_with_the_release_the_strongest_first() -> None:
    attacks = found().attacks
    assert [(one.more.anonymizer, one.more.attacker, one.less.attacker) for one in attacks] == [
        ("removal", "gan", NO_ATTACK),
        ("removal", "none", NO_ATTACK),
        ("blur", "gan", NO_ATTACK),
        ("blur", "none", NO_ATTACK),
    ]
    assert [one.overall.value for one in attacks] == pytest.approx([0.2, 0, 0.2, 0])
    assert [one.p for one in attacks] == [0.125, 1, 0.125, 1]
    assert [one.holm for one in attacks] == [0.5, 1, 0.5, 1]


def test_without_a_figure_for_no_attack_there_is_no_test_and_none_is_counted() -> None:
    differences = found([row for row in PLAIN if row[:2] != ("removal", "")])
    undefined = [one for one in differences.attacks if one.more.anonymizer == "removal"]
    assert np.isnan([[one.overall.value, one.p, one.holm] for one in undefined]).all()
    assert [one.holm for one in differences.attacks if one.more.anonymizer == "blur"] == [0.25, 1]
    assert "–: without a figure for no attack" in to_markdown(differences)


# Seeds


def test_an_attack_counts_by_the_mean_over_its_seeds_which_are_drawn_first() -> None:
    series = [*PLAIN[:2], ("blur", "gan", 0, 0.6), ("blur", "gan", 1, 0.7), ("blur", "gan", 2, 0.8)]
    gain = next(one for one in found(series).attacks if one.more.attacker == "gan")
    assert gain.seeds == (3, 1)
    assert gain.overall.value == pytest.approx(0.2)
    # Of three draws of 0.1, 0.2, 0.3 the mean is 0.1 or 0.3 once in 27 each.
    assert [gain.overall.low, gain.overall.high] == pytest.approx([0.1, 0.3])
    assert "mean over their seeds" in to_markdown(found(series))


def test_a_seed_that_failed_is_no_training() -> None:
    series = [*PLAIN[:2], ("blur", "gan", 0, 0.6)]
    gain = found(series, statuses={("blur", "gan", 1): "crashed"}).attacks[0]
    assert (gain.more.attacker, gain.seeds) == ("gan", (1, 1))


# Shown


def test_csv_and_json_hold_the_very_numbers() -> None:
    differences = many()
    rows = list(csv.DictReader(io.StringIO(to_csv(differences))))
    objects = json.loads(to_json(differences))
    every = [*differences.anonymizers, *differences.attacks]
    assert len(rows) == len(objects["differences"]) == len(every)
    for row, line, one in zip(rows, objects["differences"], every, strict=True):
        assert line["less_anonymizer"] == row["less_anonymizer"] == one.less.anonymizer
        if np.isfinite(one.p):
            assert float(row["difference_all"]) == line["difference_all"] == one.overall.value
            assert float(row["difference_Guys_low"]) == line["difference_Guys_low"] == one.sites["Guys"].low
            assert float(row["p_holm"]) == line["p_holm"] == one.holm
    without = [
        line for line in objects["differences"] if line["more_anonymizer"] == "twin" and not line["less_attacker"]
    ]
    assert [line["p"] for line in without] == [None], "twin has no figure for no attack"


def test_the_tables_say_what_is_apart_and_what_gains() -> None:
    text = to_markdown(many())
    assert "| hides more | hides less | Guys | HH | all [95 %] | median | p | p (Holm) |  |" in text
    assert any(line.endswith("| apart |") for line in text.splitlines())
    assert any(line.startswith("| removal | gan |") and line.endswith("| gains |") for line in text.splitlines())
    assert "14 test subjects. p: sign-flip test, all patterns of signs." in text


def test_too_few_people_are_said_to_be_too_few() -> None:
    text = to_markdown(found())
    assert "4 people are too few to tell anonymizers apart in 1 tests" in text
    assert "too few" not in to_markdown(many())


def test_output_to_a_file_is_wide_and_plain() -> None:
    stream = io.StringIO()
    show(many(), Console(file=stream, width=40))
    assert "\x1b" not in stream.getvalue()
    assert any("removal (gan)" in line and "apart" in line for line in stream.getvalue().splitlines())
