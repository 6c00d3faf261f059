import io
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from refbench.leaderboard import Leaderboard, View
from refbench.render import show, to_csv, to_json, to_markdown, to_terminal

THIRD, TINY = 1 / 3, 0.1 + 0.2


def figures(value: float) -> dict[str, float]:
    return {
        f"{condition}_{metric}_{region}_{site}": value + shift
        for shift, condition in ((0.0, "anonymized"), (0.2, "reconstructed"))
        for metric in ("correlation", "ssim")
        for region, sites in (("front_half", ("Guys", "HH", "all", "all_low", "all_high")), ("changed", ("all",)))
        for site in sites
    }


def make_board(*, trouble: bool = False, attackers: bool = False) -> Leaderboard:
    facts = {"seed": 0, "attacker_params": "{}", "subjects": 4, "scans": 9, "failed": 0, "reasons": ""}
    facts |= {"missing": "", "unranked": ""}
    rows = [
        {"rank": 1, "anonymizer": "removal", "attacker": "gan", **facts, **figures(THIRD)},
        {"rank": 2, "anonymizer": "blur(strength_mm=4)", "attacker": "none", **facts, **figures(TINY)},
    ]
    if attackers:
        rows.insert(1, {"rank": None, "anonymizer": "removal", "attacker": "none", **facts, **figures(0.125)})
    if trouble:
        rows.append({"rank": None, "anonymizer": "odd", "attacker": "gan", **facts, **figures(math.nan)})
        rows[-1] |= {"failed": 3, "reasons": "2 face left, 1 brain cut", "missing": "gan: timed out"}
        rows[-1]["unranked"] = rows[-1]["missing"]
    table = pd.DataFrame(rows)
    table["rank"] = table["rank"].astype("Int64")
    view = View(attackers=attackers)
    metrics, tried = ("correlation", "ssim"), {"gan": "{}", "none": "{}"}
    return Leaderboard(table, ("Guys", "HH"), metrics, ("front_half", "changed"), view, ("a note",), tried)


def text(board: Leaderboard, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(to_terminal(board, width), highlight=False)
    return stream.getvalue()


# CSV and JSON


def test_csv_holds_every_column_unrounded() -> None:
    board = make_board(trouble=True)
    found = pd.read_csv(io.StringIO(to_csv(board)), keep_default_na=True)
    assert list(found.columns) == list(board.rows.columns)
    assert found.loc[0, "anonymized_correlation_front_half_Guys"] == THIRD
    assert found.loc[1, "anonymized_ssim_changed_all"] == TINY
    assert found["rank"].tolist()[:2] == [1, 2]
    assert np.isnan(found.loc[2, "rank"])


def test_json_holds_the_very_numbers_of_the_table() -> None:
    board = make_board(trouble=True)
    found = json.loads(to_json(board), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [row["rank"] for row in found["rows"]] == [1, 2, None]
    assert [row["anonymizer"] for row in found["rows"]] == ["removal", "blur(strength_mm=4)", "odd"]
    for row, (_, expected) in zip(found["rows"], board.rows.iterrows(), strict=True):
        assert list(row) == list(board.rows.columns)
        for name, value in figures(0).items():
            assert row[name] == (None if math.isnan(expected[name]) else expected[name]), value
    assert (found["region"], found["ranked_by"]) == ("front_half", "correlation")
    assert (found["metrics"], found["sites"], found["notes"]) == (["correlation", "ssim"], ["Guys", "HH"], ["a note"])


# Markdown


def test_markdown_is_a_table_of_equal_rows() -> None:
    lines = [line for line in to_markdown(make_board(trouble=True)).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + 3
    assert "| correlation Guys | correlation HH | correlation all [95 %] | correlation changed |" in lines[0]
    assert lines[2].startswith("| 1 | removal | gan | 0.333 → 0.533 | 0.333 → 0.533 | 0.333 → 0.533 [0.533, 0.533] |")
    assert lines[4].startswith("|  | odd | gan | – → – |")
    assert lines[4].endswith("| 3/9: 2 face left, 1 brain cut | gan: timed out |")


def test_markdown_hides_columns_of_trouble_when_there_is_none() -> None:
    header = to_markdown(make_board()).splitlines()[0]
    assert "failed" not in header
    assert "missing" not in header


def test_markdown_says_whether_attacks_are_all_or_the_strongest() -> None:
    assert "| strongest attack |" in to_markdown(make_board())
    assert "| attack |" in to_markdown(make_board(attackers=True))


def test_captions_say_what_is_shown() -> None:
    end = to_markdown(make_board()).splitlines()[-4:]
    assert end[0] == "Region front_half, 4 test subjects. Rank 1 hides best: by correlation of the strongest attack."
    assert end[-1] == "a note"


# Terminal


def test_two_lines_a_row_released_and_after_the_attack() -> None:
    lines = text(make_board(), 200).splitlines()
    released = next(line for line in lines if "removal" in line)
    attacked = lines[lines.index(released) + 1]
    assert released.split()[:3] == ["1", "removal", "released"]
    assert released.split()[3:5] == ["0.333", "0.333"]
    assert attacked.split()[:4] == ["↳", "gan", "0.533", "0.533"]
    assert "[0.333, 0.333]" in released
    assert "[0.533, 0.533]" in attacked


def test_all_attackers_share_the_line_of_what_was_released() -> None:
    lines = text(make_board(attackers=True), 200).splitlines()
    assert sum("removal" in line for line in lines) == 1
    start = next(number for number, line in enumerate(lines) if "removal" in line)
    assert [line.split()[1] for line in lines[start + 1 : start + 3]] == ["gan", "none"]


@pytest.mark.parametrize("width", [100, 130, 200])
def test_no_figure_is_cut_off(width: int) -> None:
    shown = text(make_board(trouble=True), width)
    assert max(len(line) for line in shown.splitlines()) <= width
    assert shown.count("0.333") == 2 * (2 + 3 + 1)
    assert "…" not in shown
    assert "odd has no rank: gan: timed out" in shown
    assert shown.count("3/9") >= 1


def test_narrow_terminals_get_metrics_below_each_other() -> None:
    needed = max(len(line) for line in text(make_board(), 300).splitlines() if "removal" in line)
    for width, tables in ((needed - 5, 2), (needed + 5, 1)):
        assert sum("removal" in line for line in text(make_board(), width).splitlines()) == tables


def test_a_label_is_no_markup() -> None:
    board = replace(make_board(), tried={"[/red]gan": "{}", "none": "{}"})
    board.rows.loc[0, "anonymizer"] = "removal(part=[bold])"
    board.rows.loc[0, "attacker"] = "[/red]gan"
    shown = text(board, 250)
    assert "removal(part=[bold])" in shown
    assert "[/red]gan" in shown


def test_output_to_a_file_is_wide_and_plain() -> None:
    stream = io.StringIO()
    show(make_board(), Console(file=stream, width=40))
    shown = stream.getvalue()
    assert "\x1b" not in shown
    assert any("removal" in line and len(line) > 100 for line in shown.splitlines())


def test_attacks_are_named_by_what_tells_them_apart() -> None:
    narrow, wide = "gan(steps=5, width=8)", "gan(steps=5, width=16)"
    tried = {narrow: '{"steps": 5, "width": 8}', wide: '{"steps": 5, "width": 16}', "none": "{}"}
    board = replace(make_board(attackers=True), tried=tried)
    board.rows["attacker"] = [narrow, wide, "none"]
    lines = text(board, 200)
    assert "↳ gan(width=8) " in lines
    assert "↳ gan(width=16) " in lines
    assert "↳ none " in lines


def test_the_strongest_attack_is_told_from_others_that_are_not_shown() -> None:
    known, estimated = "gan(region=known)", "gan"
    tried = {known: '{"region": "known"}', estimated: '{"region": "estimated"}', "none": "{}"}
    board = replace(make_board(), tried=tried)
    board.rows["attacker"] = [known, "none"]
    assert "↳ gan(region=known) " in text(board, 200)


def test_seeds_are_told_apart() -> None:
    board = make_board(attackers=True)
    board.rows["attacker"], board.rows["seed"] = "gan", [0, 1, 0]
    lines = text(board, 200)
    assert "↳ gan seed 0 " in lines
    assert "↳ gan seed 1 " in lines


def test_a_single_site_is_one_column() -> None:
    board = make_board()
    single = replace(board, sites=("HH",))
    assert "HH [95 %]" in text(single, 200)
    assert " all " not in text(single, 200)


def test_a_shared_rank_is_marked_and_explained() -> None:
    board = make_board()
    assert "=: equal" not in to_markdown(board)
    board.rows["rank"] = pd.array([1, 1], dtype="Int64")
    lines = to_markdown(board).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| 1=", "| 1="]
    assert "=: equal to 3 decimals. Overlapping intervals are no tie." in lines
    assert ["1=", "removal", "released"] in [line.split()[:3] for line in text(board, 250).splitlines()]


def test_several_seeds_are_summed_up_below() -> None:
    board = make_board()
    for name, values in {"": [0.5, math.nan], "_low": [0.4, math.nan], "_high": [0.6, math.nan]}.items():
        board.rows[f"over_seeds{name}"] = values
    lines = to_markdown(board).splitlines()
    assert any(line.startswith("| 1 | removal | gan seed 0 |") for line in lines)
    start = next(number for number, line in enumerate(lines) if line.startswith("Of several seeds"))
    assert lines[start + 1] == "removal, gan: 0.500 [0.400, 0.600]"
    assert not any(line.startswith("blur(strength_mm=4), none:") for line in lines)
