"""What the files of a result must be: their sizes and SHA-256, kept in its record."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from refbench.fingerprint import digest

RECORD, JOB = "status.json", "job.json"
"""The record of a result, which holds the checksums of its other files; and what was hashed into its key."""


@dataclass(frozen=True)
class Finding:
    """What a look at a result found.

    Attributes:
        state: `unverified`: it was made before checksums were kept. `gone`: it is not there.
        what: the file that is damaged, and how it shows.
    """

    state: Literal["sound", "unverified", "damaged", "gone"]
    what: str = ""


def sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits, as `sha256sum` prints it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_names(folder: Path) -> Iterator[str]:
    """Paths of all files below a folder, relative to it, in order."""
    above = len(f"{folder}/")
    yield from sorted(f"{place}/{name}"[above:] for place, _, names in os.walk(folder) for name in names)


def file_sums(folder: Path) -> dict[str, list[Any]]:
    """Bytes and SHA-256 of every file of a result but its record, by path."""
    names = (name for name in file_names(folder) if name != RECORD)
    return {name: [(folder / name).stat().st_size, sha256(folder / name)] for name in names}


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with a digest of itself, so that damage to it shows, too."""
    return {**record, "digest": digest(dict(record))}


def look(folder: Path, *, deep: bool, records_only: bool = False) -> Finding:
    """Compare a result with its record.

    Args:
        folder: of the result; its name is its key.
        deep: read every file; else only the record is read, and the sizes of files are compared.
        records_only: the result was dropped.
    """
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except FileNotFoundError:
        return Finding("gone")
    except (OSError, ValueError):
        return Finding("damaged", f"{RECORD} cannot be read")
    if not isinstance(record, dict):
        return Finding("damaged", f"{RECORD} is no record")
    try:
        what = _seal(record) or _key(folder) if deep else ""
        if not (what or records_only):
            what = _files(folder, record.get("files", {}), deep)
    except (OSError, ValueError, TypeError) as error:
        what = str(getattr(error, "strerror", None) or error)
    if what:
        return Finding("damaged", what)
    return Finding("sound" if "files" in record else "unverified")


def _seal(record: Mapping[str, Any]) -> str:
    own = {name: value for name, value in record.items() if name != "digest"}
    return f"{RECORD} differs from its own digest" if record.get("digest", digest(own)) != digest(own) else ""


def _key(folder: Path) -> str:
    return "" if key_of(json.loads((folder / JOB).read_bytes())) == folder.name else f"{JOB} is not that of this key"


def key_of(identity: Mapping[str, Any]) -> str:
    """The key of a job, from what `job.json` holds of it."""
    return digest([identity["kind"], {name: value for name, value in identity.items() if name != "kind"}])


def _files(folder: Path, files: Mapping[str, list[Any]], deep: bool) -> str:
    for name, (size, expected) in files.items():
        try:
            there = os.stat(folder / name).st_size  # noqa: PTH116  # many times over: a Path would cost as much again
        except FileNotFoundError:
            return f"{name} is missing"
        if there != size:
            return f"{name} has {there} bytes, not {size}"
        if deep and sha256(folder / name) != expected:
            return f"{name} differs from its checksum"
    if deep and files:
        strange = set(file_names(folder)) - {*files, RECORD}
        return f"{min(strange)} does not belong there" if strange else ""
    return ""
