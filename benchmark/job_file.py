"""A job on disk, so that `refbench job KEY` runs it wherever the store can be seen."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from refbench.errors import StoreError
from refbench.job import Job
from refbench.store import Store, write_atomically
from refbench.suite_file import Limits


@dataclass(frozen=True)
class JobFile:
    """A job and what its suite says of it that is no part of its key."""

    job: Job
    plugin_files: tuple[Path, ...]
    limits: Limits


def write_jobs(store: Store, jobs: Iterable[Job], plugin_files: tuple[Path, ...], limits: Limits) -> None:
    """Leave jobs in the store for other processes; their results take them away."""
    about = {"plugin_files": [str(file) for file in plugin_files], "limits": limits.model_dump(mode="json")}
    for job in jobs:
        content = {
            "kind": job.kind,
            "label": job.label,
            "identity": dict(job.identity),
            "needs": list(job.needs),
            "where": dict(job.where),
            **about,
        }
        write_atomically(store.job_file(job.key), json.dumps(content))


def read_job(store: Store, key: str) -> JobFile:
    """Read a job that was left, by its key or the beginning of it.

    Raises:
        StoreError: there is none, or several, or its file is damaged.
    """
    found = sorted(store.job_file(key).parent.glob(f"{key}*.json")) if len(key) > 1 else []
    if len(found) != 1:
        what = f"{len(found)} jobs begin with" if found else "no open job is"
        raise StoreError(f"{what} {key!r} in {store.root}; `refbench status` lists them")
    try:
        data = json.loads(found[0].read_text(encoding="utf-8"))
        job = Job(data["kind"], data["label"], data["identity"], tuple(data["needs"]), data["where"])
        files = tuple(Path(file) for file in data["plugin_files"])
        limits = Limits.model_validate(data["limits"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{found[0]} is damaged ({error}); run the suite again") from error
    if job.key != found[0].stem:
        raise StoreError(f"{found[0]} does not hold the job that it is named after; run the suite again")
    return JobFile(job, files, limits)
