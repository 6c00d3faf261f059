"""Does a dataset keep its contract? Its scans are listed, and one head of each site is loaded."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from refbench.datasets.base import Dataset, Scan
from refbench.fingerprint import canonical_json
from refbench.jobs.task import check_head
from refbench.testing import Attempt, Check, found
from refbench.types import Head

SITES = 3
"""Of so many sites one head is loaded."""

LISTS = "lists scans, each with subject, site and session"
UNOPENED = "lists them without opening a volume"
STABLE = "lists the same in the same order, each time it is asked"
UNIQUE = "has one scan of each session of a subject"
FILES = "names files that are there, by absolute paths"
RECIPES = "describes scans by JSON values"
LOADS = "loads finite float32 heads in RAS+ order"
LABELS = "gives every head the labels it promises"
REPEATS = "loads the same from `files` and `recipe` alone"

RIGHT_FRONT_UP = np.array([0, 1, 2])


def check_dataset(dataset: Dataset) -> Iterator[Check]:
    """Try a dataset, rule by rule.

    Yields:
        one check per rule, as soon as it is known. When the scans cannot be listed, or a head cannot be loaded, what
        would follow is not tried.
    """
    with _opened() as opened:
        listed = Attempt.at(dataset.scans)
    problem = listed.problem or _no_scans(listed.made)
    yield Check(LISTS, problem)
    if problem or listed.made is None:
        return
    scans = listed.made
    usable = [scan for scan in scans if not scan.problem]
    yield Check(UNOPENED, found(lambda: _opens(usable, opened)))
    yield Check(STABLE, found(lambda: _another_list(dataset, scans)))
    yield Check(UNIQUE, found(lambda: _twice(usable)))
    yield Check(FILES, found(lambda: _lost(usable)))
    yield Check(RECIPES, found(lambda: _no_json(usable)))
    chosen = _one_per_site(usable)
    loaded = Attempt.at(lambda: [check_head(dataset.load(scan), f"the head of {scan.who}") for scan in chosen])
    problem = loaded.problem or found(lambda: _turned(chosen, loaded.made or ()))
    yield Check(LOADS, problem)
    if loaded.made is None:
        return
    heads = loaded.made
    yield Check(LABELS, found(lambda: _unlabelled(dataset, chosen, heads)))
    yield Check(REPEATS, found(lambda: _differs(dataset, chosen, heads)))


def cohort(dataset: Dataset) -> str:
    """Who is there, in one sentence."""
    scans = dataset.scans()
    usable = [scan for scan in scans if not scan.problem]
    site_of = {scan.subject: scan.site for scan in usable}
    sites = ", ".join(f"{site} {count}" for site, count in sorted(Counter(site_of.values()).items()))
    excluded = f"; {len(scans) - len(usable)} cannot be used" if len(usable) < len(scans) else ""
    return f"{len(scans)} scan(s){excluded}; people by site: {sites}"


_recorders: list[set[str]] = []


@contextmanager
def _opened() -> Iterator[set[str]]:
    """The paths of all files that Python opens meanwhile."""
    if not _recorders:
        sys.addaudithook(_record)  # it can never be taken away again: there is one, idle most of the time
        _recorders.append(set())
    paths: set[str] = set()
    _recorders.append(paths)
    try:
        yield paths
    finally:
        _recorders.remove(paths)


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and len(_recorders) > 1 and isinstance(arguments[0], str | bytes):
        path = arguments[0]
        _recorders[-1].add(path if isinstance(path, str) else path.decode(errors="replace"))


def _no_scans(scans: Any) -> str:
    if not isinstance(scans, list) or not all(isinstance(scan, Scan) for scan in scans):
        return "`scans` must give a list of Scan"
    if not any(not scan.problem for scan in scans):
        return "there is no scan that can be used"
    for scan in scans:
        for what in ("subject", "site", "session"):
            value = getattr(scan, what)
            if not isinstance(value, str) or not value:
                return f"the {what} of {scan!r} must be a text that is not empty"
    return ""


def _opens(scans: Sequence[Scan], opened: set[str]) -> str:
    files = {str(file) for scan in scans for file in scan.files}
    read = sorted(files & {str(Path(path).absolute()) for path in opened})
    return f"it opened {len(read)} of {len(files)} files, {read[0]} among them" if read else ""


def _another_list(dataset: Dataset, scans: Sequence[Scan]) -> str:
    again, anew = dataset.scans(), type(dataset).model_validate(dataset.model_dump()).scans()
    for other in (again, anew):
        if len(other) != len(scans):
            return f"{len(scans)} scans the first time, {len(other)} the next"
        for one, two in zip(scans, other, strict=True):
            if one != two:
                return f"{one.who} stands where {two.who} stood, or is described otherwise; sort what a folder lists"
    return ""


def _twice(scans: Sequence[Scan]) -> str:
    counts = Counter((scan.subject, scan.session) for scan in scans)
    subject, session = max(counts, key=lambda who: counts[who])
    count = counts[subject, session]
    said = f"session {session} of subject {subject} is there {count} times; give a `problem`, or tell sessions apart"
    return said if count > 1 else ""


def _lost(scans: Sequence[Scan]) -> str:
    for scan in scans:
        for file in scan.files:
            if not isinstance(file, Path) or not file.is_absolute():
                return f"{scan.who}: {file!r} is not an absolute pathlib.Path"
            if not file.is_file():
                return f"{scan.who}: there is no file {file}"
    return ""


def _no_json(scans: Sequence[Scan]) -> str:
    for scan in scans:
        attempt = Attempt.at(lambda scan=scan: canonical_json([dict(scan.recipe), dict(scan.facts)]))  # type: ignore[misc]
        if attempt.problem:
            return f"recipe or facts of {scan.who}: {attempt.problem}"
    return ""


def _one_per_site(scans: Sequence[Scan]) -> list[Scan]:
    first: dict[str, Scan] = {}
    for scan in scans:
        first.setdefault(scan.site, scan)
    return list(first.values())[:SITES]


def _turned(scans: Sequence[Scan], heads: Sequence[Head]) -> str:
    for scan, head in zip(scans, heads, strict=True):
        directions = head.affine[:3, :3] / head.voxel_mm
        main = np.abs(directions).argmax(axis=0)
        if not np.array_equal(main, RIGHT_FRONT_UP) or not (np.diag(directions) > 0).all():
            return f"the axes of {scan.who} do not run to the right, to the front and up (RAS+)"
        if head.voxels.min() == head.voxels.max():
            return f"every voxel of {scan.who} is {head.voxels.flat[0]:g}"
    return ""


def _unlabelled(dataset: Dataset, scans: Sequence[Scan], heads: Sequence[Head]) -> str:
    for scan, head in zip(scans, heads, strict=True):
        for name in sorted(dataset.label_names()):
            if name not in head.labels:
                return f"{scan.who} has no label {name}"
        for name, mask in head.labels.items():
            if mask.shape != head.voxels.shape or mask.dtype != np.bool_:
                return f"the label {name} of {scan.who} is {mask.dtype} {mask.shape}, not bool {head.voxels.shape}"
    return ""


def _differs(dataset: Dataset, scans: Sequence[Scan], heads: Sequence[Head]) -> str:
    for scan, head in zip(scans, heads, strict=True):
        bare = replace(scan, subject="", site="", session="", facts={})
        again = dataset.load(bare)
        if again.voxels.shape != head.voxels.shape or not np.array_equal(again.voxels, head.voxels):
            return f"the voxels of {scan.who} are others when only `files` and `recipe` are known, or the second time"
        if not np.array_equal(again.affine, head.affine):
            return f"the affine of {scan.who} is another when only `files` and `recipe` are known"
    return ""
