"""Damaged results are found before anybody uses them, set aside, and made again."""

from __future__ import annotations

from collections.abc import Iterable

from refbench.checksums import look
from refbench.errors import StoreError
from refbench.job import Job
from refbench.store import Store

READ_BY_TABLES = ("score", "check", "identify", "measure")
"""Kinds of job whose results go straight into the tables of a run. They are small."""


class DamagedInput(StoreError):  # noqa: N818  (it becomes the job status `blocked`)
    """A result that a job would read is damaged, and was set aside to be made again."""


def set_aside_damaged(store: Store, jobs: Iterable[Job]) -> int:
    """Look over the results of a plan before it is run; returns how many were damaged.

    Of most results only the sizes of files are compared: whoever reads one looks at every byte, see `check_inputs`.
    A record of a failure that cannot be read is forgotten.
    """
    there, failed = frozenset(store.keys()), store.failed()
    count = 0
    for job in jobs:
        if job.key in failed:
            _forget_damaged(store, job.key)
        if job.key not in there:
            continue
        finding = look(store.folder(job.key), deep=job.kind in READ_BY_TABLES)
        if finding.state == "damaged":
            if not store.writable:
                raise StoreError(
                    f"{job.label}: its result {job.key} is damaged ({finding.what}), and {store.root} cannot be "
                    "written; choose another store with --store"
                )
            store.set_aside(job.key, job.label, finding.what)
            count += 1
    return count


def _forget_damaged(store: Store, key: str) -> None:
    try:
        store.failure(key)
    except StoreError:
        store.forget_failure(key)


def check_inputs(store: Store, keys: Iterable[str]) -> None:
    """Compare every byte of the results that a job is about to read with their checksums.

    Raises:
        DamagedInput: one of them differs, or is not there any more; it was set aside.
    """
    for key in dict.fromkeys(keys):
        finding = look(store.folder(key), deep=True)
        if finding.state == "gone":
            raise DamagedInput(f"the input {key} is not there any more; run the suite again")
        if finding.state == "damaged":
            label = label_of(store, key)
            store.set_aside(key, label, finding.what)
            raise DamagedInput(f"{label} was damaged ({finding.what}) and is set aside; the next run makes it again")


def label_of(store: Store, key: str) -> str:
    """What a result is called; its key where its record is damaged."""
    try:
        return str((store.status(key) or {}).get("label", key))
    except StoreError:
        return key
