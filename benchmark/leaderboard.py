"""Ranks anonymizers by their strongest attacker.

Anonymizers whose scores are equal to the printed digits share a rank: what a reader cannot tell apart, and another
machine's rounding may turn, is no order. Scores whose intervals overlap are no tie: overlapping is not transitive (A
with B, B with C, not A with C), and the intervals say nothing of a difference on the same people; `differences.py`
tests that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refbench.errors import RefbenchError
from refbench.face_columns import RANK1, FaceFigures, face_figures
from refbench.identified_recovery import recovered_people
from refbench.merge import SERIES, merge
from refbench.registry import closest
from refbench.results import NO_ATTACK, NOT_RUN, Run
from refbench.statistics import (
    bootstrap_weights,
    estimate,
    interval,
    mean,
    median,
    per_subject,
    resampled_over_seeds,
    seed_weights,
)
from refbench.verdicts import CONTROL, Verdicts, controls_in, recovered_in_all, trust_in_all, without_checks

DIGITS = 3
"""Decimals of printed scores."""

FACTS = ("subjects", "scans", "failed", "reasons", "missing", "unranked")
"""Columns about an anonymizer, the same in all its rows."""


@dataclass(frozen=True)
class View:
    """What a leaderboard shows. Empty `metrics` or `sites`: all."""

    region: str = "front_half"
    by: str = "correlation"
    metrics: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    attackers: bool = False


@dataclass(frozen=True)
class Leaderboard:
    """A ranked table.

    Attributes:
        rows: one row per anonymizer, or per anonymizer and attacker. Columns: rank (NaN: none), anonymizer, attacker,
            seed, `FACTS`, then for each `CONDITION_METRIC_REGION_SITE` (the site `all` is everybody) the mean over
            subjects, and `..._median`, `..._low`, `..._high`: the median, and the 95 % interval of the mean. Of
            several seeds a row is the strongest one; then `over_seeds`, `..._low` and `..._high` are the mean over them
            by the metric that ranks, with an interval over seeds and subjects.
            Where faces were recognised also `strongest_by`: by what a row is its anonymizer's strongest attack; then
            an anonymizer has two rows if the attack after which most people are recognised is another one. For the
            columns of faces and heads see `FaceFigures`; for `recovery`, `untrusted` and `unranked`, `Verdicts`.
        sites: in the order of the columns. metrics, region, by: as shown.
        tried: every attacker of the runs, shown or not, to its parameters as JSON.
        faces: what was found of faces and heads; empty where nothing was.
        verdicts: what the controls say, and how much attacks recover.
    """

    rows: pd.DataFrame
    sites: tuple[str, ...]
    metrics: tuple[str, ...]
    regions: tuple[str, ...]
    view: View
    notes: tuple[str, ...]
    tried: Mapping[str, str]
    faces: FaceFigures = field(default_factory=FaceFigures)
    verdicts: Verdicts = field(default_factory=Verdicts)

    @property
    def compared_sites(self) -> tuple[str, ...]:
        """Sites with a column of their own: of one only there is nothing to tell apart."""
        return self.sites if len(self.sites) > 1 else ()


def column(condition: str, metric: str, region: str, site: str) -> str:
    """The name of a column of figures."""
    return f"{condition}_{metric}_{region}_{site}"


def read(row: pd.Series[Any], condition: str, metric: str, region: str, site: str) -> float:
    """A figure of a row of a leaderboard; NaN where it has none."""
    return float(row.get(column(condition, metric, region, site), np.nan))


def default_view(run: Run) -> View:
    """The founding paper's region and metric where a run has them, else the first of its own."""
    regions, metrics = (list(run.scores[name].unique()) for name in ("region", "metric"))
    usual = View()
    return View(
        region=usual.region if usual.region in regions else regions[0],
        by=usual.by if usual.by in metrics else metrics[0],
    )


def build_leaderboard(runs: Sequence[Run], view: View, faces: FaceFigures | None = None) -> Leaderboard:
    """Rank the anonymizers of one or more runs, lowest score of the strongest attack first.

    Args:
        runs: that can be merged.
        view: what is shown, and what ranks: a metric, or `rank1`.
        faces: figures of faces and heads of these very runs, where they are known already.

    Raises:
        RefbenchError: the runs cannot be merged, or one of them holds no such metric or region, or none such a site.
    """
    merged = merge(runs)
    scores = pd.concat(merged.populations, ignore_index=True)
    if scores.empty:
        raise RefbenchError("this run has no scores: see `refbench plan SUITE` for what failed")
    metrics = view.metrics or tuple(scores["metric"].unique())
    for run in runs:
        if len(run.scores):
            _known(run.folder.name, "region", [view.region], run.scores["region"])
            ranking = () if view.by == RANK1 else (view.by,)
            _known(run.folder.name, "metric", [*metrics, *ranking], run.scores["metric"])
    _known("this leaderboard", "site", view.sites, scores["site"])
    faces = face_figures(runs) if faces is None else faces
    if view.by == RANK1 and not faces.recognized:
        raise RefbenchError(
            "nobody's face was looked for in this run: name `recognizers` in its suite, or rank by a metric"
        )
    sites = tuple(sorted(set(view.sites or scores["site"].unique())))
    regions = tuple(dict.fromkeys([view.region, *(r for r in ("changed",) if r in scores["region"].unique())]))
    populations = [per_subject(_within(one, regions, {*metrics, view.by}, sites), SERIES) for one in merged.populations]
    usual, by = default_view(runs[0]), metrics[0] if view.by == RANK1 else view.by
    verdicts = Verdicts(
        # Whether a cell is to be trusted does not hang on what is shown of it.
        trust=trust_in_all(merged.populations, merged.cells, usual.region, usual.by),
        scores=recovered_in_all(merged.populations, merged.cells, view.region, by, sites),
        people=tuple(found for run in runs if (found := recovered_people(run.identification, run.cells))),
        controls=controls_in(merged.cells),
    )
    cells, subjects = without_checks(merged.cells), merged.subjects
    subjects = subjects[subjects["site"].isin(sites)] if view.sites else subjects
    ranked = _strongest_first(cells, populations, view, faces, verdicts)
    best = _best_by(cells, populations, view, faces, verdicts, metrics[0])
    shown = {
        _training(cell)
        for anonymizer, attacks in ranked.items()
        for cell in (attacks if view.attackers else [attacks[0], *best[anonymizer].values()])
    }
    figures, over_seeds = _all_figures(populations, shown, sites, view)
    rows = []
    for anonymizer, own in ranked.items():
        attacks = [
            _row(figures, anonymizer, cell, regions, {*metrics, view.by})
            | over_seeds.get((anonymizer, cell["attacker"]), {})
            | faces.columns(*_training(cell))
            | verdicts.columns(*_training(cell))
            | _told(best[anonymizer], cell)
            for cell in own
            if _training(cell) in shown
        ]
        facts = _facts(cells[cells["anonymizer"] == anonymizer], subjects[subjects["anonymizer"] == anonymizer])
        score = _score(attacks[0], view)
        facts["unranked"] = verdicts.unranked(*_training(own[0]), facts["missing"], score)
        rows.append(attacks[0] | facts | {"score": score, "others": attacks[1:]})
    table = _ranked(rows)
    tried = {cell["attacker"]: cell.get("attacker_params", "{}") for _, cell in cells.iterrows()}
    notes = (*merged.notes, *faces.notes)
    if view.sites and (faces.recognized or faces.figures):
        notes = (*notes, "Figures of faces and heads are of the people of all sites.")
    return Leaderboard(table, sites, metrics, regions, view, notes, tried, faces, verdicts)


Training = tuple[str, str, int]
"""Anonymizer, attacker, seed."""


def _training(cell: pd.Series[Any]) -> Training:
    return cell["anonymizer"], cell["attacker"], cell["seed"]


def _split(series: Sequence[Any]) -> tuple[Training, tuple[Any, ...]]:
    """A column of `per_subject` by `SERIES` as its training, and condition, region and metric."""
    return (series[0], series[1], series[2]), tuple(series[3:])


def _within(
    scores: pd.DataFrame, regions: Collection[str], metrics: Collection[str], sites: Collection[str]
) -> pd.DataFrame:
    return scores[scores["region"].isin(regions) & scores["metric"].isin(metrics) & scores["site"].isin(sites)]


def _best_by(
    cells: pd.DataFrame,
    populations: Sequence[pd.DataFrame],
    view: View,
    faces: FaceFigures,
    verdicts: Verdicts,
    metric: str,
) -> dict[str, dict[str, pd.Series[Any]]]:
    """Of every anonymizer its strongest attack in each sense: by a metric, and by who is recognised after it.

    Nothing where nobody's face was looked for. An attack that is as strong as the one that ranks is not told beside it.
    """
    found: dict[str, dict[str, pd.Series[Any]]] = {name: {} for name in cells["anonymizer"].unique()}
    if not faces.recognized:
        return found
    for by in dict.fromkeys([view.by, RANK1 if view.by != RANK1 else metric]):
        strongest = _strongest_first(cells, populations, replace(view, by=by), faces, verdicts)
        for anonymizer, attacks in strongest.items():
            first = next(iter(found[anonymizer].values()), attacks[0])
            equal = by == RANK1 and faces.strength(*_training(first)) >= faces.strength(*_training(attacks[0]))
            found[anonymizer][by] = first if equal else attacks[0]
    return found


def _told(best: Mapping[str, pd.Series[Any]], cell: pd.Series[Any]) -> dict[str, str]:
    senses = [by for by, own in best.items() if _training(own) == _training(cell)]
    return {"strongest_by": ", ".join(senses)} if best else {}


def _strongest_first(
    cells: pd.DataFrame, populations: Sequence[pd.DataFrame], view: View, faces: FaceFigures, verdicts: Verdicts
) -> dict[str, list[pd.Series[Any]]]:
    """The cells of every anonymizer by the mean of the metric that ranks; untrusted ones last."""
    strength: dict[Training, float] = {}
    if view.by == RANK1:
        strength = {_training(cell): faces.strength(*_training(cell)) for _, cell in cells.iterrows()}
    for wide in populations:
        values = wide.to_numpy(dtype=np.float64)
        for number, series in enumerate(wide.columns):
            training, what = _split(series)
            if what == ("reconstructed", view.region, view.by):
                found = mean(values[:, number])
                strength[training] = found if np.isfinite(found) else -np.inf
    ranked: dict[str, list[pd.Series[Any]]] = {name: [] for name in cells["anonymizer"].unique()}
    for _, cell in cells.iterrows():
        ranked[cell["anonymizer"]].append(cell)
    for own in ranked.values():
        own.sort(
            key=lambda cell: (verdicts.trust.trusts(*_training(cell)), strength.get(_training(cell), -np.inf)),
            reverse=True,
        )
    return ranked


def _all_figures(
    populations: Sequence[pd.DataFrame], shown: Collection[Training], sites: tuple[str, ...], view: View
) -> tuple[dict[tuple[Any, ...], dict[str, float]], dict[tuple[str, str], dict[str, float]]]:
    """Figures of every series that is shown, of what was released, and of every attack over its seeds.

    People who cannot be told to be the same are drawn apart, and an attack whose seeds were tested on such is given no
    interval over them. Intervals are most of the work, so what is not shown has none.
    """
    figures: dict[tuple[Any, ...], dict[str, float]] = {}
    over_seeds: list[dict[tuple[str, str], dict[str, float]]] = []
    tested: Counter[tuple[str, str]] = Counter()
    attacks = {training[:2] for training in shown}
    for wide in populations:
        weights = bootstrap_weights(wide.index.get_level_values("site").to_numpy())
        own = [series[1] == NO_ATTACK or _split(series)[0] in shown for series in wide.columns]
        figures |= _figures(wide.loc[:, own], weights, sites)
        own = [tuple(series[:2]) in attacks for series in wide.columns]
        over_seeds.append(_over_seeds(wide.loc[:, own], weights, view))
        tested.update({(series[0], series[1]) for series in wide.columns})
    return figures, {attack: own for found in over_seeds for attack, own in found.items() if tested[attack] == 1}


def _figures(
    wide: pd.DataFrame, weights: NDArray[np.float64], sites: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, float]]:
    """Series of scores to its means, medians and intervals per site and overall."""
    values = wide.to_numpy(dtype=np.float64)
    of_site = wide.index.get_level_values("site").to_numpy()
    figures: dict[tuple[Any, ...], dict[str, float]] = {tuple(series): {} for series in wide.columns}
    for site in (*sites, "all"):
        members = of_site == site if site != "all" else np.ones(len(values), dtype=bool)
        low, high = interval(values[members], weights[:, members])
        for number, found in enumerate(figures.values()):
            own = values[members, number]
            found |= {site: mean(own), f"{site}_median": median(own)}
            found |= {f"{site}_low": float(low[number]), f"{site}_high": float(high[number])}
    return figures


def _over_seeds(
    wide: pd.DataFrame, weights: NDArray[np.float64], view: View
) -> dict[tuple[str, str], dict[str, float]]:
    """The mean of every attack that was trained by several seeds, by the metric that ranks, and its interval."""
    trained: dict[tuple[str, str], list[int]] = {}
    for number, series in enumerate(wide.columns):
        anonymizer, attacker, _, *what = tuple(series)
        if what == ["reconstructed", view.region, view.by]:
            trained.setdefault((anonymizer, attacker), []).append(number)
    found = {}
    for attack, numbers in trained.items():
        if len(numbers) > 1:
            values = wide.iloc[:, numbers].to_numpy(dtype=np.float64)
            drawn = estimate(mean(values), resampled_over_seeds(values, weights, seed_weights(len(numbers))))
            found[attack] = drawn.columns("over_seeds")
    return found


def _row(
    figures: dict[tuple[Any, ...], dict[str, float]],
    anonymizer: str,
    cell: pd.Series[Any],
    regions: Sequence[str],
    metrics: set[str],
) -> dict[str, Any]:
    row: dict[str, Any] = {"anonymizer": anonymizer, "attacker": cell["attacker"], "seed": cell["seed"]}
    row |= {name: cell.get(name, "{}") for name in ("anonymizer_params", "attacker_params")}
    for region in regions:
        for metric in sorted(metrics):
            for condition, attacker, seed in (
                ("anonymized", NO_ATTACK, 0),
                ("reconstructed", cell["attacker"], cell["seed"]),
            ):
                found = figures.get((anonymizer, attacker, seed, condition, region, metric), {})
                row |= {column(condition, metric, region, site): value for site, value in found.items()}
    return row


def _facts(cells: pd.DataFrame, subjects: pd.DataFrame) -> dict[str, Any]:
    bad = cells[cells["status"] != "ok"]
    ends = bad["status"].replace("cancelled", NOT_RUN)  # a run writes no tables while it is cancelled
    missing = [f"{attacker}: {end}" for attacker, end in zip(bad["attacker"], ends, strict=True)]
    present = subjects[subjects["part"] != "excluded"]
    tested = present[present["part"] == "test"]
    reasons = present.loc[~present["outcome"].isin(["ok", NOT_RUN]), "outcome"].value_counts()
    return {
        "subjects": tested["subject"].nunique(),
        "failed": int(reasons.sum()),
        "reasons": ", ".join(reasons.index if len(reasons) == 1 else [f"{n} {why}" for why, n in reasons.items()]),
        "scans": len(present),
        "missing": "; ".join(missing),
    }


def _score(strongest: dict[str, Any], view: View) -> float:
    """What an anonymizer is ranked by. Where the release is recognised more than what attacks make of it, it counts."""
    if view.by != RANK1:
        return float(strongest.get(column("reconstructed", view.by, view.region, "all"), np.nan))
    attacked, released = (float(strongest[f"{condition}_{RANK1}"]) for condition in ("reconstructed", "anonymized"))
    return max(attacked, released) if np.isfinite(released) else attacked


def _ranked(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Incomplete rows have no rank: a missing attack would only flatter the anonymizer. Equals share one."""
    complete = sorted((row for row in rows if not row["unranked"]), key=lambda row: float(row["score"]))
    printed = [round(float(row["score"]), DIGITS) for row in complete]
    ranks: list[int | None] = [1 + sum(other < own for other in printed) for own in printed]
    rest = sorted((row for row in rows if row["unranked"]), key=lambda row: row["unranked"] == CONTROL)
    lines = []
    for rank, row in zip([*ranks, *(None for _ in rest)], [*complete, *rest], strict=True):
        facts = {name: row[name] for name in FACTS}
        lines.append({"rank": rank, **row})
        lines += [{"rank": None, **other, **facts} for other in row.get("others", ())]
    table = pd.DataFrame(lines).drop(columns=["score", "others"], errors="ignore")
    leading = ["rank", "anonymizer", "attacker", "seed", *FACTS]
    table["rank"] = table["rank"].astype("Int64")
    return table[[*leading, *(name for name in table.columns if name not in leading)]]


def _known(where: str, what: str, asked: Sequence[str], there: pd.Series[Any]) -> None:
    known = sorted(there.unique())
    for name in asked:
        if name not in known:
            raise RefbenchError(f"{where} has no {what} {name!r}{closest(name, known)}")
