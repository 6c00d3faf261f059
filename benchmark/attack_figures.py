"""What each attack of a run gained, with intervals over people, and what it cost."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refbench.errors import RefbenchError
from refbench.labels import plugin_name
from refbench.results import NO_ATTACK, Run
from refbench.run_jobs import job_keys
from refbench.statistics import UNDEFINED, Estimate, bootstrap_weights, estimate, mean, per_subject, resampled_means
from refbench.store import Store
from refbench.verdicts import without_checks

REGION = "changed"
FLOOR = "mean_face"
"""What gains are measured over where a release is constant, so that no attack has no correlation."""


@dataclass(frozen=True)
class Cost:
    """What an attack took. Seconds and MB; None where the store no longer has the job's record."""

    train_seconds: float | None
    reconstruct_seconds: float | None
    memory_mb: float | None
    device: str
    threads: int | None


@dataclass(frozen=True)
class Attack:
    """One cell of a run.

    Attributes:
        knows: `known` or `estimated` for an attacker with a parameter `region`, else empty.
        status: `ok`, or how its first failing job ended; all figures are then undefined.
        correlation: in the changed region. gain: over the first base, person by person; undefined without one.
        closed: for every base, the share of the distance from there to the original (1) that it goes.
        ssim: mean in the changed region; NaN where the run has not measured it.
    """

    attacker: str
    seed: int
    knows: str
    status: str
    correlation: Estimate
    gain: Estimate
    closed: tuple[Estimate, ...]
    ssim: float
    cost: Cost


@dataclass(frozen=True)
class Attacks:
    """All attacks on one anonymizer, the strongest first.

    Attributes:
        released: correlation of the release itself.
        bases: what gains are over: `no attack` or, where that has no correlation, the attackers that put in an average
            face, the strongest first; empty where there are none.
        people: test people.
    """

    anonymizer: str
    people: int
    released: Estimate
    bases: tuple[str, ...]
    attacks: tuple[Attack, ...]


def attack_figures(run: Run, store: Store) -> list[Attacks]:
    """All attacks of a run by anonymizer.

    Gains are over no attack; where most people have no figure for it (a face removed to a constant), over the rows of
    `mean_face`. People without both figures are left out of a gain.

    Raises:
        RefbenchError: the run has no correlation in the changed region.
    """
    scores = run.scores[run.scores["region"] == REGION]
    if "correlation" not in set(scores["metric"]):
        raise RefbenchError(f"{run.folder.name} has no correlation in the region `{REGION}`; add them to the suite")
    return [_attacks(run, store, str(name), own) for name, own in scores.groupby("anonymizer", sort=False)]


def _attacks(run: Run, store: Store, anonymizer: str, scores: pd.DataFrame) -> Attacks:
    wide = per_subject(scores, ["metric", "attacker", "seed"])
    weights = bootstrap_weights(wide.index.get_level_values("site").to_numpy())
    cells = without_checks(run.cells[run.cells["anonymizer"] == anonymizer])

    def series(metric: str, attacker: str, seed: int) -> NDArray[np.float64]:
        column = (metric, attacker, seed)
        there = wide[column] if column in wide else np.full(len(wide), np.nan)
        return np.asarray(there, dtype=np.float64)

    released = series("correlation", NO_ATTACK, 0)
    bases = {"no attack": released}
    if np.isfinite(released).mean() < 0.5:
        rows = {
            label: series("correlation", label, seed)
            for label, seed in zip(cells["attacker"], cells["seed"], strict=True)
            if plugin_name(label) == FLOOR
        }
        means = {label: average for label, row in rows.items() if np.isfinite(average := mean(row))}
        bases = {label: rows[label] for label in sorted(means, key=means.__getitem__, reverse=True)}
    over = next(iter(bases.values()), np.full(len(wide), np.nan))
    attacks = []
    for _, cell in cells.iterrows():
        own = series("correlation", cell["attacker"], cell["seed"])
        attacks.append(
            Attack(
                attacker=cell["attacker"],
                seed=int(cell["seed"]),
                knows=json.loads(cell["attacker_params"]).get("region", ""),
                status=cell["status"],
                correlation=_estimate(own, weights),
                gain=_estimate(own - over, weights),
                closed=tuple(_closed(own, base, weights) for base in bases.values()),
                ssim=mean(series("ssim", cell["attacker"], cell["seed"])),
                cost=_cost(run, store, cell["key"]),
            )
        )
    attacks.sort(key=lambda attack: float(np.nan_to_num(attack.correlation.value, nan=-np.inf)), reverse=True)
    return Attacks(anonymizer, len(wide), _estimate(released, weights), tuple(bases), tuple(attacks))


def _estimate(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Estimate:
    """Mean over people [people], those without a value left out."""
    return estimate(mean(values), resampled_means(values[:, None], weights)[:, 0])


def _closed(own: NDArray[np.float64], over: NDArray[np.float64], weights: NDArray[np.float64]) -> Estimate:
    """The share of the distance from `over` to 1 that is gone: of the means, as a person's own may be next to none."""
    both = np.isfinite(own) & np.isfinite(over)
    own, over, weights = own[both], over[both], weights[:, both]
    if not len(own) or over.mean() >= 1:
        return UNDEFINED
    start, end = resampled_means(np.column_stack([over, own]), weights).T
    shares = np.divide(end - start, 1 - start, out=np.full_like(start, np.nan), where=start < 1)
    return estimate(float((own.mean() - over.mean()) / (1 - over.mean())), shares)


def _cost(run: Run, store: Store, train_key: str) -> Cost:
    jobs = job_keys(run)
    names = [label.removeprefix("train ") for label, key in jobs.items() if key == train_key]
    trained = store.record(train_key) or {}
    rebuilt = next((store.record(jobs[label]) or {} for name in names if (label := f"reconstruct {name}") in jobs), {})
    memory = [record["peak_memory_mb"] for record in (trained, rebuilt) if record.get("peak_memory_mb") is not None]
    return Cost(
        trained.get("seconds"),
        rebuilt.get("seconds"),
        max(memory, default=None),
        str(trained.get("device", "")),
        trained.get("threads"),
    )
