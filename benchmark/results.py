"""From finished jobs to the tables of a run, and back from its folder.

A run's folder holds plain tables and no images:

    scores.parquet   one row per image x condition x metric x region, unrounded
    identification.parquet, heads.parquet: about whole heads, see `refbench.face_tables`
    cells.csv        one row per anonymizer x attacker x seed: how it ended
    subjects.csv     one row per scan x anonymizer: part of the split, outcome of the anonymization
    split.csv        one row per subject of the dataset: site, part (empty: left out), and what is to be said
    suite.yaml       as it was run; run.json: when, on what, with which versions; jobs.json: label to key
    plan.json        while it is made, too: its jobs and cells, see `refbench.run_status`
    lock.json        what it takes to run the same again, see `refbench.lock_file`
    events.jsonl     what happened when, see `refbench.watch.events`
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refbench.attackers.base import Attacker
from refbench.attacks import control_of
from refbench.caveats import metric_notes
from refbench.cohort import split_csv
from refbench.data_facts import data_facts
from refbench.errors import RefbenchError
from refbench.face_results import head_table, identification_table
from refbench.face_tables import (
    HEAD_COLUMNS,
    HEADS,
    IDENTIFICATION,
    IDENTIFICATION_COLUMNS,
    read_heads,
    read_identification,
    write_face_tables,
)
from refbench.fingerprint import canonical_json, digest
from refbench.job import Job
from refbench.memory import memory_columns
from refbench.plan import Plan
from refbench.preparation import PlannedScan
from refbench.records import Record, Records
from refbench.store import FileHashes, Store, write_atomically
from refbench.suite import Chosen, Suite
from refbench.twins import Twins, read_twins

NO_ATTACK = ""
"""What the column `attacker` holds for the condition `anonymized`."""
NOT_RUN = "not run yet"
"""Of a cell its `error`, of a scan its `outcome`, where a run has left them open."""

EVENTS = "events.jsonl"
TABLES = (
    "scores.parquet",
    IDENTIFICATION,
    HEADS,
    "cells.csv",
    "subjects.csv",
    "split.csv",
    "suite.yaml",
    "jobs.json",
    "run.json",
    "lock.json",
    EVENTS,
)
"""All that a run's folder holds but pictures and pages, which can be drawn again."""


@dataclass(frozen=True)
class Run:
    """The tables of one run; see the module's docstring for what they hold."""

    folder: Path
    info: dict[str, Any]
    scores: pd.DataFrame
    cells: pd.DataFrame
    subjects: pd.DataFrame
    identification: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=IDENTIFICATION_COLUMNS))
    heads: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=HEAD_COLUMNS))


def run_folder(suite: Suite, store: Store) -> Path:
    """One folder per suite and content of the suite: running it again continues in the same folder."""
    meaning = suite.file.model_dump(mode="json", exclude={"description", "limits", "engine", "tolerances"})
    if (table := split_csv(suite)) is not None:  # what it says counts, not where it lies
        meaning["split"]["csv"] = FileHashes(store).digest(table)
    return store.root / "runs" / f"{suite.name}-{digest(meaning)[:8]}"


def write_results(plan: Plan, store: Store, records: Records, info: dict[str, Any]) -> Run:
    """Collect what the jobs of a plan left, and write the tables of the run where the store can be written.

    `records` are those of the plan's jobs. `info` gets what is known of the split: its options, how many people are in
    each part, and its digest.
    """
    folder = run_folder(plan.suite, store)
    scores = score_table(plan, store, records.done)
    conditions = [about for about, _, _ in _conditions(plan)]
    identification = identification_table(plan, conditions, store, records.done)
    heads = head_table(plan, conditions, store, records.done)
    cells, subjects = cell_table(plan, store, records), subject_table(plan, store, records)
    options = plan.suite.file.split.model_dump(mode="json", exclude={"csv"})
    split = plan.cohort.split
    info = info | {"split": {**options, "people": split.people(), "digest": split.digest}}
    info["data"] = data_facts(plan, store, records.done)
    twins = twins_of(plan, store, records)
    info["notes"] = [*info.get("notes", ()), *(twins.notes() if twins else ()), *metric_notes(scores)]
    run = Run(folder, info, scores, cells, subjects, identification, heads)
    if not store.writable:
        return run
    write_atomically(folder / "scores.parquet", scores.to_parquet(index=False))
    write_face_tables(folder, identification, heads)
    write_atomically(folder / "cells.csv", cells.to_csv(index=False))
    write_atomically(folder / "subjects.csv", subjects.to_csv(index=False))
    write_atomically(folder / "split.csv", split_table(plan, records.failures, twins).to_csv(index=False))
    write_atomically(folder / "suite.yaml", plan.suite.text)
    write_atomically(folder / "jobs.json", json.dumps({job.label: job.key for job in plan.jobs()}, indent=0))
    write_atomically(folder / "run.json", json.dumps(info, indent=1))
    return run


def load_run(folder: Path) -> Run:
    """Read the tables of a run.

    Raises:
        RefbenchError: the folder is no finished run.
    """
    try:
        return Run(
            folder,
            json.loads((folder / "run.json").read_text()),
            pd.read_parquet(folder / "scores.parquet"),
            pd.read_csv(folder / "cells.csv", keep_default_na=False),
            pd.read_csv(
                folder / "subjects.csv", keep_default_na=False, dtype={"subject": str, "session": str, "site": str}
            ),
            read_identification(folder),
            read_heads(folder),
        )
    except (OSError, ValueError) as error:
        raise RefbenchError(f"{folder} is not the folder of a run: {error}") from error


def find_runs(store: Path, names: Sequence[str], *, finished: bool = True) -> list[Path]:
    """Folders of runs by name, by the beginning of a name, or by path; the latest run if no name is given.

    Not `finished`: of all runs that have begun.

    Raises:
        RefbenchError: there is no such run; the message lists those there are.
    """
    marker = "run.json" if finished else "plan.json"
    known = sorted((store / "runs").glob(f"*/{marker}"), key=lambda path: path.stat().st_mtime)
    folders = [path.parent for path in known]
    if not folders and not names:
        kind = "finished run" if finished else "run"
        raise RefbenchError(f"no {kind} in {store}; make one with `refbench run SUITE`, or name another --store")
    if not names:
        return folders[-1:]
    found = []
    for name in names:
        matching = [folder for folder in folders if folder.name == name] or [
            folder for folder in folders if folder.name.startswith(name)
        ]
        if (Path(name) / marker).exists():
            matching = [Path(name)]
        if not matching:
            there = ", ".join(folder.name for folder in folders) or "none yet"
            raise RefbenchError(f"no run {name} in {store}; there are: {there}")
        found.append(matching[-1])
    return found


COLUMNS = [
    "dataset",
    "subject",
    "session",
    "site",
    "slice",
    "anonymizer",
    "anonymizer_params",
    "attacker",
    "attacker_params",
    "seed",
    "condition",
    "region",
    "metric",
    "value",
]


def score_table(plan: Plan, store: Store, done: Container[str]) -> pd.DataFrame:
    """All scores of finished score jobs as one long table; a score that is undefined is NaN.

    Texts of a series, and of the images of an anonymizer, are laid out once and repeated as a whole.
    """
    images = [_images(tested, plan.suite.file.slices.count) for tested in plan.tested]
    starts = np.cumsum([0, *map(len, images)])
    series: list[dict[str, Any]] = []
    places, values = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for about, anonymizer, jobs in _conditions(plan):
        of_images = np.arange(starts[anonymizer], starts[anonymizer + 1])
        for metric, job in zip(plan.suite.metrics, jobs, strict=True):
            if job.key not in done:
                continue
            scores = np.load(store.folder(job.key) / "scores.npy")
            for region, row in zip(job.identity["regions"], scores, strict=True):
                if len(of_images):
                    series.append({**about, "metric": metric.label, "region": region})
                    places.append(of_images)
                    values.append(row)
    if not series:
        return pd.DataFrame(columns=COLUMNS)
    which = np.repeat(np.arange(len(series)), [len(row) for row in values[1:]])
    of_image = pd.concat(images, ignore_index=True).take(np.concatenate(places))
    of_series = pd.DataFrame(series).take(which)
    columns = {name: column.array for frame in (of_image, of_series) for name, column in frame.items()}
    return pd.DataFrame({**columns, "value": np.concatenate(values)})[COLUMNS]


def _conditions(plan: Plan) -> Iterator[tuple[dict[str, Any], int, Sequence[Job]]]:
    """Columns of what was scored, its anonymizer, and its score jobs: what was released, then every cell."""
    hidden = [_labelled("anonymizer", chosen) for chosen in plan.suite.anonymizers]
    dataset = {"dataset": plan.suite.data_names}
    nobody = {"attacker": NO_ATTACK, "attacker_params": "{}", "seed": 0, "condition": "anonymized"}
    for number, jobs in enumerate(plan.releases):
        yield {**dataset, **hidden[number], **nobody}, number, jobs
    attackers = [_labelled("attacker", chosen) for chosen in plan.suite.attackers]
    for cell in plan.cells:
        named = {**attackers[cell.attack.attacker], "attacker": cell.attack.label(plan.suite)}
        attack = {**named, "seed": cell.attack.seed, "condition": "reconstructed"}
        yield {**dataset, **hidden[cell.anonymizer], **attack}, cell.anonymizer, cell.scores


def _labelled(kind: str, chosen: Chosen) -> dict[str, str]:
    return {kind: chosen.label, f"{kind}_params": canonical_json(chosen.params)}


def _images(tested: Sequence[PlannedScan], count: int) -> pd.DataFrame:
    scans = [item.scan for item in tested]
    return pd.DataFrame(
        {
            "subject": np.repeat(np.array([scan.subject for scan in scans], dtype=object), count),
            "session": np.repeat(np.array([scan.session for scan in scans], dtype=object), count),
            "site": np.repeat(np.array([scan.site for scan in scans], dtype=object), count),
            "slice": np.tile(np.arange(count), len(scans)),
        }
    )


def cell_table(plan: Plan, store: Store, records: Records) -> pd.DataFrame:
    """How every cell ended: the first of its jobs that did not end well decides."""
    hidden = [_plugin_columns("anonymizer", chosen) for chosen in plan.suite.anonymizers]
    attackers = [_plugin_columns("attacker", chosen) for chosen in plan.suite.attackers]
    floors = [isinstance(chosen.plugin, Attacker) and chosen.plugin.floor for chosen in plan.suite.attackers]
    rows = []
    for cell in plan.cells:
        ends = [records.ended.get(job.key) for job in (cell.train, cell.reconstruct, *cell.scores)]
        bad = next((r for r in ends if r is None or r["status"] != "ok"), {"status": "ok", "error": ""})
        bad = bad or {"status": "cancelled", "error": NOT_RUN}
        trained = ends[0] or {}
        remembered = memory_columns(cell, plan, store, records)
        rows.append(
            {
                **hidden[cell.anonymizer],
                **attackers[cell.attack.attacker],
                "attacker": cell.attack.label(plan.suite),
                "seed": cell.attack.seed,
                "learner": attackers[cell.attack.attacker]["attacker"],
                "threat": cell.attack.threat,
                "control": cell.attack.control or control_of(plan.suite.anonymizers[cell.anonymizer]),
                "floor": floors[cell.attack.attacker],
                "status": bad["status"],
                "error": bad["error"],
                "train_seconds": trained.get("seconds"),
                "train_memory_mb": trained.get("peak_memory_mb"),
                "device": trained.get("device", ""),
                **remembered,
                "key": cell.train.key,
            }
        )
    return pd.DataFrame(rows)


def _plugin_columns(kind: str, chosen: Chosen) -> dict[str, str]:
    return {
        **_labelled(kind, chosen),
        f"{kind}_version": chosen.plugin.revision,
        f"{kind}_origin": chosen.origin,
    }


def subject_table(plan: Plan, store: Store, records: Records) -> pd.DataFrame:
    """What became of every scan under every anonymizer, with the figures of its check: nobody is dropped in silence."""
    rows = []
    for item in plan.scans:
        head_failed = item.head.key in records.failures
        for number, hidden in enumerate(plan.suite.anonymizers):
            rows.append(
                {
                    "subject": item.scan.subject,
                    "session": item.scan.session,
                    "site": item.scan.site,
                    "part": "excluded" if head_failed else item.part,
                    "anonymizer": hidden.label,
                    **_verdict(item, number, store, records.failures),
                    "seconds": records.ended.get(item.anonymized[number].key, {}).get("seconds"),
                }
            )
    return pd.DataFrame(rows)


def twins_of(plan: Plan, store: Store, records: Records) -> Twins | None:
    """Who may be there under two names, where it was looked for."""
    job = plan.faces.twins
    if job is None or job.key not in records.done:
        return None
    return read_twins(store.folder(job.key), plan.faces.subjects("train"), plan.faces.subjects("test"))


def split_table(plan: Plan, failures: Mapping[str, Record], twins: Twins | None = None) -> pd.DataFrame:
    """Everybody's part as the split decided, and what came of it; a later suite can take it as its own split."""
    split = plan.cohort.split
    remarks = {subject: [f"left out: {why}"] for subject, why in split.left_out.items()}
    for subject, others in (twins.remarks() if twins else {}).items():
        remarks.setdefault(subject, []).extend(others)
    for subject, other in plan.cohort.copies.items():
        remarks.setdefault(subject, []).append(other)
    for item in plan.scans:
        if (failure := failures.get(item.head.key)) is not None:
            remarks.setdefault(item.scan.subject, []).append(f"{item.scan.who} excluded: {failure['error']}")
    rows = [
        {
            "subject": subject,
            "site": site,
            "part": split.parts.get(subject, ""),
            "note": "; ".join(remarks.get(subject, ())),
        }
        for subject, site in split.sites.items()
    ]
    return pd.DataFrame(rows)


def _verdict(item: PlannedScan, anonymizer: int, store: Store, failures: Mapping[str, Record]) -> dict[str, Any]:
    """Outcome, note and figures; a release that could not be checked has not worked."""
    failed = next((record for job in item.chain(anonymizer) if (record := failures.get(job.key))), None)
    if failed:
        return {"outcome": failed["status"], "note": failed["error"]}
    check = item.checks[anonymizer].key
    if (unchecked := failures.get(check)) is not None:
        return {"outcome": "failed", "note": f"not checked: {unchecked['error']}"}
    try:
        verdict: dict[str, Any] = json.loads((store.folder(check) / "check.json").read_bytes())
    except FileNotFoundError:
        return {"outcome": NOT_RUN, "note": ""}
    return verdict
