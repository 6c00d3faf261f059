"""From a run to a bundle that can be given away: scores and provenance, no faces, names, places or attackers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import yaml

from refbench.errors import RefbenchError
from refbench.face_tables import HEAD_COLUMNS, HEADS, IDENTIFICATION, IDENTIFICATION_COLUMNS
from refbench.labels import plugin_name
from refbench.leaderboard import Leaderboard, build_leaderboard, default_view
from refbench.merge import CELL, SERIES
from refbench.render import to_json
from refbench.results import COLUMNS, Run
from refbench.sharing import bundle
from refbench.sharing.provenance import provenance_of
from refbench.sharing.pseudonyms import Pseudonyms, store_pseudonyms
from refbench.sharing.secrets import Secrets, search, secrets_of, texts_of
from refbench.sharing.tables import CELL_COLUMNS, PARQUET, SUBJECT_COLUMNS, parquet_bytes, read_csv, read_parquet
from refbench.sharing.texts import cleaned, cleaned_json, without
from refbench.store import write_bytes
from refbench.yaml_source import YamlSource

STAYED_OUT = (
    "images and reconstructions",
    "trained attackers",
    "names of people, visits and files",
    "messages of what failed, notes on people, and what was measured in their heads",
    "keys of jobs, folders, comments of the suite, names of this machine and its user",
)


@dataclass(frozen=True)
class Exported:
    """A bundle that was written.

    Attributes:
        sizes: of its files, in bytes as packed away. people: how many go by pseudonyms. sha256: of the bundle itself.
        unsearched: names of people that are too short to be searched for in every byte.
    """

    path: Path
    sizes: Mapping[str, int]
    people: int
    sha256: str
    unsearched: int


def shared_board(run: Run) -> Leaderboard:
    """The leaderboard that a bundle holds and its readers recompute: all metrics, every attacker."""
    return build_leaderboard([run], replace(default_view(run), attackers=True))


def export(run: Run, target: Path, store: Path, by: str = "") -> Exported:
    """Write a run's bundle.

    Args:
        run: a finished run with scores.
        target: the file, replaced if it is there.
        store: whose salt makes the pseudonyms.
        by: who made it, if the bundle is to say so.

    Raises:
        RefbenchError: the run has no scores, two of its rows would be called the same, or something secret was found
            in the finished bundle; then nothing is written.
    """
    if run.scores.empty:
        raise RefbenchError(f"{run.folder.name} has no scores to share: see `refbench plan SUITE` for what failed")
    pseudonyms = store_pseudonyms(store)
    secrets = secrets_of(run, store, _public(run, by))
    files = _files(run, pseudonyms, secrets, by)
    _refuse_secrets(files, secrets)
    packed = bundle.pack(files)
    write_bytes(target, packed)
    people = set(run.subjects["subject"])
    unsearched = len(people - secrets.telling)
    sizes = {name: len(content) for name, content in files.items()}
    return Exported(target, sizes, len(people), hashlib.sha256(packed).hexdigest(), unsearched)


def _public(run: Run, by: str) -> set[str]:
    """Words that a bundle says anyway, so that a person who is called like one is no reason to refuse."""
    tables = [run.scores[["metric", "region", "condition"]], run.subjects[["part", "outcome"]]]
    words = {str(word) for table in tables for column in table for word in set(table[column])}
    for kind in ("anonymizer", "attacker"):
        words |= {plugin_name(str(label)) for label in set(run.cells[kind])}
        words |= {str(version) for version in set(run.cells[f"{kind}_version"])}
    keys = {*run.info, *(key for value in run.info.values() if isinstance(value, dict) for key in value)}
    return words | keys | {by, str(run.info.get("suite", "")), *COLUMNS, *CELL_COLUMNS, *SUBJECT_COLUMNS}


def _files(run: Run, pseudonyms: Pseudonyms, secrets: Secrets, by: str) -> dict[str, bytes]:
    shared = _shared(run, pseudonyms, secrets)
    suite = str(run.info.get("suite", run.folder.name))
    name = f"{without(suite, secrets.telling)}-{pseudonyms.of('run', run.folder.name)[:8]}"
    told = provenance_of(run, name, pseudonyms.naming, by, secrets.telling)
    shared = replace(shared, info=told.model_dump(mode="json"))
    about_heads = {IDENTIFICATION: shared.identification, HEADS: shared.heads}
    return {
        bundle.PROVENANCE: told.model_dump_json(indent=1).encode(),
        bundle.SUITE: _suite(run, secrets).encode(),
        bundle.SCORES: parquet_bytes(shared.scores, bundle.SCORES),
        bundle.CELLS: shared.cells.to_csv(index=False).encode(),
        bundle.SUBJECTS: shared.subjects.to_csv(index=False).encode(),
        bundle.TABLE: (to_json(shared_board(shared)) + "\n").encode(),
        **{name: parquet_bytes(table, name) for name, table in about_heads.items() if len(table)},
    }


def _shared(run: Run, pseudonyms: Pseudonyms, secrets: Secrets) -> Run:
    """The tables under pseudonyms, in an order that tells nothing of the names.

    Raises:
        RefbenchError: two rows have the same label once their paths are cut.
    """
    tables = (run.scores, run.cells, run.subjects, run.identification, run.heads)
    scores, cells, subjects, identification, heads = (_labelled(table, secrets) for table in tables)
    if cells.drop_duplicates(CELL).shape != run.cells.drop_duplicates(CELL)[cells.columns].shape:
        raise RefbenchError(
            f"{run.folder.name}: two of its rows would be called the same once paths and names are taken out of their "
            "labels; give their plug-ins titles or parameters that tell them apart"
        )
    scores, subjects, heads = (_renamed(table, pseudonyms) for table in (scores, subjects, heads))
    identification = _renamed(identification, pseudonyms)
    identification["gallery"] = identification["gallery"].map(pseudonyms.subjects(identification["gallery"].unique()))
    scores = scores.sort_values([*SERIES, "site", "subject", "session", "slice"], kind="stable", ignore_index=True)
    subjects = subjects.sort_values(["subject", "session"], kind="stable", ignore_index=True)
    person = ["site", "subject", "session"]
    identification = identification.sort_values(
        [*CELL, "condition", "recognizer", *person, "gallery"], kind="stable", ignore_index=True
    )
    heads = heads.sort_values([*CELL, "condition", "metric", "figure", *person], kind="stable", ignore_index=True)
    columns = [name for name in CELL_COLUMNS if name in cells]
    return replace(
        run,
        scores=scores[COLUMNS],
        cells=cells[columns],
        subjects=subjects[SUBJECT_COLUMNS],
        identification=identification[IDENTIFICATION_COLUMNS],
        heads=heads[HEAD_COLUMNS],
    )


def _labelled(table: pd.DataFrame, secrets: Secrets) -> pd.DataFrame:
    """Labels, parameters and origins of plug-ins without paths and names."""
    table = table.copy()
    for name in table.columns.intersection(["dataset", *(c for c in CELL_COLUMNS if c.partition("_")[0] in CELL)]):
        clean = cleaned_json if name.endswith("_params") else cleaned
        table[name] = table[name].map({value: clean(value, secrets.telling) for value in table[name].unique()})
    return table


def _renamed(table: pd.DataFrame, pseudonyms: Pseudonyms) -> pd.DataFrame:
    people = table[["subject", "session"]].drop_duplicates()
    names = pseudonyms.subjects(people["subject"])
    visits = {(who, visit): pseudonyms.of("session", who, visit) for who, visit in people.itertuples(index=False)}
    session = [visits[pair] for pair in zip(table["subject"], table["session"], strict=True)]
    return table.assign(subject=table["subject"].map(names), session=session)


def _suite(run: Run, secrets: Secrets) -> str:
    """The suite as it was run, without comments, folders, files of this machine, and where its jobs ran."""
    path = run.folder / "suite.yaml"
    try:
        value = YamlSource(path.read_text(encoding="utf-8"), path).data
    except OSError as error:
        raise RefbenchError(f"{path} cannot be read ({error.strerror}); run the suite again") from error
    value.pop("engine", None)  # names machines, accounts and folders, and decides nothing
    return yaml.safe_dump(cleaned(value, secrets.telling), sort_keys=False, allow_unicode=True, width=110)


def _texts(name: str, content: bytes) -> set[str]:
    """Every text of a file that stands alone."""
    if name in PARQUET:
        table = read_parquet(content, name)
    elif name.endswith(".csv"):
        table = read_csv(content, name)
    else:
        return set(texts_of(json.loads(content) if name.endswith(".json") else yaml.safe_load(content)))
    texts = {value for name in table.columns for value in table[name].unique() if isinstance(value, str)}
    params = [text for text in texts if text.startswith("{")]
    return texts | {own for text in params for own in texts_of(json.loads(text))} | set(table.columns)


def _refuse_secrets(files: Mapping[str, bytes], secrets: Secrets) -> None:
    found = search(files, {name: _texts(name, content) for name, content in files.items()}, secrets)
    if found:
        shown = [f"  {hit.where}: {hit.name}" for hit in found[:8]]
        more = [f"  and {len(found) - 8} more"] if len(found) > 8 else []
        raise RefbenchError(
            "\n".join(
                [
                    "nothing was written: the bundle would name people, files or this machine:",
                    *shown,
                    *more,
                    "Take the word out of the suite (its name, description, titles of plug-ins), and run it again.",
                ]
            )
        )
