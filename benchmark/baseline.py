"""What a comparison needs of a run, small enough to be committed: means per row and site, and versions.

It holds no subject's name or score, no image, and of a path no more than the label of a plug-in: its last name.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from refbench.believed import believed
from refbench.errors import RefbenchError
from refbench.merge import SERIES
from refbench.registry import closest
from refbench.results import NO_ATTACK, Run
from refbench.statistics import mean, per_subject
from refbench.store import write_atomically

DIGITS = 6
"""Decimals of stored means: finer than any sensible tolerance, coarser than the rounding of two machines."""

EVERYBODY = "all"


class Row(BaseModel):
    """One attack on one anonymizer, or what was released.

    Attributes:
        attacker: its label; empty: no attack, the release itself.
        status: how the cell ended.
        scores: metric to site (`all`: everybody) to the mean over subjects; None where it is undefined.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    anonymizer: str
    attacker: str
    seed: int
    status: str
    scores: dict[str, dict[str, float | None]]


class Baseline(BaseModel):
    """The means of a run in one region.

    Attributes:
        run: name of the run. dataset, slices, split: what must be equal in two runs that are compared; the split is the
            digest of who is in which part.
        versions: packages and plug-ins to their versions. failed: anonymizer to the scans on which it did not work,
            and all its scans.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    run: str
    dataset: str
    slices: dict[str, Any]
    split: str
    region: str
    versions: dict[str, str]
    failed: dict[str, tuple[int, int]]
    rows: list[Row]

    @property
    def incomplete(self) -> list[Row]:
        """Rows that did not end well."""
        return [row for row in self.rows if row.status != "ok"]


def baseline_of(run: Run, region: str) -> Baseline:
    """Reduce a run to its means.

    Raises:
        RefbenchError: the run has scores, but none in this region.
    """
    known = sorted(set(run.scores["region"]))
    if known and region not in known:
        raise RefbenchError(f"{run.folder.name} has no region {region!r}{closest(region, known)}")
    run = believed(run)
    scores = run.scores[run.scores["region"] == region]
    wide = per_subject(scores, SERIES) if len(scores) else pd.DataFrame()
    rows = []
    for anonymizer in dict.fromkeys(run.cells["anonymizer"]):
        released = _means(wide, (anonymizer, NO_ATTACK, 0, "anonymized", region))
        status = "ok" if released else "failed"
        rows.append(Row(anonymizer=anonymizer, attacker=NO_ATTACK, seed=0, status=status, scores=released))
        for _, cell in run.cells[run.cells["anonymizer"] == anonymizer].iterrows():
            attacker, seed = cell["attacker"], int(cell["seed"])
            means = _means(wide, (anonymizer, attacker, seed, "reconstructed", region))
            rows.append(Row(anonymizer=anonymizer, attacker=attacker, seed=seed, status=cell["status"], scores=means))
    return Baseline(
        run=run.folder.name,
        dataset=run.info["dataset"],
        slices=run.info["slices"],
        split=run.info["split"]["digest"],
        region=region,
        versions=_versions(run),
        failed=_failed(run.subjects),
        rows=rows,
    )


def _means(wide: pd.DataFrame, series: tuple[Hashable, ...]) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for name in wide.columns:
        if tuple(name[:-1]) != series:
            continue
        own = wide[name]
        sites = own.index.get_level_values("site").to_numpy()
        values = own.to_numpy(dtype=np.float64)
        means = {EVERYBODY: mean(values)} | {site: mean(values[sites == site]) for site in sorted(set(sites))}
        found[name[-1]] = {site: round(value, DIGITS) if np.isfinite(value) else None for site, value in means.items()}
    return found


def _versions(run: Run) -> dict[str, str]:
    environment = run.info["environment"]
    versions = {"python": environment["python"], **environment["packages"]}
    for kind in ("anonymizer", "attacker"):
        if f"{kind}_version" in run.cells:
            pairs = zip(run.cells[kind], run.cells[f"{kind}_version"], strict=True)
            versions |= {f"{kind} {label.partition('(')[0]}": str(version) for label, version in pairs}
    return versions


def _failed(subjects: pd.DataFrame) -> dict[str, tuple[int, int]]:
    present = subjects[subjects["part"] != "excluded"]
    counts = {}
    for anonymizer in dict.fromkeys(present["anonymizer"]):
        outcomes = present.loc[present["anonymizer"] == anonymizer, "outcome"]
        counts[anonymizer] = (int((outcomes != "ok").sum()), len(outcomes))
    return counts


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write it as JSON with one row a line, so that a reviewer reads in the diff what moved."""
    data = baseline.model_dump(mode="json")
    rows = ",\n".join("  " + json.dumps(row) for row in data.pop("rows"))
    head = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in data.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f'{{\n{head},\n "rows": [\n{rows}\n ]\n}}\n')


def read_baseline(path: Path) -> Baseline:
    """Read what `write_baseline` wrote.

    Raises:
        RefbenchError: there is no such file, or it is no baseline.
    """
    try:
        return Baseline.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RefbenchError(
            f"no baseline {path} can be read ({error}); make it with `refbench gate SUITE --baseline {path} --write`"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RefbenchError(
            f"{path} is no baseline of this version of refbench: {where}: {first['msg']}; make it anew with --write"
        ) from error
