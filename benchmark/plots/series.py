"""What the figures show of a run's scores: the strongest attacks, means with intervals, parameters that were swept."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from refbench.labels import plugin_name
from refbench.results import Run
from refbench.statistics import bootstrap_weights, interval, mean, per_subject

BASELINE = "none"
"""The attacker that returns what was released: its line would lie on that of the released images."""


@dataclass(frozen=True)
class Attack:
    """The strongest attack on one anonymizer, by the metric that ranks."""

    anonymizer: str
    attacker: str
    seed: int


@dataclass(frozen=True)
class Sweep:
    """Plug-ins that differ in one number only.

    Attributes:
        name: of the plug-in. parameter: what differs. members: (value, label), by value.
    """

    name: str
    parameter: str
    members: tuple[tuple[float, str], ...]


def strongest_attacks(run: Run, region: str, by: str) -> list[Attack]:
    """One per anonymizer that was attacked, in the order of the run; no attack is none of them."""
    scores = run.scores
    of = scores[(scores["condition"] == "reconstructed") & (scores["region"] == region) & (scores["metric"] == by)]
    of = of[of["attacker"] != BASELINE]
    people = of.groupby(["anonymizer", "attacker", "seed", "subject"], sort=False)["value"].mean()
    means = people.groupby(["anonymizer", "attacker", "seed"], sort=False).mean().dropna()
    found = []
    for anonymizer in dict.fromkeys(means.index.get_level_values("anonymizer")):
        attacker, seed = means[anonymizer].idxmax()
        found.append(Attack(str(anonymizer), str(attacker), int(seed)))
    return found


def select(scores: pd.DataFrame, attack: Attack, condition: str, region: str, metric: str) -> pd.DataFrame:
    """The images of an attack, or of what it started from, by site, person, session and slice."""
    own = scores[
        (scores["anonymizer"] == attack.anonymizer)
        & (scores["condition"] == condition)
        & (scores["region"] == region)
        & (scores["metric"] == metric)
    ]
    if condition == "reconstructed":
        own = own[(own["attacker"] == attack.attacker) & (own["seed"] == attack.seed)]
    return own.sort_values(["site", "subject", "session", "slice"], ignore_index=True)


def mean_interval(values: pd.Series[float]) -> tuple[float, float, float]:
    """Mean over people (index: site, subject) with its 95 % interval."""
    sites = values.index.get_level_values("site").to_numpy()
    numbers = np.asarray(values, dtype=np.float64)
    low, high = interval(numbers[:, None], bootstrap_weights(sites))
    return mean(numbers), float(low[0]), float(high[0])


def people(scores: pd.DataFrame) -> pd.Series[float]:
    """Mean of each person over images and seeds; index: site, subject."""
    return per_subject(scores.assign(series=""), ["series"])[""]


def sweeps(cells: pd.DataFrame, kind: str) -> list[Sweep]:
    """Groups of anonymizers, or attackers, of a run that differ in one number only.

    Of attackers those that learnt on the anonymizer itself, and are no control: the others have the same parameters.
    """
    usual = {"threat": "informed", "control": ""} if kind == "attacker" else {}
    for column, value in usual.items():
        cells = cells[cells[column] == value] if column in cells else cells
    there = cells.drop_duplicates(kind)
    found: dict[tuple[str, str, str], dict[float, str]] = {}
    for _, row in there.iterrows():
        label, params = str(row[kind]), json.loads(row[f"{kind}_params"])
        name = plugin_name(label)
        for parameter, value in params.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                others = json.dumps({key: other for key, other in params.items() if key != parameter}, sort_keys=True)
                found.setdefault((name, parameter, others), {})[float(value)] = label
    return [
        Sweep(name, parameter, tuple(sorted(members.items())))
        for (name, parameter, _), members in found.items()
        if len(members) > 1
    ]
