"""The job that fuses two releases of the same scans, see `refbench.jobs.compose`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refbench.fingerprint import code_fingerprint
from refbench.job import Job
from refbench.preparation import PlannedScan


@dataclass(frozen=True)
class Attacked:
    """What one anonymizer released, and what an attacker made of it.

    Attributes:
        anonymizer: its number in the suite.
        test: the job `reconstruct` of the test people. validation: of the validation people, if there are any.
    """

    anonymizer: int
    test: Job
    validation: Job | None

    def view(self, item: PlannedScan) -> dict[str, str]:
        """Keys of a scan's release and of its slices."""
        return {"released": item.anonymized[self.anonymizer].key, "slice": item.slices[self.anonymizer].key}


def compose_job(
    name: str,
    scans: Sequence[PlannedScan],
    first: Attacked,
    second: Attacked,
    slices: Mapping[str, Any],
    selection: Mapping[str, Any],
) -> Job:
    """Fuse what an attacker made of two releases; the result stands in for that of `first.test`, slice by slice.

    Args:
        name: of the cell.
        scans: of all people, in order.
        first: whose scores the fusion is held against.
        second: what is given also.
        slices: options of slices, as of the suite.
        selection: metric (its identity) and region, as of a training.

    Returns:
        A job whose identity holds: `test` and `validation`, views of scans (head, person, and released and slice of
        `first` and of `second`, which is None for a test scan whose second release failed); `reconstructed`, keys of
        slices in order by the key of each `reconstruct` job; `slices`; `selection`; `code`.
    """
    attacks = [job for one in (first, second) for job in (one.test, one.validation) if job]
    reconstructed = {job.key: list(job.identity["test"]) for job in attacks}
    test = _views(scans, first, second, first.test, second.test)
    validation = []
    if first.validation and second.validation:
        views = _views(scans, first, second, first.validation, second.validation)
        validation = [view for view in views if view["second"]]
    needs = [view["head"] for view in (*validation, *test)]
    needs += [key for view in (*validation, *test) for one in ("first", "second") for key in (view[one] or {}).values()]
    needs += [key for job, keys in reconstructed.items() for key in (job, *keys)]
    identity = {
        "test": test,
        "validation": validation,
        "reconstructed": reconstructed,
        "slices": dict(slices),
        "selection": dict(selection),
        "code": code_fingerprint("refbench.jobs.compose"),
    }
    return Job("compose", f"compose {name}", identity, needs=tuple(dict.fromkeys(needs)))


def _views(
    scans: Sequence[PlannedScan], first: Attacked, second: Attacked, of_first: Job, of_second: Job
) -> list[dict[str, Any]]:
    """In the order of the first attack's slices; people are numbered, never named."""
    by_slices = {item.slices[first.anonymizer].key: item for item in scans}
    items = [by_slices[key] for key in of_first.identity["test"]]
    person = {subject: number for number, subject in enumerate(dict.fromkeys(item.scan.subject for item in items))}
    there = frozenset(of_second.identity["test"])
    return [
        {
            "person": person[item.scan.subject],
            "head": item.head.key,
            "first": first.view(item),
            "second": second.view(item) if second.view(item)["slice"] in there else None,
        }
        for item in items
    ]
