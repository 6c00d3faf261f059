"""The lock file of a run: all that it takes to run the same again, and to know which results it needs.

`lock.json` lies in the run's folder from its first plan on. It holds the suite's text and where it lay, digests of its
plug-in files, everybody's part, the key of every job, and once the run has ended the versions that its results were
made with.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from refbench.checksums import sha256
from refbench.errors import RefbenchError
from refbench.holding import holding, is_held
from refbench.plan import Plan
from refbench.records import Record
from refbench.split_options import Part
from refbench.store import Store, write_atomically

NAME = "lock.json"


class Lock(BaseModel):
    """What a lock file holds.

    Attributes:
        suite_file: where the suite lay; its relative paths start there. plugins: files to their SHA-256.
        parts: subject to part; others took no part. jobs: label to key.
        environments: digest to the versions that results were made with, see `refbench.provenance.software`.
        made_with: digest to how many results were.
        hardware: what they were made on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    run: str
    suite: str
    suite_file: str
    plugins: dict[str, str]
    parts: dict[str, Part]
    jobs: dict[str, str]
    environments: dict[str, dict[str, Any]] = {}
    made_with: dict[str, int] = {}
    hardware: list[dict[str, Any]] = []


def write_lock(plan: Plan, store: Store, folder: Path, records: Iterable[Record] = ()) -> None:
    """Write the lock file of a run; `records`: of its jobs once it has ended, which tell the versions they ran with."""
    if not store.writable:
        return
    jobs = {job.label: job.key for job in plan.jobs()}
    lock = Lock(
        run=folder.name,
        suite=plan.suite.text,
        suite_file=str(plan.suite.path.resolve()),
        plugins={str(file.resolve()): sha256(file) for file in plan.suite.plugin_files},
        parts=dict(plan.cohort.split.parts),
        jobs=jobs,
        **_made_with(store, records),
    )
    write_atomically(folder / NAME, json.dumps(lock.model_dump(mode="json"), indent=0, ensure_ascii=False))


def read_lock(folder: Path) -> Lock:
    """Read the lock file of a run.

    Raises:
        RefbenchError: there is none, or it is damaged.
    """
    try:
        return Lock.model_validate_json((folder / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RefbenchError(f"{folder} has no {NAME}: it was run before there were any; run the suite again") from None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise RefbenchError(f"{folder / NAME} cannot be used ({reason}); run the suite again") from error


def _made_with(store: Store, records: Iterable[Record]) -> dict[str, Any]:
    digests = Counter[str]()
    machines = set[str]()
    for record in records:
        if isinstance(record.get("environment"), str):
            digests[record["environment"]] += 1
        if "hardware" in record:
            machines.add(json.dumps(record["hardware"], sort_keys=True))
    return {
        "environments": {digest: store.environment(digest) for digest in digests},
        "made_with": dict(digests),
        "hardware": [json.loads(machine) for machine in sorted(machines)],
    }


@contextmanager
def going_on(store: Store, run: str) -> Iterator[None]:
    """While the block lasts this run is going on: what it needs is not taken out of the store."""
    if not store.writable:
        yield
        return
    with holding(_mark(store, run), shared=True):
        yield


def goes_on(store: Store, run: str) -> bool:
    """Whether a living process is executing this run."""
    return is_held(_mark(store, run))


def _mark(store: Store, run: str) -> Path:
    return store.root / "scratch" / f"run-{run}.lock"
