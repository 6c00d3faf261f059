"""The file that a run travels in: a ZIP with a manifest, a closed list of files, and nothing that tells a machine.

Packing is deterministic: the same contents give the same bytes. Reading trusts nothing: names, sizes and the ways to
pack are checked before anything is unpacked, which happens in memory only.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refbench.errors import RefbenchError
from refbench.face_tables import HEADS, IDENTIFICATION

MANIFEST = "manifest.json"
PROVENANCE, SUITE, SCORES, CELLS, SUBJECTS, TABLE = FILES = (
    "provenance.json",
    "suite.yaml",
    "scores.parquet",
    "cells.csv",
    "subjects.csv",
    "leaderboard.json",
)
OPTIONAL = (IDENTIFICATION, HEADS)
"""Of runs that have them."""

MOST_BYTES = 1 << 30
"""Of all files of a bundle unpacked, and of the bundle itself."""

_MANIFEST_BYTES = 1 << 16
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Entry(BaseModel):
    """One file of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: int = Field(ge=0, le=MOST_BYTES)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a bundle holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    files: dict[str, Entry]


@dataclass(frozen=True)
class Bundle:
    """What was unpacked.

    Attributes:
        files: name to content, of all that could be read. differences: where the file is not what its manifest says.
    """

    path: Path
    files: Mapping[str, bytes]
    differences: tuple[str, ...]


def pack(files: Mapping[str, bytes]) -> bytes:
    """A bundle of exactly `FILES`, and what there is of `OPTIONAL`, with its manifest in front."""
    names = (*FILES, *(name for name in OPTIONAL if name in files))
    manifest = Manifest(
        files={name: Entry(bytes=len(files[name]), sha256=hashlib.sha256(files[name]).hexdigest()) for name in names}
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in ((MANIFEST, manifest.model_dump_json(indent=1).encode()), *((n, files[n]) for n in names)):
            # The time, the system and the rights of a file would tell of who packed it, and when.
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED, 9)
    return packed.getvalue()


def unpack(path: Path) -> Bundle:
    """Read a bundle into memory and hold it against its manifest.

    Raises:
        RefbenchError: it is no bundle, or asks for what a bundle never does: too much memory, another way to pack.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RefbenchError(f"{path}: larger than any bundle ({MOST_BYTES >> 20} MiB); not read")
        with zipfile.ZipFile(path) as archive:
            return _unpacked(path, archive)
    except OSError as error:
        raise RefbenchError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise RefbenchError(f"{path}: no bundle, or a damaged one ({error}); ask for it anew") from error


def _unpacked(path: Path, archive: zipfile.ZipFile) -> Bundle:
    members = {info.filename: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise RefbenchError(f"{path}: holds two files of one name; not read")
    if MANIFEST not in members:
        raise RefbenchError(f"{path}: no bundle: it has no {MANIFEST}; make one with `refbench export RUN`")
    for info in members.values():
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise RefbenchError(f"{path}: {info.filename!r} is packed in a way that bundles never are; not read")
    manifest = _manifest(path, _content(archive, members[MANIFEST], _MANIFEST_BYTES))
    if sum(entry.bytes for entry in manifest.files.values()) > MOST_BYTES:
        raise RefbenchError(f"{path}: would unpack to more than {MOST_BYTES >> 20} MiB; not read")
    files: dict[str, bytes] = {}
    unlisted = members.keys() - manifest.files.keys() - {MANIFEST}
    differences = [f"{name!r} is in the bundle and not in its manifest" for name in unlisted]
    differences += [f"{name!r} is no file of a bundle" for name in manifest.files.keys() - {*FILES, *OPTIONAL}]
    if archive.comment or any(info.extra or info.comment for info in members.values()):
        differences.append("the ZIP carries comments or extra fields, which no manifest covers")
    for name in (*FILES, *OPTIONAL):
        if name in OPTIONAL and name not in manifest.files:
            continue
        if name not in manifest.files or name not in members:
            differences.append(f"{name} is missing")
            continue
        try:
            files[name] = _content(archive, members[name], manifest.files[name].bytes)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            differences.append(f"{name} is damaged ({error})")
            continue
        if hashlib.sha256(files[name]).hexdigest() != manifest.files[name].sha256:
            differences.append(f"{name} is not what the manifest says: another SHA-256")
    return Bundle(path, files, tuple(sorted(differences)))


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """At most `limit` bytes, and whatever the ZIP says of itself no more than one beyond them."""
    with archive.open(info) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise RefbenchError(f"{info.filename!r} is larger than the manifest says; not read")
    return content


def _manifest(path: Path, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RefbenchError(
            f"{path}: its manifest is none of this version of refbench: {where}: {first['msg']}"
        ) from error
