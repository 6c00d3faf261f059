"""Ranks anonymizers by their strongest attacker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from refbench.errors import RefbenchError
from refbench.registry import closest
from refbench.results import NO_ATTACK, Run
from refbench.statistics import bootstrap_weights, interval, per_subject

SERIES = ["anonymizer", "attacker", "seed", "condition", "region", "metric"]


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
            seed, subjects, scans, failed, reasons, missing, then `CONDITION_METRIC_REGION_SITE` with the site `all` for
            everybody, and `..._all_low`, `..._all_high` for its 95 % interval.
        sites: in the order of the columns. metrics, region, by: as shown.
    """

    rows: pd.DataFrame
    sites: tuple[str, ...]
    metrics: tuple[str, ...]
    regions: tuple[str, ...]
    view: View
    notes: tuple[str, ...]


def column(condition: str, metric: str, region: str, site: str) -> str:
    """The name of a column of figures."""
    return f"{condition}_{metric}_{region}_{site}"


def build_leaderboard(runs: Sequence[Run], view: View) -> Leaderboard:
    """Rank the anonymizers of one or more runs, lowest score of the strongest attack first.

    Raises:
        RefbenchError: the runs were made on other data or slices, or hold no such metric, region or site.
    """
    _comparable(runs)
    scores = pd.concat([run.scores for run in runs], ignore_index=True)
    if scores.empty:
        raise RefbenchError("this run has no scores: see `refbench plan SUITE` for what failed")
    metrics = view.metrics or tuple(dict.fromkeys(scores["metric"]))
    _known("region", [view.region], scores["region"])
    _known("metric", [*metrics, view.by], scores["metric"])
    _known("site", view.sites, scores["site"])
    if view.sites:
        scores = scores[scores["site"].isin(view.sites)]
    sites = tuple(dict.fromkeys(sorted(scores["site"])))
    regions = tuple(dict.fromkeys([view.region, *(r for r in ("changed",) if r in set(scores["region"]))]))
    shown = scores[scores["region"].isin(regions) & scores["metric"].isin({*metrics, view.by})]
    figures = _figures(shown, sites)
    cells = pd.concat([run.cells for run in runs], ignore_index=True)
    subjects = pd.concat([run.subjects for run in runs], ignore_index=True)
    subjects = subjects[subjects["site"].isin(sites)] if view.sites else subjects
    rows = []
    for anonymizer in dict.fromkeys(cells["anonymizer"]):
        own = cells[cells["anonymizer"] == anonymizer]
        attacks = [_row(figures, anonymizer, cell, regions, {*metrics, view.by}) for _, cell in own.iterrows()]
        key = column("reconstructed", view.by, view.region, "all")
        attacks.sort(key=lambda row: -np.inf if np.isnan(row.get(key, np.nan)) else row[key], reverse=True)
        facts = _facts(own, subjects[subjects["anonymizer"] == anonymizer])
        strongest = attacks[0] | facts | {"score": attacks[0].get(key, np.nan)}
        rows.append(strongest if not view.attackers else strongest | {"others": attacks[1:]})
    table = _ranked(rows)
    notes = tuple(dict.fromkeys(note for run in runs for note in run.info.get("notes", ())))
    return Leaderboard(table, sites, metrics, regions, view, notes)


def _figures(scores: pd.DataFrame, sites: Sequence[str]) -> dict[tuple[Any, ...], dict[str, float]]:
    """Series of scores to its means per site and overall, with the interval of the latter."""
    wide = per_subject(scores, SERIES)
    values = wide.to_numpy(dtype=np.float64)
    of_site = wide.index.get_level_values("site").to_numpy()
    weights = bootstrap_weights(of_site)
    low, high = interval(values, weights)
    figures = {}
    for number, series in enumerate(wide.columns):
        own = values[:, number]
        means = {site: _mean(own[of_site == site]) for site in sites}
        figures[tuple(series)] = {**means, "all": _mean(own), "all_low": low[number], "all_high": high[number]}
    return figures


def _mean(values: np.ndarray[Any, Any]) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")


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
    missing = [f"{cell['attacker']}: {cell['status']}" for _, cell in cells.iterrows() if cell["status"] != "ok"]
    present = subjects[subjects["part"] != "excluded"]
    tested = present[present["part"] == "test"]
    reasons = present.loc[present["outcome"] != "ok", "outcome"].value_counts()
    return {
        "subjects": tested["subject"].nunique(),
        "failed": int((present["outcome"] != "ok").sum()),
        "reasons": ", ".join(reasons.index if len(reasons) == 1 else [f"{n} {why}" for why, n in reasons.items()]),
        "scans": len(present),
        "missing": "; ".join(missing),
    }


def _ranked(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Incomplete rows have no rank: a missing attack would only flatter the anonymizer."""
    complete = sorted((row for row in rows if _complete(row)), key=lambda row: float(row["score"]))
    ranks: list[int | None] = [1 + sum(other["score"] < row["score"] for other in complete) for row in complete]
    rest = [row for row in rows if not _complete(row)]
    lines = []
    for rank, row in zip([*ranks, *(None for _ in rest)], [*complete, *rest], strict=True):
        facts = {name: row[name] for name in ("subjects", "scans", "failed", "reasons", "missing")}
        lines.append({"rank": rank, **row})
        lines += [{"rank": None, **other, **facts} for other in row.get("others", ())]
    table = pd.DataFrame(lines).drop(columns=["score", "others"], errors="ignore")
    leading = ["rank", "anonymizer", "attacker", "seed", "subjects", "scans", "failed", "reasons", "missing"]
    table["rank"] = table["rank"].astype("Int64")
    return table[[*leading, *(name for name in table.columns if name not in leading)]]


def _comparable(runs: Sequence[Run]) -> None:
    for run in runs[1:]:
        for what in ("dataset", "slices", "split"):
            if run.info.get(what) != runs[0].info.get(what):
                raise RefbenchError(
                    f"{run.folder.name} and {runs[0].folder.name} cannot be ranked together: they differ in {what}"
                )


def _complete(row: dict[str, Any]) -> bool:
    return not row["missing"] and bool(np.isfinite(row["score"]))


def _known(what: str, asked: Sequence[str], there: pd.Series[Any]) -> None:
    known = sorted(set(there))
    for name in asked:
        if name not in known:
            raise RefbenchError(f"these runs have no {what} {name!r}{closest(name, known)}")
