"""What did not end well in a run: jobs with the ends of their logs, and scans on which an anonymizer did not work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from refbench import job_log
from refbench.report.cells import duration
from refbench.results import Run
from refbench.store import Store

MOST_LABELS = 10
"""Jobs and scans that are named of each kind of failure; the others are counted."""


@dataclass
class Failure:
    """Jobs, or cells where there is no store, that ended alike. `record`, `log`: of the first of them."""

    status: str
    error: str
    labels: list[str] = field(default_factory=list)
    record: str = ""
    log: str = ""

    @property
    def named(self) -> list[str]:
        """The first of them."""
        return self.labels[:MOST_LABELS]

    @property
    def more(self) -> int:
        """How many are not named."""
        return len(self.labels) - len(self.named)


@dataclass(frozen=True)
class Trouble:
    """Scans on which one anonymizer ended in one way other than `ok`."""

    anonymizer: str
    outcome: str
    scans: int
    who: tuple[str, ...]
    note: str


def failed_jobs(run: Run, store: Store | None, keys: Mapping[str, str]) -> list[Failure]:
    """Jobs that ended otherwise than well, those that ended alike together, what they blocked last."""
    alike: dict[tuple[str, str], Failure] = {}
    for label, one in _jobs(store, keys) if store else _cells(run):
        alike.setdefault((one.status, one.error), one).labels.append(label)
    return sorted(alike.values(), key=lambda failure: failure.status == "blocked")


def _jobs(store: Store, keys: Mapping[str, str]) -> Iterator[tuple[str, Failure]]:
    failed = store.failed()
    for label, key in keys.items():
        record = store.failure(key) if key in failed else None
        if record is not None:
            log = record.get("log") or job_log.tail(store.scratch(key) / job_log.NAME)
            yield label, Failure(record["status"], record["error"], record=_facts(record), log="\n".join(log))


def _facts(record: Mapping[str, Any]) -> str:
    memory = record.get("peak_memory_mb")
    return ", ".join(
        (
            f"ended after {duration(float(record.get('seconds', 'nan')))}",
            *([f"at most {memory:.0f} MB of memory"] if memory else []),
            *([f"on {record['device']}"] if record.get("device") else []),
        )
    )


def _cells(run: Run) -> Iterator[tuple[str, Failure]]:
    rows = run.cells[run.cells["status"] != "ok"]
    for _, row in rows.iterrows():
        yield f"{row['anonymizer']} × {row['attacker']} seed {row['seed']}", Failure(row["status"], row["error"])


def troubled_scans(subjects: pd.DataFrame) -> list[Trouble]:
    """By anonymizer and outcome."""
    if subjects.empty:
        return []
    rows = subjects[subjects["outcome"] != "ok"]
    return [
        Trouble(
            str(anonymizer),
            str(outcome),
            len(own),
            tuple(dict.fromkeys(own["subject"].astype(str)))[:MOST_LABELS],
            str(own["note"].iloc[0]),
        )
        for (anonymizer, outcome), own in rows.groupby(["anonymizer", "outcome"], sort=False)
    ]
