"""Recovery: known answers, what the floor and the ceiling are, who has none, and what its interval holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import Scored, made_up_scores

from refbench.errors import RefbenchError
from refbench.face_tables import IDENTIFICATION_COLUMNS
from refbench.identified_recovery import RecoveredPeople, recovered_people
from refbench.labels import plugin_name
from refbench.recovery import RecoveredScores, attack_trainings, floor_trainings, recovered_scores

NAN = math.nan


def recovered(values: Scored, **columns: Any) -> RecoveredScores:
    scores, cells = made_up_scores(values)
    return recovered_scores(scores, cells.assign(**columns), "changed", "correlation")


def by_person(own: RecoveredScores, *training: Any) -> list[float]:
    """Recovery in the order of the people's names."""
    return own.table[training].droplevel("site").sort_index().tolist()


def test_names_of_plugins() -> None:
    assert plugin_name("inpaint(steps=600) learnt on blur(strength_mm=2)") == "inpaint"
    assert plugin_name("mri_deface [native]") == "mri_deface"
    assert plugin_name("my-blur") == "my-blur"
    assert plugin_name("") == ""


def test_by_hand() -> None:
    own = recovered({("blur", "", 0): (0.6, 0.8, 0.6, 0.8), ("blur", "net", 0): (0.8, 0.9, 0.6, 0.7)})
    assert by_person(own, "blur", "net", 0) == pytest.approx([0.5, 0.5, 0, -0.5])
    found = own.by_attack()["blur", "net"]
    assert found.overall.value == pytest.approx(0.125)
    # Sites are drawn apart: of A (0.5, 0), of B (0.5, -0.5), so the mean is -0.25 at least and 0.5 at most.
    assert (found.overall.low, found.overall.high) == pytest.approx((-0.25, 0.5))
    assert (found.people, found.left_out, found.seeds, found.base) == (4, 0, 1, "released")
    assert found == own.by_training()["blur", "net", 0]


def test_the_floor_is_the_best_of_no_attack_and_baselines_by_any_seed() -> None:
    values = {
        ("blur", "", 0): (0.5, 0.7),
        ("blur", "none", 0): (0.5, 0.7),
        ("blur", "nearest", 0): (0.5, 0.6),
        ("blur", "nearest", 1): (0.9, 0.5),
        ("blur", "net", 0): (0.95, 0.75),
        ("shade", "", 0): (0.8, 0.8),
        ("shade", "none", 0): (0.8, 0.8),
        ("shade", "net", 0): (0.9, 0.8),
    }
    own = recovered(values)
    assert (own.scales["blur"].base, own.scales["shade"].base) == ("nearest", "released")
    assert own.scales["blur"].released == pytest.approx(0.6)
    assert by_person(own, "blur", "net", 0) == pytest.approx([0.5, 0.5])
    assert by_person(own, "shade", "net", 0) == pytest.approx([0.5, 0])
    found = own.by_training()
    assert found["blur", "nearest", 1].overall.value == 0
    assert found["blur", "none", 0].overall.value < 0


def test_the_column_floor_says_what_is_one() -> None:
    values = {("blur", "", 0): (0.5, 0.5), ("blur", "mean_face", 0): (0.7, 0.7), ("blur", "mine", 0): (0.6, 0.6)}
    _, cells = made_up_scores(values)
    assert floor_trainings(cells) == [("blur", "mean_face", 0)]
    assert floor_trainings(cells.assign(floor=[False, True])) == [("blur", "mine", 0)]
    assert floor_trainings(cells.assign(floor=["False", "True"])) == [("blur", "mine", 0)]
    assert recovered(values, floor=[False, True]).scales["blur"].base == "mine"
    assert attack_trainings(cells.assign(floor=False, control=["", "shuffled"])) == [("blur", "mean_face", 0)]


def test_the_original_as_it_scores_is_the_ceiling() -> None:
    """Where it has no score, or was not released, the metric's own is; that of an unknown metric is not known."""
    values = {
        ("identity", "", 0): (0.9, NAN),
        ("identity", "net", 0): (0.9, NAN),
        ("blur", "", 0): (0.5, 0.5),
        ("blur", "net", 0): (0.7, 0.7),
    }
    own = recovered(values)
    assert by_person(own, "blur", "net", 0) == pytest.approx([0.5, 0.4])
    assert own.scales["blur"].ceiling == pytest.approx(0.95)
    nothing_hidden = own.by_training()["identity", "net", 0]
    assert math.isnan(nothing_hidden.overall.value)
    assert (nothing_hidden.people, nothing_hidden.left_out) == (0, 2)
    scores, cells = made_up_scores(values)
    other = recovered_scores(scores.assign(metric="likeness"), cells, "changed", "likeness")
    assert by_person(other, "blur", "net", 0) == pytest.approx([0.5, NAN], nan_ok=True)
    with pytest.raises(RefbenchError, match="nothing is scored by 'ssim' in the region 'changed'"):
        recovered_scores(scores, cells, "changed", "ssim")


def test_a_face_removed_to_a_constant_is_no_floor() -> None:
    values = {
        ("removal", "", 0): (NAN, NAN, 0.9, NAN),
        ("removal", "mean_face", 0): (0.4, 0.5, 0.4, NAN),
        ("removal", "net", 0): (0.7, 0.75, 0.1, 0.9),
    }
    own = recovered(values)
    assert own.scales["removal"].base == "mean_face"
    assert by_person(own, "removal", "net", 0) == pytest.approx([0.5, 0.5, -0.5, NAN], nan_ok=True)
    assert own.by_training()["removal", "net", 0].left_out == 1
    without = recovered({("removal", "", 0): (NAN, NAN), ("removal", "net", 0): (0.7, 0.75)})
    assert without.by_attack()["removal", "net"].left_out == 2


def test_who_is_hardly_hidden_has_none() -> None:
    """The third person's gap is 0.009, the median person's 0.1: a ratio there would say nothing but be large."""
    own = recovered({("blur", "", 0): (0.9, 0.9, 0.991, 0.9), ("blur", "net", 0): (0.95, 0.95, 0.9, 0.95)})
    found = own.by_attack()["blur", "net"]
    assert (found.people, found.left_out) == (3, 1)
    assert found.overall.value == pytest.approx(0.5)


def test_seeds_are_part_of_the_interval_and_their_spread_is_told() -> None:
    values = {
        ("blur", "", 0): (0.5,) * 6,
        ("blur", "net", 0): (0.6,) * 6,
        ("blur", "net", 1): (0.7,) * 6,
        ("blur", "net", 2): (0.95,) * 6,
    }
    own = recovered(values)
    found = own.by_attack()["blur", "net"]
    assert (found.overall.value, found.smallest, found.largest) == pytest.approx((0.5, 0.2, 0.9))
    assert (found.overall.low, found.overall.high) == pytest.approx((0.2, 0.9))
    one = own.by_training()["blur", "net", 1].overall
    assert (one.value, one.low, one.high) == pytest.approx((0.4,) * 3)


values_of_people = st.lists(st.tuples(*[st.floats(0, 0.8)] * 3), min_size=2, max_size=6)


@settings(deadline=None, max_examples=10)
@given(values_of_people, st.floats(1, 100), st.floats(-100, 100), st.randoms())
def test_neither_order_nor_scale_matters(
    people: list[tuple[float, float, float]], factor: float, offset: float, random: Any
) -> None:
    released, average, attacked = zip(*people, strict=True)
    values = {
        ("identity", "", 0): [1.0] * len(people),
        ("blur", "", 0): released,
        ("blur", "mean_face", 0): average,
        ("blur", "net", 0): attacked,
    }
    scores, cells = made_up_scores(values)
    own = recovered_scores(scores, cells, "changed", "correlation")
    rows, trainings = list(scores.index), list(cells.index)
    random.shuffle(rows)
    random.shuffle(trainings)
    shuffled = recovered_scores(scores.loc[rows], cells.loc[trainings], "changed", "correlation")
    pd.testing.assert_frame_equal(own.table, shuffled.table)
    assert own.scales == shuffled.scales
    if abs(np.mean(released) - np.mean(average)) > 1e-6:  # equals may be told apart by rounding
        other = recovered_scores(
            scores.assign(value=factor * scores["value"] + offset), cells, "changed", "correlation"
        )
        assert other.scales["blur"].base == own.scales["blur"].base
        np.testing.assert_allclose(other.table["blur"], own.table["blur"], atol=1e-6)


def test_more_people_tell_more() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for people in (8, 128):
        gained = 0.5 + 0.3 + rng.normal(0, 0.05, people)
        own = recovered({("blur", "", 0): [0.5] * people, ("blur", "net", 0): gained}).by_attack()["blur", "net"]
        widths.append(own.overall.high - own.overall.low)
        assert own.overall.low < own.overall.value < own.overall.high
    assert widths[1] < widths[0] / 2


def looked_for(found: dict[tuple[str, str], str], people: int = 6) -> RecoveredPeople | None:
    """Of every anonymizer and attacker who is found first: `x` by person; everybody else is taken for the next."""
    rows = []
    for (hidden, attacker), who in found.items():
        condition = "reconstructed" if attacker else "anonymized"
        for person, mark in enumerate(who):
            taken_for = person if mark == "x" else (person + 1) % people
            rows += [
                (f"P{person}", "1", "A", hidden, attacker, 0, condition, "surface", f"P{face}", True, face == taken_for)
                for face in range(people)
            ]
    table = pd.DataFrame(rows, columns=IDENTIFICATION_COLUMNS).astype({"similarity": float})
    cells = pd.DataFrame([{"anonymizer": hidden, "attacker": name, "seed": 0} for hidden, name in found if name])
    return recovered_people(table, cells)


def test_recovery_of_who_is_recognised() -> None:
    own = looked_for(
        {
            ("identity", ""): "xxxxxx",
            ("blur", ""): "......",
            ("blur", "mean_face"): "x.....",
            ("blur", "net"): "xxx...",
            ("veil", ""): "xx....",
            ("veil", "mean_face"): "......",
            ("veil", "net"): "xxxxxx",
            ("blank", ""): "......",
            ("blank", "mean_face"): "......",
            ("blank", "net"): "......",
        }
    )
    assert own is not None
    found = own.by_attack()
    assert {name: scale.base for name, scale in own.scales.items()} == {
        "blur": "chance",  # a baseline that finds one of six is as good
        "veil": "released",
        "blank": "chance",
    }
    assert found["blur", "net"].overall.value == pytest.approx(0.4)
    assert found["blur", "mean_face"].overall.value == pytest.approx(0)
    assert found["blank", "net"].overall.value == pytest.approx(-0.2)
    whole = found["veil", "net"]  # who is found after the attack is who is found anyway, in every resample
    assert (whole.overall.value, whole.overall.low, whole.overall.high) == pytest.approx((1, 1, 1))
    assert (whole.people, whole.left_out) == (6, 0)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({("blur", ""): "x.....", ("blur", "net"): "xx...."}, "the originals were not looked for"),
        ({("identity", ""): "xx....", ("blur", ""): "xx....", ("blur", "net"): "xxxxxx"}, "nothing was hidden"),
        ({("identity", ""): "xx....", ("blur", ""): ".x....", ("blur", "net"): "xxxxxx"}, "hardly anything was hidden"),
    ],
)
def test_undefined_where_recognizers_do_not_know_the_originals_better(
    found: dict[tuple[str, str], str], why: str
) -> None:
    own = looked_for(found)
    assert own is not None
    assert math.isnan(own.by_attack()["blur", "net"].overall.value), why
    assert looked_for({("identity", ""): "xxxxxx"}) is None
