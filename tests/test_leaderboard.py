from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from refbench.errors import RefbenchError
from refbench.leaderboard import Leaderboard, View, build_leaderboard, column
from refbench.results import Run

SUBJECTS = {"g1": "Guys", "g2": "Guys", "g3": "Guys", "h1": "HH"}
SPREAD = {"g1": -0.03, "g2": 0.01, "g3": 0.02, "h1": 0.1}
"""Added to the mean of a series: 0 on average over Guys, 0.1 at HH."""

SLICES = np.array([-0.004, 0.0, 0.004])

VIEW = View()

Series = tuple[str, str, int, float]
"""Anonymizer, attacker (empty: none), seed, mean at Guys."""


def score_rows(
    series: list[Series], metric: str = "correlation", region: str = "front_half", subjects: dict[str, str] = SUBJECTS
) -> pd.DataFrame:
    rows = [
        {
            "dataset": "hand-made",
            "subject": subject,
            "session": "1",
            "site": site,
            "slice": number,
            "anonymizer": anonymizer,
            "anonymizer_params": "{}",
            "attacker": attacker,
            "attacker_params": "{}",
            "seed": seed,
            "condition": "reconstructed" if attacker else "anonymized",
            "region": region,
            "metric": metric,
            "value": mean + SPREAD[subject] + offset,
        }
        for anonymizer, attacker, seed, mean in series
        for subject, site in subjects.items()
        for number, offset in enumerate(SLICES)
    ]
    return pd.DataFrame(rows)


def make_run(
    scores: pd.DataFrame,
    statuses: dict[tuple[str, str, int], str] | None = None,
    outcomes: dict[tuple[str, str], str] | None = None,
    extra_subjects: tuple[tuple[str, str, str], ...] = (("t1", "Guys", "train"),),
    notes: tuple[str, ...] = (),
) -> Run:
    attacked = scores[scores["attacker"] != ""]
    found = dict.fromkeys(attacked[["anonymizer", "attacker", "seed"]].itertuples(index=False, name=None), "ok")
    cells = pd.DataFrame(
        [
            {"anonymizer": a, "attacker": b, "seed": seed, "status": status, "error": ""}
            for (a, b, seed), status in (found | (statuses or {})).items()
        ]
    )
    people = [(subject, site, "test") for subject, site in SUBJECTS.items()] + list(extra_subjects)
    subjects = pd.DataFrame(
        [
            {
                "subject": subject,
                "session": "1",
                "site": site,
                "part": part,
                "anonymizer": anonymizer,
                "outcome": (outcomes or {}).get((anonymizer, subject), "ok"),
            }
            for anonymizer in dict.fromkeys(cells["anonymizer"])
            for subject, site, part in people
        ]
    )
    return Run(Path("run"), {"notes": list(notes)}, scores, cells, subjects)


PLAIN: list[Series] = [
    ("blur", "", 0, 0.5),
    ("blur", "none", 0, 0.5),
    ("blur", "gan", 0, 0.7),
    ("removal", "", 0, 0.2),
    ("removal", "none", 0, 0.2),
    ("removal", "gan", 0, 0.4),
]


def board(series: list[Series] = PLAIN, view: View = VIEW, **more: Any) -> Leaderboard:
    return build_leaderboard([make_run(score_rows(series), **more)], view)


def rows(board: Leaderboard, *names: str) -> list[tuple[Any, ...]]:
    names = names or ("rank", "anonymizer", "attacker")
    table = board.rows[list(names)].astype(object)
    return list(table.where(table.notna(), None).itertuples(index=False, name=None))


def figure(board: Leaderboard, row: int, condition: str, site: str, metric: str = "correlation") -> float:
    return float(board.rows.loc[row, column(condition, metric, "front_half", site)])


# Ranks


def test_one_row_per_anonymizer_ranked_by_its_strongest_attacker() -> None:
    assert rows(board()) == [(1, "removal", "gan"), (2, "blur", "gan")]


def test_the_strongest_attacker_decides_never_the_mean() -> None:
    series: list[Series] = [
        ("even", "a", 0, 0.6),
        ("even", "b", 0, 0.6),
        ("uneven", "a", 0, 0.1),
        ("uneven", "b", 0, 0.7),
    ]
    assert rows(board(series)) == [(1, "even", "a"), (2, "uneven", "b")]


def test_no_attack_is_an_attacker_like_others() -> None:
    series: list[Series] = [("x", "none", 0, 0.8), ("x", "gan", 0, 0.3), ("y", "none", 0, 0.1), ("y", "gan", 0, 0.5)]
    assert rows(board(series)) == [(1, "y", "gan"), (2, "x", "none")]


def test_the_strongest_seed_decides() -> None:
    series: list[Series] = [("x", "gan", 0, 0.4), ("x", "gan", 1, 0.9), ("y", "gan", 0, 0.8), ("y", "gan", 1, 0.8)]
    assert rows(board(series), "rank", "anonymizer", "seed") == [(1, "y", 0), (2, "x", 1)]


def test_equals_share_a_rank() -> None:
    series: list[Series] = [("a", "gan", 0, 0.5), ("b", "gan", 0, 0.5), ("c", "gan", 0, 0.9), ("d", "gan", 0, 0.1)]
    assert rows(board(series), "rank", "anonymizer") == [(1, "d"), (2, "a"), (2, "b"), (4, "c")]


def test_scores_that_print_alike_are_equal_whatever_their_last_digits() -> None:
    series: list[Series] = [("a", "gan", 0, 0.5004), ("b", "gan", 0, 0.4996), ("c", "gan", 0, 0.5014)]
    scores = score_rows(series)
    scores["value"] -= 0.025  # the mean of the spread
    found = build_leaderboard([make_run(scores)], View())
    assert rows(found, "rank", "anonymizer") == [(1, "b"), (1, "a"), (3, "c")]


def test_overlapping_intervals_are_no_tie() -> None:
    found = board([("a", "gan", 0, 0.5), ("b", "gan", 0, 0.502)])
    assert figure(found, 0, "reconstructed", "all_high") > figure(found, 1, "reconstructed", "all_low")
    assert rows(found, "rank", "anonymizer") == [(1, "a"), (2, "b")]


def test_an_incomplete_row_has_no_rank_says_what_is_missing_and_shifts_nobody() -> None:
    found = board(statuses={("removal", "cyclegan", 0): "timed out", ("removal", "pix2pix", 0): "out of memory"})
    assert rows(found, "rank", "anonymizer", "missing") == [
        (1, "blur", ""),
        (None, "removal", "cyclegan: timed out; pix2pix: out of memory"),
    ]
    assert figure(found, 1, "reconstructed", "Guys") == pytest.approx(0.4)


def test_an_anonymizer_without_any_score_is_shown_without_rank() -> None:
    found = board(statuses={("broken", "gan", 0): "blocked"})
    assert rows(found, "rank", "anonymizer", "attacker", "missing")[-1] == (None, "broken", "gan", "gan: blocked")


def test_an_undefined_score_is_no_rank() -> None:
    scores = score_rows([*PLAIN, ("odd", "gan", 0, 0.1)])
    scores.loc[scores["anonymizer"] == "odd", "value"] = np.nan
    found = build_leaderboard([make_run(scores)], View())
    assert rows(found, "rank", "anonymizer") == [(1, "removal"), (2, "blur"), (None, "odd")]


def test_an_attack_that_is_undefined_is_not_the_strongest() -> None:
    scores = score_rows(PLAIN)
    scores.loc[(scores["anonymizer"] == "blur") & (scores["attacker"] == "gan"), "value"] = np.nan
    assert rows(build_leaderboard([make_run(scores)], View())) == [(1, "removal", "gan"), (2, "blur", "none")]


def test_the_metric_to_rank_by_is_chosen() -> None:
    ssim: list[Series] = [
        ("blur", "", 0, 0.1),
        ("blur", "gan", 0, 0.2),
        ("removal", "", 0, 0.3),
        ("removal", "gan", 0, 0.4),
    ]
    run = make_run(pd.concat([score_rows(PLAIN), score_rows(ssim, metric="ssim")]))
    assert rows(build_leaderboard([run], View(by="correlation")), "rank", "anonymizer") == [(1, "removal"), (2, "blur")]
    found = build_leaderboard([run], View(by="ssim", metrics=("correlation",)))
    assert rows(found, "rank", "anonymizer") == [(1, "blur"), (2, "removal")]
    assert found.metrics == ("correlation",)


# Figures


def test_means_are_over_subjects_per_site_and_over_all_subjects() -> None:
    found = board()
    assert figure(found, 1, "anonymized", "Guys") == pytest.approx(0.5)
    assert figure(found, 1, "anonymized", "HH") == pytest.approx(0.6)
    assert figure(found, 1, "anonymized", "all") == pytest.approx((3 * 0.5 + 0.6) / 4)
    assert figure(found, 1, "reconstructed", "Guys") == pytest.approx(0.7)
    assert figure(found, 1, "reconstructed", "all") == pytest.approx(0.7 + 0.025)
    assert found.sites == ("Guys", "HH")


def test_a_subject_with_many_slices_weighs_no_more() -> None:
    scores = score_rows(PLAIN)
    again = pd.concat([scores, scores[scores["subject"] == "g1"], scores[scores["subject"] == "g1"]])
    found = build_leaderboard([make_run(again)], View())
    assert figure(found, 0, "reconstructed", "all") == pytest.approx(0.425)


def test_the_interval_is_a_bootstrap_over_subjects_within_sites() -> None:
    found = board()
    values = 0.4 + np.array([SPREAD[subject] for subject in ("g1", "g2", "g3")])
    draws = np.random.default_rng(3).choice(values, (20_000, 3)).sum(axis=1)
    expected = np.percentile((draws + 0.5) / 4, [2.5, 97.5])  # the only subject of HH is in every resample
    low, high = (figure(found, 0, "reconstructed", f"all_{end}") for end in ("low", "high"))
    assert [low, high] == pytest.approx(expected, abs=0.002)
    assert low < figure(found, 0, "reconstructed", "all") < high


def test_every_site_has_a_median_and_an_interval_of_its_own() -> None:
    found = board()
    assert figure(found, 0, "reconstructed", "Guys_median") == pytest.approx(0.41)
    assert figure(found, 0, "reconstructed", "all_median") == pytest.approx(0.415)
    low, high = (figure(found, 0, "reconstructed", f"Guys_{end}") for end in ("low", "high"))
    assert 0.37 - 1e-9 <= low < 0.4 < high <= 0.42 + 1e-9
    ends = [figure(found, 0, "reconstructed", f"HH_{end}") for end in ("low", "high", "median")]
    assert ends == pytest.approx([0.5] * 3), "of one person"


def test_seeds_have_a_mean_and_an_interval_over_all_of_them() -> None:
    series: list[Series] = [("x", "gan", 0, 0.5), ("x", "gan", 1, 0.9), ("y", "gan", 0, 0.8)]
    found = board(series)
    several = found.rows.set_index("anonymizer")
    assert several.loc["x", "over_seeds"] == pytest.approx(0.725)
    assert several.loc["x", "over_seeds_low"] < 0.54, "one draw in four has the weaker seed only"
    assert several.loc["x", "over_seeds_high"] > 0.91
    assert np.isnan(several.loc["y", "over_seeds"]), "one seed only"
    assert figure(found, 1, "reconstructed", "all_low") > 0.9, "the row is of the stronger seed"
    assert "over_seeds" not in board().rows


def test_numbers_are_unrounded() -> None:
    scores = score_rows([("x", "", 0, 1 / 3), ("x", "gan", 0, 2 / 3)], subjects={"g2": "Guys"})
    found = build_leaderboard([make_run(scores)], View())
    assert figure(found, 0, "reconstructed", "all") == scores[scores["attacker"] == "gan"]["value"].mean()


def test_the_changed_region_is_shown_beside_the_chosen_one() -> None:
    scores = pd.concat([score_rows(PLAIN), score_rows([("blur", "gan", 0, 0.33)], region="changed")])
    found = build_leaderboard([make_run(scores)], View())
    assert found.regions == ("front_half", "changed")
    name = column("reconstructed", "correlation", "changed", "Guys")
    assert found.rows.set_index("anonymizer").loc["blur", name] == pytest.approx(0.33)
    assert np.isnan(found.rows.set_index("anonymizer").loc["removal", name])
    assert build_leaderboard([make_run(scores)], View(region="changed")).regions == ("changed",)


# Views


def test_all_attackers_strongest_first() -> None:
    found = board(view=View(attackers=True), statuses={("blur", "late", 0): "crashed"})
    assert rows(found, "rank", "anonymizer", "attacker", "missing") == [
        (1, "removal", "gan", ""),
        (None, "removal", "none", ""),
        (None, "blur", "gan", "late: crashed"),
        (None, "blur", "none", "late: crashed"),
        (None, "blur", "late", "late: crashed"),
    ]
    assert np.isnan(figure(found, 4, "reconstructed", "all"))
    assert figure(found, 4, "anonymized", "Guys") == pytest.approx(0.5)


def test_the_strongest_attack_has_the_same_figures_whether_or_not_others_are_shown() -> None:
    series = [*PLAIN, ("blur", "gan", 1, 0.6), ("blur", "none", 1, 0.55)]
    alone, among = board(series), board(series, View(attackers=True))
    strongest = among.rows.drop_duplicates("anonymizer").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.rows, strongest[alone.rows.columns])


def test_some_sites_only_count_their_own_subjects() -> None:
    found = board(view=View(sites=("HH",)))
    assert found.sites == ("HH",)
    assert figure(found, 0, "reconstructed", "all") == pytest.approx(0.5)
    assert rows(found, "subjects", "scans") == [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (View(region="front_halv"), "no region 'front_halv'; did you mean 'front_half'"),
        (View(by="corelation"), "no metric 'corelation'; did you mean 'correlation'"),
        (View(metrics=("correlaton",)), "no metric 'correlaton'; did you mean 'correlation'"),
        (View(sites=("Guy",)), "no site 'Guy'; did you mean 'Guys'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(view: View, words: str) -> None:
    with pytest.raises(RefbenchError, match=words):
        board(view=view)


def test_a_run_without_scores_is_an_error() -> None:
    run = make_run(score_rows(PLAIN))
    with pytest.raises(RefbenchError, match="no scores"):
        build_leaderboard([Run(run.folder, run.info, run.scores[:0], run.cells, run.subjects)], View())


# Who was tested


def test_failed_anonymizations_are_counted_and_never_dropped() -> None:
    found = board(
        outcomes={("blur", "g1"): "failed", ("blur", "t1"): "face left"},
        extra_subjects=(("t1", "Guys", "train"), ("x1", "Guys", "excluded")),
    )
    assert rows(found, "anonymizer", "subjects", "scans", "failed") == [("removal", 4, 5, 0), ("blur", 4, 5, 2)]


# Several runs


def test_runs_are_ranked_together() -> None:
    one, two = make_run(score_rows(PLAIN[:3]), notes=("a",)), make_run(score_rows(PLAIN[3:]), notes=("b", "a"))
    together = build_leaderboard([one, two], View())
    pd.testing.assert_frame_equal(together.rows, board().rows)
    assert together.notes == ("a", "b")


def test_the_order_of_the_scores_does_not_matter() -> None:
    scores = score_rows(PLAIN)
    shuffled = scores.sample(frac=1, random_state=1)
    run = make_run(scores)
    again = Run(run.folder, run.info, shuffled, run.cells, run.subjects)
    pd.testing.assert_frame_equal(build_leaderboard([again], View()).rows, build_leaderboard([run], View()).rows)
