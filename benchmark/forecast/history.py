"""What jobs took that have ended, from their records in the store: those of a run itself, else of earlier runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median, mode
from typing import Any

from refbench.errors import StoreError
from refbench.forecast.alike import Group, Item
from refbench.store import Store

SAMPLE = 15
"""So many records of a family are looked at: a store may hold tens of thousands."""
RUNS = 8
"""So many earlier runs are looked at, the latest first."""

Candidate = tuple[str, float]
"""Key and work of a job that may have a record."""


@dataclass(frozen=True)
class Sample:
    """What one job took. `device`: cpu or cuda. `bytes`: of its result; None: its record does not say."""

    seconds: float
    bytes: int | None
    work: float
    device: str


@dataclass(frozen=True)
class Known:
    """What records say of a group.

    Attributes:
        records: how many were looked at.
        pace: seconds for a unit of work, the median.
        bytes: of a result, the median; None: not known.
        work: of the jobs that they are of, the median. device: that most of them had, cpu or cuda.
        note: in what they differ from what is to run.
    """

    records: int
    pace: float
    bytes: float | None
    work: float
    device: str
    note: str = ""

    @classmethod
    def of(cls, samples: Sequence[Sample], note: str = "") -> Known:
        """Medians; there is at least one sample."""
        sizes = [one.bytes for one in samples if one.bytes is not None]
        pace = median(one.seconds / one.work for one in samples)
        size, work = median(sizes) if sizes else None, median(one.work for one in samples)
        return cls(len(samples), pace, size, work, mode(one.device for one in samples), note)


class History:
    """Records by family, read when they are asked for.

    Args:
        store: where they are.
        own: jobs of the run itself that have ended well.
    """

    def __init__(self, store: Store, own: Iterable[Item]) -> None:
        self._store = store
        self._own: dict[str, list[Candidate]] = defaultdict(list)
        for item in own:
            self._own[item.group.family].append((item.key, item.work))
        self._read: dict[tuple[str, str], list[Sample]] = {}

    def known(self, group: Group, device: str | None = None) -> Known | None:
        """What is known of a group; None: nothing.

        Args:
            group: which.
            device: where its jobs will run; records of jobs that ran elsewhere are taken only if there are no others.
        """
        elsewhere = None
        for source, name, note in (
            ("own", group.family, ""),
            ("family", group.family, ""),
            ("kin", group.kin, "other parameters"),
        ):
            samples = self._samples(source, name)
            fitting = [one for one in samples if not group.cards or device in (None, one.device)]
            if fitting:
                return Known.of(fitting, note)
            if samples and elsewhere is None:
                elsewhere = Known.of(samples, f"on {samples[0].device}")
        return elsewhere

    def _samples(self, source: str, name: str) -> list[Sample]:
        if (source, name) not in self._read:
            found = self._own if source == "own" else self._earlier[source]
            self._read[source, name] = _read(self._store, found.get(name, ()))
        return self._read[source, name]

    @cached_property
    def _earlier(self) -> dict[str, dict[str, list[Candidate]]]:
        """What earlier runs list of jobs whose records are here, by family and by kin."""
        there = frozenset(self._store.keys()).union(self._store.dropped_keys())
        families: dict[str, list[Candidate]] = defaultdict(list)
        kin: dict[str, list[Candidate]] = defaultdict(list)
        files = sorted(self._store.root.glob("runs/*/plan.json"), key=lambda path: -path.stat().st_mtime)
        for file in files[:RUNS]:
            try:
                listed = read_items(json.loads(file.read_text(encoding="utf-8")))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # `refbench status` says so
            for item in listed:
                if item.key in there:
                    families[item.group.family].append((item.key, item.work))
                    kin[item.group.kin].append((item.key, item.work))
        kin.pop("", None)
        return {"family": families, "kin": kin}


def read_items(plan: dict[str, Any]) -> list[Item]:
    """The jobs that a run's `plan.json` lists, see `refbench.run_status`.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    groups = [Group(*values) for values in plan["groups"]]
    return [Item(key, groups[number], float(work)) for key, (_, _, number, work) in plan["jobs"].items()]


def _read(store: Store, candidates: Sequence[Candidate]) -> list[Sample]:
    """Records of some jobs, taken evenly from all of them."""
    step = max(1, len(candidates) // SAMPLE)
    return [sample for key, work in candidates[::step][:SAMPLE] if (sample := _sample(store, key, work))]


def _sample(store: Store, key: str, work: float) -> Sample | None:
    try:
        record = store.record(key) or {}
        if record.get("status") != "ok":
            return None
        files = record.get("files")
        size = None if files is None else sum(size for size, _ in files.values())
        device = str(record.get("device", "cpu")).partition(":")[0]
        return Sample(float(record["seconds"]), size, work or 1.0, device)
    except (StoreError, KeyError, TypeError, ValueError, AttributeError):  # damaged: `refbench store verify` says how
        return None
