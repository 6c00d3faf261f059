"""No attacker may have seen whom it is tested on: not under another name, and not among the data set's files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from refbench.errors import DataError
from refbench.fingerprint import digest
from refbench.plugin import Plugin
from refbench.preparation import PreparedScan
from refbench.store import Store

_REMEDY = (
    "in two parts of the split: nobody may be tested by an attacker that has seen them. Take one of the two away, or "
    "give both the same subject."
)


def copies(prepared: Iterable[PreparedScan]) -> dict[str, str]:
    """Scans that are the same bytes as an earlier one, by content and whatever their names say.

    Compared are the content of a scan's first file (the head itself) and its recipe: virtual people made from one
    source differ in the latter, on purpose. A file that was compressed anew is found later: `refuse_same_voxels`.

    Returns:
        Subject to what it is a copy of, for tables; within one part a copy is odd, but nothing leaks.

    Raises:
        DataError: two scans in different parts are the same; the message names their files and subjects.
    """
    first: dict[str, PreparedScan] = {}
    found: dict[str, str] = {}
    for item in prepared:
        content = item.head.identity["files"][:1]
        if item.scan.problem or any(text.startswith("unreadable") for text in content):
            continue
        other = first.setdefault(digest([content, item.scan.recipe]), item)
        if other is item:
            continue
        if other.part != item.part:
            raise DataError(
                f"{_named(other)} and {_named(item)} are the same {'file' if content else 'head'}, {_REMEDY}"
            )
        found[item.scan.subject] = f"same content as {other.scan.who}"
    return found


def refuse_same_voxels(prepared: Iterable[PreparedScan], store: Store) -> None:
    """Find heads that are alike although their files differ: compressed anew, under another header.

    Looked at are heads of files that were loaded already. Virtual people may be one head in several forms, on purpose.

    Raises:
        DataError: two such heads in different parts have the same voxels; the message names files and subjects.
    """
    first: dict[str, PreparedScan] = {}
    for item in prepared:
        voxels = (store.record(item.head.key) or {}).get("files", {}).get("voxels.npy") if item.scan.files else None
        if voxels is None:
            continue
        other = first.setdefault(voxels[1], item)
        if other.part != item.part:
            raise DataError(f"{_named(other)} and {_named(item)} hold the same voxels, {_REMEDY}")


def places_of(datasets: Iterable[Plugin], prepared: Iterable[PreparedScan]) -> list[str]:
    """Where the data lie, for `where["dataset"]` of trainings and attacks, to which they are closed (`refbench.guard`).

    Returns:
        Absolute paths: what the data sets' parameters name, and the folders of scans that lie elsewhere.
    """
    named = {place.absolute() for dataset in datasets for _, place in dataset if isinstance(place, Path)}
    folders = {file.parent.absolute() for item in prepared for file in item.scan.files}
    return sorted(map(str, named | {folder for folder in folders if named.isdisjoint((folder, *folder.parents))}))


def _named(item: PreparedScan) -> str:
    who = f"subject {item.scan.subject}, {item.part}"
    return f"{item.scan.files[0]} ({who})" if item.scan.files else f"{item.head.label} ({who})"
