"""From finished jobs about whole heads to the tables of `refbench.face_tables`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refbench.face_tables import HEAD_COLUMNS, IDENTIFICATION_COLUMNS
from refbench.plan import Plan
from refbench.preparation import PlannedScan
from refbench.records import Records
from refbench.store import Store

Condition = Mapping[str, Any]
"""Columns that say what became of a head: anonymizer, attacker, seed, condition."""


def identification_table(
    plan: Plan, conditions: Sequence[Condition], store: Store, done: Container[str]
) -> pd.DataFrame:
    """Every probe against every face of the gallery; `conditions` are in the order of `Plan.heads`."""
    gallery = np.array([item.scan.subject for item in plan.faces.gallery], dtype=object)
    tables = []
    for condition, heads in zip(conditions, plan.heads(), strict=True):
        probes = _people(heads.probes).assign(moved=[plan.faces.moved(item) for item in heads.probes])
        for recognizer, job in zip(plan.suite.recognizers, heads.identify, strict=False):
            if job.key not in done:
                continue
            similarity = np.load(store.folder(job.key) / "similarity.npy")
            pairs = probes.loc[probes.index.repeat(len(gallery))].reset_index(drop=True)
            found = {"gallery": np.tile(gallery, len(probes)), "similarity": similarity.ravel()}
            tables.append(pairs.assign(**condition, recognizer=recognizer.label, **found))
    return _table(tables, IDENTIFICATION_COLUMNS)


def head_table(plan: Plan, conditions: Sequence[Condition], store: Store, done: Container[str]) -> pd.DataFrame:
    """Every figure of every head; `conditions` are in the order of `Plan.heads`."""
    tables = []
    for condition, heads in zip(conditions, plan.heads(), strict=True):
        people = _people(heads.probes)
        for metric, job in zip(plan.suite.head_metrics, heads.measures, strict=False):
            for figure, values in _figures(job.key, store, done):
                value = np.array(values, dtype=np.float64)  # None becomes NaN
                tables.append(people.assign(**condition, metric=metric.label, figure=figure, value=value))
    return _table(tables, HEAD_COLUMNS)


def head_notes(plan: Plan, records: Records) -> list[str]:
    """What is missing in both tables, and why: a recognizer that failed would else look like one that was not asked."""
    lost: Counter[tuple[str, str, str]] = Counter()
    asked: Counter[str] = Counter()
    for heads in plan.heads():
        for chosen, job in (
            *zip(plan.suite.recognizers, heads.identify, strict=False),
            *zip(plan.suite.head_metrics, heads.measures, strict=False),
        ):
            asked[chosen.label] += 1
            if failure := records.failures.get(job.key):
                lost[chosen.label, failure["status"], failure["error"]] += 1
    return [
        f"{label} has no figures for {count} of {asked[label]} conditions: {status}: {error}"
        for (label, status, error), count in lost.items()
    ]


def _figures(key: str, store: Store, done: Container[str]) -> Iterator[tuple[str, list[float | None]]]:
    if key in done:
        yield from json.loads((store.folder(key) / "figures.json").read_text())["figures"].items()


def _people(scans: Sequence[PlannedScan]) -> pd.DataFrame:
    rows = [{"subject": item.scan.subject, "session": item.scan.session, "site": item.scan.site} for item in scans]
    return pd.DataFrame(rows, columns=["subject", "session", "site"])


def _table(tables: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
