"""Everybody of a suite: listed, divided, and looked through for anybody who is there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from refbench.datasets.base import Dataset, Scan
from refbench.errors import DataError
from refbench.leaks import copies
from refbench.preparation import PreparedScan, ScanBuilder
from refbench.split import Split, split_subjects
from refbench.split_options import Part
from refbench.suite import Chosen, Suite


@dataclass(frozen=True)
class Cohort:
    """What a run is made on. It does not depend on what failed, so a run can list it once.

    Attributes:
        split: who is in which part.
        scans: of all who take part, with the jobs that hang on no anonymizer.
        copies: subjects whose head is the same file as another's of their part, and whose.
    """

    split: Split
    scans: tuple[PreparedScan, ...]
    copies: Mapping[str, str]

    def notes(self, failed: frozenset[str]) -> tuple[str, ...]:
        """What the reader of the results should know, given the keys of failed jobs. No names: tables are shared."""
        said = self.split.notes()
        excluded = [item.scan.subject for item in self.scans if item.head.key in failed]
        if excluded:
            people = len(set(excluded))
            said.append(
                f"{len(excluded)} of {len(self.scans)} scans excluded, of {people} subject(s): the head could not be "
                "loaded (the run's split.csv says whose, and why)"
            )
        if self.copies:
            said.append(
                f"{len(self.copies)} subject(s) with the same head as another of their part (the run's split.csv "
                "says who)"
            )
        return tuple(said)


def list_cohort(suite: Suite, preparing: ScanBuilder, parts: Mapping[str, Part] | None = None) -> Cohort:
    """List a suite's scans, divide their subjects (as `parts` says, or else the suite), and prepare who takes part.

    Raises:
        DataError: the dataset cannot be listed or split, a scan is listed twice, a subject at two sites, or the same
            head in two parts of the split.
    """
    scans = [scan for name, chosen in suite.datasets.items() for scan in _named(name, chosen)]
    _check(scans)
    sites = {scan.subject: scan.site for scan in scans}
    split = _given(sites, parts) if parts else split_subjects(sites, suite.file.split, split_csv(suite))
    prepared = [preparing.prepare(scan, split.parts[scan.subject]) for scan in scans if scan.subject in split.parts]
    preparing.hashes.save()
    return Cohort(split, tuple(prepared), copies(prepared))


def _named(name: str, chosen: Chosen) -> list[Scan]:
    """The scans of one data set; where there are others, their people and sites carry its name."""
    assert isinstance(chosen.plugin, Dataset)
    scans = chosen.plugin.scans()
    if not name:
        return scans
    several = len({scan.site for scan in scans}) > 1
    return [
        replace(scan, subject=f"{name}-{scan.subject}", site=f"{name} {scan.site}" if several else name, dataset=name)
        for scan in scans
    ]


def _given(sites: Mapping[str, str], parts: Mapping[str, Part]) -> Split:
    gone = [subject for subject in parts if subject not in sites]
    if gone:
        raise DataError(f"{len(gone)} of {len(parts)} people of the run are not in the dataset now, {gone[0]} for one")
    taking_part = {subject: parts[subject] for subject in sites if subject in parts}
    return Split(sites, taking_part, {subject: "not in the run" for subject in sites if subject not in parts})


def split_csv(suite: Suite) -> Path | None:
    """The table that divides the cohort, if one does; relative paths start at the suite file."""
    table = suite.file.split.csv
    return suite.path.resolve().parent / table.expanduser() if table else None


def _check(scans: Sequence[Scan]) -> None:
    seen: set[tuple[str, str]] = set()
    site_of: dict[str, str] = {}
    for scan in scans:
        if (scan.subject, scan.session) in seen:
            raise DataError(f"subject {scan.subject} session {scan.session} stands twice in the dataset")
        seen.add((scan.subject, scan.session))
        if site_of.setdefault(scan.subject, scan.site) != scan.site:
            raise DataError(f"subject {scan.subject} is listed at two sites: {site_of[scan.subject]} and {scan.site}")
