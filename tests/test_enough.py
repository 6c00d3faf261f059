"""How much is enough: a dose response with a known answer, what has none, and what its interval knows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import Scored, made_up_scores

from refbench.enough import MARGIN, Enough, Reached, crossings, how_much_is_enough, in_words
from refbench.leaderboard import View
from refbench.learning import efforts, learning_curves
from refbench.plots.figures import score_drawings
from refbench.plots.recovery import draw_enough, draw_learning_curves
from refbench.plots.series import sweeps
from refbench.recovery import Trusted, everything, recovered_scores
from refbench.results import Run

STRENGTHS = (1, 2, 4, 8, 16)

Doses = Mapping[str, Sequence[float]]
"""Recovery of each attacker at each strength."""


def dose(
    doses: Doses, *, people: int = 20, noise: float = 0.02, strengths: Sequence[float] = STRENGTHS, name: str = "mm"
) -> Scored:
    """Scores of attacks on a blur whose release is at 0.9, 0.8, ...: people's recoveries differ by `noise`."""
    rng = np.random.default_rng(0)
    values: dict[tuple[str, str, int], Sequence[float]] = {}
    for place, strength in enumerate(strengths):
        hidden, released = f"blur({name}={strength:g})", 0.9 - 0.1 * place
        values[hidden, "", 0] = [released] * people
        for attacker, recoveries in doses.items():
            gained = (1 - released) * (recoveries[place] + rng.normal(0, noise, people))
            values[hidden, attacker, 0] = [released + gain for gain in gained]
    return values


def enough(values: Scored, trusted: Trusted = everything) -> Enough:
    scores, cells = made_up_scores(values)
    (sweep,) = sweeps(cells, "anonymizer")
    return how_much_is_enough(recovered_scores(scores, cells, "changed", "correlation"), cells, sweep, trusted)


def test_a_known_crossing() -> None:
    """From 0.3 at 4 mm to 0 at 8 mm: the margin of 0.05 lies at five sixths of the way, on a logarithmic scale."""
    found = enough(dose({"net": (0.8, 0.6, 0.3, 0.0, -0.1)}))
    assert [point.strength for point in found.points] == list(STRENGTHS)
    assert [point.recovery.value for point in found.points] == pytest.approx([0.8, 0.6, 0.3, 0, -0.1], abs=0.02)
    assert found.tested == Reached("at", 8)
    assert found.crossing.strength == pytest.approx(4 * 2 ** (5 / 6), rel=0.02)
    assert found.low.how == found.high.how == "at"
    assert 6 < found.low.strength < found.crossing.strength < found.high.strength < 8
    assert in_words(found).startswith(
        "mm of blur, 1 to 16 tested: from 8 on the strongest attack is at the floor; 95 %"
    )


def test_the_strongest_attack_may_be_another_at_each_strength_and_the_untrusted_do_not_count() -> None:
    values = dose({"quick": (0.8, 0.6, 0.2, -0.1, -0.3), "slow": (0.1, 0.3, 0.5, 0.3, -0.1), "leak": (1.0,) * 5})
    found = enough(values, lambda anonymizer, attacker, seed: attacker != "leak")
    assert [point.attacker for point in found.points] == ["quick", "quick", "slow", "slow", "slow"]
    assert found.tested == Reached("at", 16)
    assert [name for name, _ in found.points[0].attacks] == ["quick", "slow"]
    everybody = enough(values)
    assert {point.attacker for point in everybody.points} == {"leak"}
    assert everybody.tested == everybody.low == everybody.high == Reached("never", 16)


def test_never_and_already_at_the_weakest_are_answers() -> None:
    never = enough(dose({"net": (0.8, 0.7, 0.6, 0.5, 0.4)}))
    assert never.tested == never.crossing == never.low == never.high == Reached("never", 16)
    assert "(at 16 it still goes 40 % [39, 41] of the way to the original)" in in_words(never)
    assert in_words(never).endswith("95 % interval: not reached within what was tested.")
    weakest = enough(dose({"net": (-0.1, 0.0, -0.1, -0.2, 0.0)}))
    assert weakest.tested == weakest.crossing == weakest.low == weakest.high == Reached("weakest", 1)
    assert "already at the weakest" in in_words(weakest)
    again = enough(dose({"net": (0.5, 0.0, 0.0, 0.0, 0.5)}))  # it must stay there
    assert again.tested.how == "never"


def test_an_end_of_the_interval_may_be_beyond_what_was_tested() -> None:
    found = enough(dose({"net": (0.8, 0.6, 0.4, 0.2, 0.04)}, noise=0.2))
    assert found.crossing.how == found.low.how == "at"
    assert found.high == found.tested == Reached("never", 16)
    assert in_words(found).endswith(" to not reached within what was tested.")


def test_a_strength_without_an_attack_is_not_at_the_floor() -> None:
    values = dose({"net": (0.5, 0.3, 0.0, 0.0, 0.0)})
    found = enough(values, lambda anonymizer, attacker, seed: anonymizer != "blur(mm=16)")
    assert (found.points[-1].attacker, found.points[-1].attacks) == ("", ())
    assert found.tested == Reached("never", 16)
    assert "(at 16 no attack counts)" in in_words(found)
    found = enough(values, lambda anonymizer, attacker, seed: anonymizer != "blur(mm=2)")
    assert found.tested == found.low == found.high == Reached("at", 4)  # and not between 2, where nothing is known


def test_a_number_that_keeps_more_the_larger_it_is_is_read_backwards() -> None:
    """The tissue kept around the brain: 16 mm hide least."""
    found = enough(dose({"net": (0.8, 0.6, 0.3, 0.0, -0.1)}, strengths=(16, 8, 4, 2, 1)))
    assert [point.strength for point in found.points] == [16, 8, 4, 2, 1]
    assert found.tested == Reached("at", 2)
    assert found.crossing.strength == pytest.approx(4 / 2 ** (5 / 6), rel=0.02)


def test_a_number_that_is_zero_is_on_an_even_scale() -> None:
    found = enough(dose({"net": (0.8, 0.3, 0.0)}, strengths=(0, 3, 6), noise=1e-6))
    assert found.crossing.strength == pytest.approx(3 + 3 * 5 / 6, rel=1e-3)


def test_the_interval_shrinks_with_people_and_knows_that_the_strongest_was_chosen() -> None:
    widths = []
    for people in (10, 160):
        found = enough(dose({"net": (0.8, 0.6, 0.3, 0.0, -0.1)}, people=people, noise=0.1))
        widths.append(found.high.strength - found.low.strength)
    assert widths[1] < widths[0] / 2
    equals = {f"net{number}": (0.5, 0.3) for number in range(6)}
    last = enough(dose(equals, strengths=(1, 2), noise=0.3)).points[-1]
    best = dict(last.attacks)[last.attacker]
    assert last.recovery.value == best.value
    assert last.recovery.low > best.low
    assert last.recovery.high > best.high


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_beyond_the_crossing_a_curve_stays_below_the_margin(curve: list[float]) -> None:
    places = np.arange(len(curve), dtype=np.float64)
    (place,) = crossings(np.array([curve]), places)
    if place < 0:
        assert max(curve) < MARGIN
    elif np.isinf(place):
        assert curve[-1] >= MARGIN
    else:
        assert np.interp(place, places, curve) == pytest.approx(MARGIN, abs=1e-6)
        assert all(value < MARGIN for at, value in enumerate(curve) if at > place)


LEARNT = {
    ("blur", ""): 0.5,
    ("blur", "mean_face(share=0.5)"): 0.5,
    ("blur", "mean_face(share=1)"): 0.5,
    ("blur", "net(share=0.25)"): 0.6,
    ("blur", "net(share=0.5)"): 0.7,
    ("blur", "net(share=1)"): 0.85,
    ("veil", ""): 0.2,
    ("veil", "net(share=0.5)"): 0.6,
    ("veil", "net(share=1)"): 0.6,
}


def learnt(noise: float = 0.02) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    values = {
        (hidden, attacker, seed): [level + (rng.normal(0, noise) if attacker else 0) for _ in range(10)]
        for (hidden, attacker), level in LEARNT.items()
        for seed in ((0, 1) if attacker else (0,))
    }
    return made_up_scores(values)


def test_learning_curves_and_whether_they_still_rise() -> None:
    scores, cells = learnt()
    own = recovered_scores(scores, cells, "changed", "correlation")
    assert [(sweep.name, sweep.parameter) for sweep in efforts(cells)] == [("mean_face", "share"), ("net", "share")]
    floors, sweep = efforts(cells)
    assert learning_curves(own, cells, floors) == []  # what is a floor is no attack
    rising, flat = learning_curves(own, cells, sweep)
    assert [(value, label) for value, label, _ in rising.points] == [
        (0.25, "net(share=0.25)"),
        (0.5, "net(share=0.5)"),
        (1.0, "net(share=1)"),
    ]
    assert [recovery.value for *_, recovery in rising.points] == pytest.approx([0.2, 0.4, 0.7], abs=0.03)
    assert rising.last_step.value == pytest.approx(0.3, abs=0.04)
    assert rising.rises
    assert flat.anonymizer == "veil"
    assert not flat.rises
    assert flat.last_step.low < 0 < flat.last_step.high
    few = learning_curves(own, cells, sweep, lambda anonymizer, attacker, seed: "1)" not in attacker)
    assert [curve.anonymizer for curve in few] == ["blur"]


def test_who_learnt_from_something_else_is_in_no_sweep() -> None:
    _, cells = learnt()
    other = cells.assign(attacker=cells["attacker"] + " learnt on veil", threat="ignorant", control="")
    shuffled = cells.assign(
        attacker=cells["attacker"] + " learnt on wrong pairs", threat="informed", control="shuffled"
    )
    mixed = pd.concat([cells.assign(threat="informed", control=""), other, shuffled])
    assert sweeps(mixed, "attacker") == sweeps(cells, "attacker")


def drawn(values: Scored | tuple[pd.DataFrame, pd.DataFrame], folder: Path) -> Run:
    scores, cells = values if isinstance(values, tuple) else made_up_scores(values)
    return Run(folder / "made-up", {}, scores, cells, pd.DataFrame())


def test_the_figure_of_a_dose(tmp_path: Path) -> None:
    run = drawn(dose({"quick": (0.8, 0.6, 0.2, 0.0, -0.9), "slow": (0.1, 0.2, 0.3, -0.1, -0.1)}), tmp_path)
    (sweep,) = sweeps(run.cells, "anonymizer")
    (axes,) = draw_enough(run, sweep, "changed", ["correlation"]).axes
    handles, labels = axes.get_legend_handles_labels()
    band = ["enough: 95 % interval", "enough, of those tested"]
    assert sorted(labels) == sorted(["the floor", "margin, 0.05", *band, "quick", "slow", "strongest attack"])
    strongest = handles[labels.index("strongest attack")].lines[0].get_xydata()
    assert strongest[:, 0].tolist() == list(STRENGTHS)
    assert strongest[:, 1].tolist() == pytest.approx([0.8, 0.6, 0.3, 0, -0.1], abs=0.02)
    assert handles[labels.index("enough, of those tested")].get_xdata()[0] == 8
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[0] == -0.5  # far below the floor nobody looks


def test_the_figure_of_learning(tmp_path: Path) -> None:
    run = drawn(learnt(), tmp_path)
    (axes,) = draw_learning_curves(run, efforts(run.cells)[1], "changed", ["correlation"]).axes
    handles, labels = axes.get_legend_handles_labels()
    assert labels == ["blur", "veil"]
    assert handles[0].lines[0].get_xdata().tolist() == [0.25, 0.5, 1]
    assert [line.get_xydata()[0, 0] for line in axes.lines if line.get_marker() == "*"] == [1]


def test_a_run_with_such_series_has_these_figures(tmp_path: Path) -> None:
    values = {
        (hidden, attacker, 0): (0.5, 0.6)
        for hidden, attacker in itertools.product(("blur(mm=1)", "blur(mm=2)"), ("", "net(steps=1)", "net(steps=2)"))
    }
    names = {one.name for one in score_drawings(drawn(values, tmp_path), "changed", View(), [])}
    assert {"enough_01_blur_mm", "recovery_01_net_steps"} <= names
