"""Where a run's figures come from, and how to get them again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from refbench.report.cells import duration
from refbench.results import Run
from refbench.sharing.bundle import SUITE, unpack
from refbench.sharing.read import is_bundled

Facts = dict[str, str]


def provenance(run: Run) -> dict[str, Facts]:
    """Facts about a run by heading, each a name and a text; what an older run did not record is left out."""
    info, environment = run.info, run.info.get("environment", {})
    data = {"dataset": info.get("dataset"), "slices": _flat(info.get("slices"))}
    split = dict(info.get("split", {}))
    people, digest = split.pop("people", None), split.pop("digest", None)
    data |= {"split": _flat(split), "people": _flat(people), "split digest": digest}
    machine = {
        "processor": environment.get("cpu"),
        "cores": environment.get("cores"),
        "graphics cards": ", ".join(map(str, environment.get("gpus", ()))) or "none",
        "system": environment.get("system"),
    }
    versions = {"Python": environment.get("python"), **environment.get("packages", {})}
    training = {
        "seeds": ", ".join(map(str, sorted(set(run.cells["seed"])))),
        "network kept by": _flat(info.get("selection")),
        "training": _flat(info.get("training")),
    }
    when = {
        "made by": info.get("by"),
        "started": _date(info.get("started")) or info.get("date"),
        "took": duration(float(info.get("seconds", "nan"))),
    }
    facts: dict[str, dict[str, Any]] = {
        "Data": data,
        "Training": training,
        "Machine": machine | when,
        "Versions": versions,
    }
    return {heading: {k: str(v) for k, v in rows.items() if v not in (None, "")} for heading, rows in facts.items()}


def plugins(cells: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Every anonymizer and attacker: kind, label, whose, revision."""
    found = []
    for kind in ("anonymizer", "attacker"):
        for _, row in cells.drop_duplicates(kind).iterrows():
            whose, revision = (str(row.get(f"{kind}_{what}", "")) for what in ("origin", "version"))
            found.append((kind, str(row[kind]), whose, revision))
    return found


def suite_text(run: Run) -> str:
    """The suite as it was run, from the folder of the run or from its bundle; empty where the tables came without."""
    try:
        if is_bundled(run):
            return unpack(run.folder).files[SUITE].decode()
        return (run.folder / "suite.yaml").read_text(encoding="utf-8")
    except OSError:
        return ""


def commands(run: Run) -> list[str]:
    """What to type to get the same figures."""
    version = run.info.get("environment", {}).get("packages", {}).get("refbench")
    name = str(run.info.get("suite", "suite"))
    return [
        f"pip install refbench=={version}" if version else "pip install refbench",
        f"refbench run {name}.yaml",
        f"refbench leaderboard {run.folder.name}",
        f"refbench {'verify' if is_bundled(run) else 'report'} {run.folder.name}",
    ]


def _flat(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name}: {value}" for name, value in (values or {}).items() if value is not None)


def _date(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
