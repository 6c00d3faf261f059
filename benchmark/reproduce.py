"""Runs the same again from a run's lock file, elsewhere, and says number by number what came out otherwise, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from refbench.checksums import sha256
from refbench.errors import RefbenchError
from refbench.explain import differences
from refbench.lock_file import Lock, read_lock
from refbench.results import COLUMNS, Run
from refbench.store import Store
from refbench.suite import Suite, read_suite

NUMBER = [*(name for name in COLUMNS if name not in ("value", "anonymizer_params", "attacker_params")), "gallery"]
"""What a number of the tables is known by."""

SERIES = ["anonymizer", "attacker", "seed", "metric", "region"]


@dataclass(frozen=True)
class Difference:
    """Numbers of one series that differ. `largest`: the largest difference, infinite where only one is defined."""

    series: tuple[str, ...]
    numbers: int
    different: int
    largest: float


@dataclass(frozen=True)
class Reproduction:
    """What came of it.

    Attributes:
        numbers: how many both runs have. missing: how many only the earlier has; new: only the later.
        differences: series with numbers that are further apart than the tolerance.
        versions: what differs in what the two were made with. jobs: what differs in what was hashed into keys.
    """

    numbers: int
    missing: int
    new: int
    differences: tuple[Difference, ...]
    versions: tuple[str, ...]
    jobs: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every number came out again."""
        return not (self.missing or self.new or self.differences)


def locked_suite(lock: Lock) -> Suite:
    """The suite as the lock file has it.

    Raises:
        SuiteError: it is not valid any more.
        RefbenchError: a plug-in file is gone.
    """
    for name in lock.plugins:
        if not Path(name).is_file():
            raise RefbenchError(f"the plug-in file {name} of {lock.run} is gone; put it back")
    return read_suite(lock.suite, Path(lock.suite_file))


def changed_plugin_files(lock: Lock) -> list[str]:
    """Plug-in files that are not what they were."""
    return [name for name, digest in lock.plugins.items() if sha256(Path(name)) != digest]


def compare_numbers(before: Run, now: Run, stores: tuple[Store, Store], tolerance: float) -> Reproduction:
    """Compare two runs of one suite.

    Args:
        before: the run that was made again.
        now: the new one.
        stores: theirs.
        tolerance: so much two numbers may be apart.
    """
    old, new = numbers_of(before), numbers_of(now)
    both = old.merge(new, on=NUMBER, how="outer", suffixes=("", "_now"), indicator=True)
    paired = both[both["_merge"] == "both"]
    gap = (paired["value"] - paired["value_now"]).abs()
    one_undefined = paired["value"].isna() != paired["value_now"].isna()
    gap = gap.fillna(0.0).mask(one_undefined, np.inf)
    found = [
        Difference(tuple(map(str, series)), len(own), int((own > tolerance).sum()), float(own.max()))
        for series, own in gap.groupby([paired[name] for name in SERIES], sort=False)
        if (own > tolerance).any()
    ]
    locks = read_lock(before.folder), read_lock(now.folder)
    return Reproduction(
        len(paired),
        int((both["_merge"] == "left_only").sum()),
        int((both["_merge"] == "right_only").sum()),
        tuple(found),
        tuple(_versions(*locks)),
        tuple(_jobs(*locks, *stores)),
    )


def numbers_of(run: Run) -> pd.DataFrame:
    """All numbers of a run's tables in one: columns `NUMBER` and value.

    Of a recognizer's similarities the metric is the recognizer, of a head's figures the region is the figure.
    """
    scores = run.scores.assign(gallery="")
    faces = run.identification.rename(columns={"recognizer": "metric", "similarity": "value"})
    heads = run.heads.rename(columns={"figure": "region"}).assign(gallery="")
    about_heads = [table.assign(dataset="", slice=0) for table in (faces.assign(region="face"), heads) if len(table)]
    return pd.concat([table[[*NUMBER, "value"]] for table in (scores, *about_heads)], ignore_index=True)


def _versions(before: Lock, now: Lock) -> list[str]:
    """What differs in packages, Python, system, hardware and refbench itself."""
    old, new = _flat(before), _flat(now)
    said = []
    for name in dict.fromkeys([*old, *new]):
        one, other = old.get(name, {"absent"}), new.get(name, {"absent"})
        if one != other:
            said.append(f"{name} {' and '.join(sorted(one))} → {' and '.join(sorted(other))}")
    return said


def _flat(lock: Lock) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for facts in (*lock.environments.values(), *lock.hardware):
        facts = {**facts, **facts.get("packages", {})}
        for name, value in facts.items():
            if name != "packages":
                found.setdefault(name, set()).add(value if isinstance(value, str) else json.dumps(value))
    return found


def _jobs(before: Lock, now: Lock, old: Store, new: Store) -> list[str]:
    """Kinds of job with other keys, and the first difference that explains it, of each kind once."""
    said: dict[str, str] = {}
    for label, key in before.jobs.items():
        other = now.jobs.get(label)
        kind = label.partition(" ")[0]
        if other in (None, key) or kind in said:
            continue
        leaves = differences(old.identity(key), new.identity(other or ""))
        own = [leaf for leaf in leaves if not _is_input(leaf)]
        if own:
            said[kind] = f"{kind}: {', '.join(own)}"
    return list(said.values())


def _is_input(leaf: str) -> bool:
    """Whether a difference only passes on that of an input."""
    return leaf.split()[0] in INPUTS


INPUTS = ("head", "registration", "brain", "average", "anonymized", "skin", "face", "heads", "registrations",
          "train", "validation", "trained", "test", "reconstructed", "frame", "views", "tested", "probes",
          "gallery")  # fmt: skip


def report(found: Reproduction) -> list[str]:
    """What came of it, as lines."""
    lines = [f"{found.numbers} numbers compared, {sum(one.different for one in found.differences)} differ"]
    if found.missing or found.new:
        lines.append(f"{found.missing} numbers are only in the earlier run, {found.new} only in the new one")
    for one in found.differences:
        anonymizer, attacker, seed, metric, region = one.series
        who = f"{anonymizer} × {attacker} seed {seed}" if attacker else f"{anonymizer} released"
        lines.append(f"  {who}, {metric} in {region}: {one.different} of {one.numbers}, by up to {one.largest:.3g}")
    lines += [f"other version: {text}" for text in found.versions]
    lines += [f"other job: {text}" for text in found.jobs]
    return lines
