"""A bundle as a run: for leaderboards, comparisons and verification."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from refbench.errors import RefbenchError
from refbench.face_tables import HEADS, IDENTIFICATION
from refbench.results import Run, find_runs, load_run
from refbench.sharing import bundle
from refbench.sharing.provenance import Provenance
from refbench.sharing.pseudonyms import PSEUDONYM
from refbench.sharing.tables import read_csv, read_parquet

SUFFIX = ".zip"


@dataclass(frozen=True)
class Shared:
    """A bundle whose files were all there.

    Attributes:
        table: the leaderboard that it holds. differences: where it is not what its manifest or its kind says.
    """

    run: Run
    provenance: Provenance
    suite: str
    table: dict[str, Any]
    differences: tuple[str, ...]


def read_bundle(path: Path) -> Shared:
    """Read a bundle.

    Raises:
        RefbenchError: it is no bundle, or one of its files is missing, damaged or not what it should be.
    """
    unpacked = bundle.unpack(path)
    missing = [name for name in bundle.FILES if name not in unpacked.files]
    if missing:
        raise DamagedBundleError(path, unpacked.differences)
    files = unpacked.files
    try:
        provenance = Provenance.model_validate_json(files[bundle.PROVENANCE])
        table = json.loads(files[bundle.TABLE])
        suite = files[bundle.SUITE].decode()
        scores = read_parquet(files[bundle.SCORES], bundle.SCORES)
        heads = {name: read_parquet(files[name], name) for name in bundle.OPTIONAL if name in files}
        cells, subjects = (read_csv(files[name], name) for name in (bundle.CELLS, bundle.SUBJECTS))
    except (RefbenchError, ValidationError, ValueError, RecursionError) as error:
        raise DamagedBundleError(path, [*unpacked.differences, " ".join(str(error).split())]) from error
    info = provenance.model_dump(mode="json")
    run = Run(path, info, scores, cells.assign(error=""), subjects.assign(note=""))
    run = replace(run, identification=heads.get(IDENTIFICATION, run.identification), heads=heads.get(HEADS, run.heads))
    return Shared(run, provenance, suite, table, (*unpacked.differences, *_named(run)))


class DamagedBundleError(RefbenchError):
    """A bundle that is not what its manifest says; `differences` tell in what."""

    def __init__(self, path: Path, differences: Sequence[str]) -> None:
        self.differences = tuple(differences)
        super().__init__("\n".join([f"{path} is damaged, or was changed:", *(f"  {text}" for text in differences)]))


def _named(run: Run) -> list[str]:
    """People who stand there by anything but a pseudonym; they are counted and not named."""
    found = []
    tables = {bundle.SCORES: run.scores, bundle.SUBJECTS: run.subjects}
    tables |= {IDENTIFICATION: run.identification, HEADS: run.heads}
    for file, table in tables.items():
        for column in table.columns.intersection(["subject", "session", "gallery"]):
            odd = [name for name in pd.unique(table[column]) if not PSEUDONYM.fullmatch(str(name))]
            if odd:
                found.append(f"{file}: {len(odd)} {column}(s) stand there under what is no pseudonym")
    return found


def is_bundled(run: Run) -> bool:
    """Whether a run was read from a bundle: its people go by pseudonyms, and its `folder` is a file."""
    return "pseudonyms" in run.info


def open_runs(store: Path, names: Sequence[str]) -> list[Run]:
    """Runs by name, by the beginning of a name, by folder, or as bundles; the latest run if no name is given.

    Raises:
        RefbenchError: there is no such run, or a bundle is damaged.
    """
    if not names:
        return [load_run(folder) for folder in find_runs(store, [])]
    return [_bundled(Path(name)) if name.endswith(SUFFIX) else load_run(*find_runs(store, [name])) for name in names]


def _bundled(path: Path) -> Run:
    shared = read_bundle(path)
    if shared.differences:
        raise DamagedBundleError(path, shared.differences)
    return shared.run
