"""From the table of similarities to figures: known answers, chance, and what an interval says."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from refbench.face_tables import IDENTIFICATION_COLUMNS
from refbench.head_figures import head_figures, headlines
from refbench.identification import FIGURES, identification_figures, strongest
from refbench.trials import trials

NAN = float("nan")


def table(similarities: dict[str, np.ndarray], sessions: int = 1) -> pd.DataFrame:
    """Of recognizers, [probes, gallery]; the probes of a person follow each other."""
    rows = []
    for recognizer, values in similarities.items():
        for (probe, face), value in np.ndenumerate(values):
            person, session = divmod(probe, sessions)
            rows.append(
                (f"P{person}", str(session), "A", "veil", "", 0, "anonymized", recognizer, f"P{face}", True, value)
            )
    return pd.DataFrame(rows, columns=IDENTIFICATION_COLUMNS)


def test_by_hand() -> None:
    """The first is found, the second stands behind the third, nothing is known of the last."""
    values = np.array([[4.0, 1, 0, 0], [0, 1, 2, 0], [0, 0, 3, 0], [NAN] * 4])
    (row,) = identification_figures(table({"own": values})).to_dict("records")
    assert (row["probes"], row["people"], row["gallery"], row["moved"]) == (4, 4, 4, 1)
    assert (row["chance"], row["placed"]) == (1 / 4, 3 / 4)
    assert row["rank1"] == pytest.approx((1 + 0 + 1 + 1 / 4) / 4)
    assert row["rank5"] == 1
    known = values[:3]
    assert row["auc"] == pytest.approx(0.75 * roc_auc_score(np.eye(3, 4).ravel(), known.ravel()) + 0.25 * 0.5)
    assert np.isnan(row["tpr_1"])
    bits = np.log2(1 + np.exp(np.where(np.eye(4) > 0, -1, 1) * np.nan_to_num(values)))
    assert row["cllr"] == pytest.approx((np.diag(bits).mean() + bits[np.eye(4) == 0].mean()) / 2)


def test_nothing_known_is_chance_and_surely_so() -> None:
    (row,) = identification_figures(table({"own": np.full((20, 20), NAN)})).to_dict("records")
    expected = [1 / 20, 5 / 20, 0.5, 0.5, 0.01, NAN, 0, 1, 1]
    for figure, value in zip(FIGURES, expected, strict=True):
        assert [row[f"{figure}{end}"] for end in ("", "_low", "_high")] == pytest.approx([value] * 3, nan_ok=True)


def test_people_apart_are_found_and_surely_so() -> None:
    (row,) = identification_figures(table({"own": 40 * np.eye(12) - 20})).to_dict("records")
    for figure, value in zip(FIGURES, [1, 1, 1, 0, 1, NAN, 1, 0, 0], strict=True):
        assert [row[f"{figure}{end}"] for end in ("", "_low", "_high")] == pytest.approx(
            [value] * 3, nan_ok=True, abs=1e-6
        )


def test_each_person_counts_once_however_many_visits() -> None:
    values = np.array([[1.0, 0], [0, 1], [0, 1]])
    rows = table({"own": values}).assign(subject=lambda own: np.repeat(["P0", "P0", "P1"], 2))
    rows["session"] = np.repeat(["0", "1", "0"], 2)
    (row,) = identification_figures(rows).to_dict("records")
    assert (row["probes"], row["people"], row["rank1"]) == (3, 2, (1 / 2 + 1) / 2)


def test_an_interval_covers_chance_and_holds_its_figure() -> None:
    rng = np.random.default_rng(0)
    (row,) = identification_figures(table({"own": rng.normal(0, 0.1, (30, 30))})).to_dict("records")
    assert row["rank1_low"] <= 1 / 30 <= row["rank1_high"]
    for figure, chance in (("auc", 0.5), ("eer", 0.5)):
        assert row[f"{figure}_low"] < chance < row[f"{figure}_high"]
    for figure in FIGURES:
        if figure not in ("tpr_01", "d_sys", "cllr_min"):  # the last two grow where people are drawn twice
            assert row[f"{figure}_low"] <= row[figure] <= row[f"{figure}_high"]


def test_the_order_of_rows_changes_nothing() -> None:
    rows = table({"own": np.random.default_rng(1).normal(size=(6, 6))})
    shuffled = identification_figures(rows.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(identification_figures(rows), shuffled)


def test_the_strongest_finds_most_people_and_of_equals_parts_pairs_best() -> None:
    good, even, bad = np.eye(4), np.eye(4) + np.array([[0.0], [0.9], [1.8], [2.7]]), -np.eye(4)
    for names in itertools.permutations(("good", "even", "bad")):
        values = {"good": good, "even": even, "bad": bad}
        (best,) = strongest(trials(table({name: values[name] for name in names}))).values()
        assert best.recognizer == "good"


def test_a_run_without_the_tables_has_no_figures() -> None:
    assert identification_figures(pd.DataFrame(columns=IDENTIFICATION_COLUMNS)).empty
    assert head_figures(pd.DataFrame(columns=["subject"])).empty


def test_means_of_heads_are_over_people() -> None:
    about = {"site": "A", "anonymizer": "veil", "attacker": "", "seed": 0, "condition": "anonymized", "metric": "brain"}
    rows = [("P0", "1", 1.0), ("P0", "2", 3.0), ("P1", "1", 4.0), ("P2", "1", NAN)]
    heads = pd.DataFrame(rows, columns=["subject", "session", "value"]).assign(figure="brain_dice", **about)
    (row,) = head_figures(heads).to_dict("records")
    assert (row["value"], row["people"]) == (3.0, 2)
    assert (row["low"], row["high"]) == (2.0, 4.0)


def test_headlines_come_one_of_each_metric_first() -> None:
    figures = [("unknown_here", "a"), ("unknown_here", "b"), ("other_unknown(x=1)", "c")]
    assert headlines(figures) == [("unknown_here", "a"), ("other_unknown(x=1)", "c"), ("unknown_here", "b")]
