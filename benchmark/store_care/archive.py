"""A run with its results as one zip file: equal stores give equal bytes, and every path is checked when it is read."""

from __future__ import annotations

import json
import re
import shutil
import stat
import uuid
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from refbench.checksums import JOB, RECORD, file_names, look
from refbench.errors import StoreError
from refbench.results import TABLES
from refbench.store import Store, write_atomically

ABOUT = "refbench.json"
FORMAT = 1
FACELESS = ("register", "score", "check", "identify", "measure")
"""Kinds of job whose results show nobody's face. The others hold heads, surfaces, slices, or what learnt from them."""

_TIME = (1980, 1, 1, 0, 0, 0)
_RUN = re.compile(r"[\w-][\w.-]*")
_KEY = re.compile(r"[0-9a-f]{40}")
_ODD = re.compile(r"[\\:\x00-\x1f]")
"""What no name in a path may hold: separators of any system, drives, control characters."""


@dataclass(frozen=True)
class Moved:
    """What was written or read. `results`, `records`: how many; a record stands for a result that stayed behind."""

    run: str
    results: int
    records: int
    there: int = 0


def export_run(folder: Path, keys: Collection[str], store: Store, kinds: Collection[str], out: Path) -> Moved:
    """Write a run's tables, all records of its jobs, and the results of some kinds.

    Args:
        folder: of the run.
        keys: of its jobs.
        store: theirs.
        kinds: whose results go along.
        out: the zip file; replaced if it is there.

    Raises:
        StoreError: a result is damaged, or the file cannot be written.
    """
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    counts = {"objects": 0, "dropped": 0}
    try:
        with store.undisturbed(), zipfile.ZipFile(part, "x", zipfile.ZIP_STORED) as archive:
            _add(archive, ABOUT, json.dumps({"format": FORMAT, "run": folder.name}).encode())
            for name in sorted(TABLES):
                if (folder / name).is_file():
                    _add(archive, f"runs/{folder.name}/{name}", folder / name)
            environments: set[str] = set()
            for key in sorted(set(keys)):
                record = store.record(key)
                if not record or record["status"] != "ok":
                    continue
                environments.update([record["environment"]] if isinstance(record.get("environment"), str) else [])
                whole = store.has(key) and store.identity(key)["kind"] in kinds
                if whole and (finding := look(store.folder(key), deep=True)).state == "damaged":
                    raise StoreError(f"{record['label']} is damaged ({finding.what}); `refbench store verify` sets it "
                                     "aside, and the next run makes it again")  # fmt: skip
                source = store.folder(key) if store.has(key) else store.dropped_folder(key)
                place = "objects" if whole else "dropped"
                counts[place] += 1
                for name in file_names(source) if whole else (JOB, RECORD):
                    _add(archive, f"{place}/{key[:2]}/{key}/{name}", source / name)
            for name in sorted(environments):
                if versions := store.environment(name):
                    _add(archive, f"environments/{name}.json", json.dumps(versions, indent=1).encode())
        part.replace(out)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror}; make room, or choose another place") from error
    finally:
        part.unlink(missing_ok=True)
    return Moved(folder.name, counts["objects"], counts["dropped"])


def _add(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> None:
    member = zipfile.ZipInfo(name, _TIME)
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    member.create_system = 3  # the same bytes whatever system writes it
    if isinstance(content, bytes):
        archive.writestr(member, content)
        return
    member.file_size = content.stat().st_size
    with content.open("rb") as source, archive.open(member, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def import_run(file: Path, store: Store) -> Moved:
    """Take in what `export_run` wrote. Nothing in it is executed, and what is there already stays.

    Every path is checked before anything is written, every job against its key and every file against its checksum
    before it gets its final name.

    Raises:
        StoreError: it is no such archive, it is damaged, or there is no room.
    """
    scratch = store.root / "scratch" / f"import-{uuid.uuid4().hex[:8]}"
    try:
        with zipfile.ZipFile(file) as archive, store.undisturbed():
            run, members = _checked(archive, file)
            needed = sum(member.file_size for member in archive.infolist())
            if needed > shutil.disk_usage(store.root).free:
                raise StoreError(f"{file} needs {needed / 1e9:.1f} GB, and {store.root} has no such room")
            counts = {"objects": 0, "dropped": 0, "there": 0}
            for (place, key), names in members.items():
                target = store.folder(key) if place == "objects" else store.dropped_folder(key)
                if store.has(key) or target.exists():
                    counts["there"] += 1
                    continue
                result = scratch / key
                for name, member in names.items():
                    _extract(archive, member, result / name)
                _check(file, result, whole=place == "objects")
                target.parent.mkdir(parents=True, exist_ok=True)
                result.rename(target)
                if place == "objects":
                    shutil.rmtree(store.dropped_folder(key), ignore_errors=True)
                store.forget_failure(key)
                counts[place] += 1
            _small_files(archive, store, run)
    except zipfile.BadZipFile as error:
        raise StoreError(f"{file} is no archive of refbench, or damaged: {error}") from error
    except OSError as error:
        raise StoreError(f"{file} cannot be taken in: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Moved(run, counts["objects"], counts["dropped"], counts["there"])


_Members = dict[tuple[str, str], dict[str, zipfile.ZipInfo]]


def _checked(archive: zipfile.ZipFile, file: Path) -> tuple[str, _Members]:
    """The run, and the files of every result by place and key."""
    try:
        about = json.loads(archive.read(ABOUT))
        run, version = str(about["run"]), about["format"]
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{file} is no archive of refbench") from error
    if version != FORMAT or not _RUN.fullmatch(run):
        raise StoreError(f"{file} is of another version of refbench, or damaged")
    found: _Members = {}
    seen: set[str] = set()
    for member in archive.infolist():
        name = member.filename
        parts = PurePosixPath(name).parts
        regular = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG) and not name.endswith("/")
        plain = "/".join(parts) == name and ".." not in parts and not _ODD.search(name)
        if name in seen or not regular or not plain or not _allowed(parts, run):
            raise StoreError(f"{file} holds {name!r}, which does not belong into an archive; nothing was taken in")
        seen.add(name)
        if parts[0] in ("objects", "dropped"):
            found.setdefault((parts[0], parts[2]), {})["/".join(parts[3:])] = member
    return run, found


def _allowed(parts: tuple[str, ...], run: str) -> bool:
    match parts:
        case (about,):
            return about == ABOUT
        case ("runs", name, table):
            return name == run and table in TABLES
        case ("environments", name):
            return bool(re.fullmatch(r"[0-9a-f]{40}\.json", name))
        case ("objects", short, key, *rest):
            return bool(_KEY.fullmatch(key)) and key[:2] == short and bool(rest)
        case ("dropped", short, key, name):
            return bool(_KEY.fullmatch(key)) and key[:2] == short and name in (JOB, RECORD)
    return False


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("xb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


def _check(file: Path, result: Path, *, whole: bool) -> None:
    finding = look(result, deep=True, records_only=not whole)
    if finding.state in ("damaged", "gone"):
        raise StoreError(
            f"{file}: {result.name}: {finding.what or 'it has no record'}; what came before it was taken in"
        )


def _small_files(archive: zipfile.ZipFile, store: Store, run: str) -> None:
    """Versions and tables; a run of this name that is there already keeps its own."""
    folder = store.root / "runs" / run
    there = (folder / "run.json").exists()
    for name in archive.namelist():
        first, *rest = name.split("/")
        if first == "environments" and not (store.root / name).exists():
            write_atomically(store.root / name, archive.read(name))
        elif first == "runs" and not there and rest[-1] != "run.json":
            write_atomically(folder / rest[-1], archive.read(name))
    last = f"runs/{run}/run.json"  # what makes it a finished run
    if not there and last in archive.namelist():
        write_atomically(folder / "run.json", archive.read(last))
