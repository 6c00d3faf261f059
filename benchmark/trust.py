"""Which figures of a table cannot be believed, and why: read from the controls that stand in the table itself.

A weak attacker flatters the anonymizer, and a leak flatters the attacker. So

* `identity`: where nothing was hidden, an attacker must give back what it was given;
* `constant`: where all releases are one and the same head, none may beat the average face;
* `shuffled`: who learnt on wrong pairs must gain nothing;
* `crossed`: who learnt on heads to which nothing was done must gain nothing;
* `memory`: what is brought back must not be copies of training people's faces;
* an attacker that gains nothing anywhere is too weak to say that an anonymizer is safe, and an anonymizer that only
  such attackers were tried on has no rank.

Whoever fails is untrusted in all its cells (`crossed` and `memory`: in those of that anonymizer), which then rank
nobody. Baselines (`none`, `mean_face`, `nearest`) are what the others are measured against, and are exempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from refbench.labels import CONTROLS, NOTHING_HIDDEN
from refbench.recovery import RecoveredScores, Training, floor_trainings, recovered_scores
from refbench.results import NO_ATTACK, NOT_RUN
from refbench.statistics import UNDEFINED, Estimate, bootstrap_weights, estimate, mean, per_subject, resampled_means

LOSS = 0.02
"""What an attacker may lose of a score, on average, where nothing was hidden. Less than a blur of 2 mm takes."""

GAIN = 0.05
"""Recovery that a control may show, surely (the lower end of its interval), before it is called a gain: a twentieth
of the way from the floor to the original."""

OF_ONE_ANONYMIZER = ("crossed", "memory")
"""Controls that say nothing of an attacker's cells of other anonymizers."""

IDLE = "gains nothing over the floor on any anonymizer here"
UNPROVEN = "no attack tried on it gains anything anywhere here: nothing tells whether it hides well"


@dataclass(frozen=True)
class Checked:
    """One control.

    Attributes:
        control: `identity`, `constant`, `shuffled`, `crossed` or `memory`. learner: the attacker that it checks.
        anonymizer: on which.
        value: what was lost of the score (identity), the share of copies (memory), or the recovery; undefined if it
            did not run, or cannot be measured there.
        ended: how its cell ended. failed: why the attacker is not to be trusted; empty if it passed.
    """

    control: str
    learner: str
    anonymizer: str
    value: Estimate
    ended: str
    failed: str


@dataclass(frozen=True)
class Trust:
    """What the controls of a table say.

    Attributes:
        checks: all of them.
        untrusted: by training (anonymizer, attacker, seed), why it must not be believed.
        unproven: anonymizers that nobody able was tried on.
    """

    checks: tuple[Checked, ...] = ()
    untrusted: Mapping[Training, tuple[str, ...]] = field(default_factory=dict)
    unproven: frozenset[str] = frozenset()

    def trusts(self, anonymizer: str, attacker: str, seed: int) -> bool:
        """Whether a training counts."""
        return (anonymizer, attacker, seed) not in self.untrusted


def trust_in(scores: pd.DataFrame, cells: pd.DataFrame, region: str, metric: str) -> Trust:
    """Judge every cell of a run by its controls; of runs that have none nothing is said.

    Args:
        scores: table of a run; people are told apart by their names.
        cells: the same.
        region: where losses are measured; gains are measured where faces were changed, if that was scored.
        metric: by what.
    """
    if "control" not in cells or not (cells["control"] != "").any():
        return Trust()
    gains_in = "changed" if "changed" in set(scores["region"]) else region
    recovered = recovered_scores(scores, cells, gains_in, metric)
    floors = set(floor_trainings(cells))
    own = [cell for _, cell in cells.iterrows() if _training(cell) not in floors]
    checks = (*_checked(own, scores, recovered, region, metric), *_remembered(own))
    reasons: dict[Training, list[str]] = {}
    for check in checks:
        for cell in own if check.failed else ():
            wide = check.control not in OF_ONE_ANONYMIZER or cell["anonymizer"] == check.anonymizer
            if cell["learner"] == check.learner and wide:
                reasons.setdefault(_training(cell), []).append(check.failed)
    attacks = [cell for cell in own if cell["control"] == ""]
    gaining = [cell for cell in attacks if _recovery(recovered, _training(cell)).low > 0]
    somewhere = {cell["learner"] for cell in gaining}
    able = {cell["learner"] for cell in gaining if _training(cell) not in reasons}
    for cell in attacks:
        if cell["learner"] not in somewhere and cell["status"] == "ok":
            reasons.setdefault(_training(cell), []).append(IDLE)
    tried = {cell["anonymizer"] for cell in attacks if cell["learner"] in able and _training(cell) not in reasons}
    hiding = {name for name in cells["anonymizer"] if name not in CONTROLS}
    return Trust(
        checks,
        {training: tuple(dict.fromkeys(why)) for training, why in reasons.items()},
        frozenset(hiding - tried),
    )


def _checked(
    cells: Sequence[pd.Series[Any]], scores: pd.DataFrame, recovered: RecoveredScores, region: str, metric: str
) -> Iterator[Checked]:
    lost = _lost(scores, region, metric)
    for cell in cells:
        control, learner, anonymizer = cell["control"], cell["learner"], cell["anonymizer"]
        if not control:
            continue
        ended = NOT_RUN if cell["status"] == "cancelled" else cell["status"]
        failed = f"its control `{control}` ended as {ended}" if ended not in ("ok", NOT_RUN) else ""
        if control == NOTHING_HIDDEN:
            value = lost.get(_training(cell), UNDEFINED)
            if value.low > LOSS:
                failed = f"loses {value.value:.3f} of {metric} on heads to which nothing was done"
        else:
            value = _recovery(recovered, _training(cell))
            if value.low > GAIN:
                failed = f"recovers {100 * value.value:.0f} % {_WHERE[control]}"
        yield Checked(control, learner, anonymizer, value, ended, failed)


def _remembered(cells: Sequence[pd.Series[Any]]) -> Iterator[Checked]:
    """Whether what attackers bring back are copies of training faces."""
    for cell in cells:
        if cell["control"] == "" and "copies" in cell:
            told = [cell[f"copies{end}"] for end in ("", "_low", "_high")]
            value = Estimate(*(float("nan") if one == "" else float(one) for one in told))  # a CSV's gaps are empty
            yield Checked("memory", cell["learner"], cell["anonymizer"], value, cell["status"], cell["copied"])


_WHERE = {
    "constant": "of the faces of people of whom it was given nothing: it knows them from elsewhere",
    "shuffled": "of the faces after learning on wrong pairs: it knows them from elsewhere",
    "crossed": "of the faces after learning on heads to which nothing was done: it knows them from elsewhere",
}


def _lost(scores: pd.DataFrame, region: str, metric: str) -> dict[Training, Estimate]:
    """By training, how much lower it scores than the original itself where nothing was hidden."""
    there = scores["anonymizer"].eq(NOTHING_HIDDEN) & scores["region"].eq(region) & scores["metric"].eq(metric)
    if not there.any():
        return {}
    wide = per_subject(scores[there], ["anonymizer", "attacker", "seed"])
    original = (NOTHING_HIDDEN, NO_ATTACK, 0)
    if original not in wide:
        return {}
    weights = bootstrap_weights(wide.index.get_level_values("site").to_numpy())
    found = {}
    for column in wide.columns:
        loss = (wide[original] - wide[column]).to_numpy(dtype=float)
        found[str(column[0]), str(column[1]), int(column[2])] = estimate(
            mean(loss), resampled_means(loss[:, None], weights)[:, 0]
        )
    return found


def _recovery(recovered: RecoveredScores, training: Training) -> Estimate:
    return recovered.estimate([training]) if training in recovered else UNDEFINED


def _training(cell: pd.Series[Any]) -> Training:
    return str(cell["anonymizer"]), str(cell["attacker"]), int(cell["seed"])
