"""What a table's own controls say: by hand-made scores, whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from refbench.trust import IDLE, Trust, trust_in

PEOPLE = 8

Means = Mapping[tuple[str, str], float]
"""Anonymizer and attacker (empty: released) to the mean score."""

HONEST: Means = {
    ("identity", ""): 1.0,
    ("identity", "none"): 1.0,
    ("identity", "good"): 1.0,
    ("constant", ""): 0.3,
    ("constant", "none"): 0.3,
    ("constant", "mean_face"): 0.6,
    ("constant", "good"): 0.6,
    ("blur", ""): 0.7,
    ("blur", "none"): 0.7,
    ("blur", "mean_face"): 0.7,
    ("blur", "good"): 0.85,
    ("blur", "good learnt on wrong pairs"): 0.68,
    ("blur", "good learnt on identity"): 0.7,
}
CONTROLS = {"good learnt on wrong pairs": "shuffled", "good learnt on identity": "crossed"}


def judged(means: Means, copied: Mapping[str, str] | None = None, crashed: tuple[str, str] | None = None) -> Trust:
    rng = np.random.default_rng(0)
    rows, cells = [], []
    for (anonymizer, attacker), mean in means.items():
        exact = mean in (1.0, 0.7)
        for person in range(PEOPLE):
            for region in ("front_half", "changed"):
                value = mean if exact else mean + 0.001 * rng.standard_normal()
                rows.append(
                    {
                        "anonymizer": anonymizer,
                        "attacker": attacker,
                        "seed": 0,
                        "condition": "reconstructed" if attacker else "anonymized",
                        "site": "A",
                        "subject": f"P{person}",
                        "region": region,
                        "metric": "correlation",
                        "value": np.nan if anonymizer == "identity" and region == "changed" else value,
                    }
                )
        if attacker:
            control = CONTROLS.get(attacker) or (anonymizer if anonymizer in ("identity", "constant") else "")
            cells.append(
                {
                    "anonymizer": anonymizer,
                    "attacker": attacker,
                    "seed": 0,
                    "learner": attacker.partition(" learnt")[0],
                    "control": control,
                    "floor": attacker in ("none", "mean_face"),
                    "status": "crashed" if (anonymizer, attacker) == crashed else "ok",
                    "copied": (copied or {}).get(anonymizer, ""),
                    **{f"copies{end}": 0.0 for end in ("", "_low", "_high")},
                }
            )
    return trust_in(pd.DataFrame(rows), pd.DataFrame(cells), "front_half", "correlation")


def test_an_honest_attacker_passes() -> None:
    trust = judged(HONEST)
    assert not trust.untrusted
    assert not trust.unproven
    assert {check.control for check in trust.checks} == {"identity", "constant", "shuffled", "crossed", "memory"}
    assert not any(check.failed for check in trust.checks)


@pytest.mark.parametrize(
    ("cell", "score", "said"),
    [
        (("identity", "good"), 0.9, "loses 0.1"),
        (("constant", "good"), 0.8, "of whom it was given nothing"),
        (("blur", "good learnt on wrong pairs"), 0.8, "after learning on wrong pairs"),
        (("blur", "good learnt on identity"), 0.8, "after learning on heads to which nothing was done"),
    ],
)
def test_whoever_fails_one_control_is_not_trusted(cell: tuple[str, str], score: float, said: str) -> None:
    trust = judged({**HONEST, cell: score})
    assert any(said in why for why in trust.untrusted["blur", "good", 0])
    assert not trust.trusts("blur", "good", 0)
    assert trust.trusts("blur", "mean_face", 0)  # baselines are what others are measured against
    assert trust.unproven == {"blur"}  # nobody able is left


def test_a_weak_attacker_is_told_from_a_well_hidden_face() -> None:
    trust = judged({**HONEST, ("blur", "good"): 0.7})
    assert trust.untrusted["blur", "good", 0] == (IDLE,)
    assert trust.unproven == {"blur"}


def test_who_is_able_on_one_anonymizer_may_fail_on_another() -> None:
    harder = {("pixelate", ""): 0.7, ("pixelate", "none"): 0.7, ("pixelate", "good"): 0.7}
    trust = judged({**HONEST, **harder})
    assert not trust.untrusted
    assert not trust.unproven


def test_copies_make_the_cell_of_that_anonymizer_untrusted() -> None:
    harder = {("removal", ""): 0.7, ("removal", "none"): 0.7, ("removal", "good"): 0.9}
    trust = judged({**HONEST, **harder}, copied={"removal": "5 of 8 reconstructions are copies of training faces"})
    assert not trust.trusts("removal", "good", 0)
    assert trust.trusts("blur", "good", 0)


def test_a_control_that_crashed_is_none_that_was_passed() -> None:
    trust = judged(HONEST, crashed=("constant", "good"))
    assert trust.untrusted["blur", "good", 0] == ("its control `constant` ended as crashed",)


def test_of_runs_without_controls_nothing_is_said() -> None:
    without = {key: mean for key, mean in HONEST.items() if key[0] == "blur" and " learnt" not in key[1]}
    trust = judged(without)
    assert (trust.checks, trust.untrusted, trust.unproven) == ((), {}, frozenset())
