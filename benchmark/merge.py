"""Several runs as one: of other anonymizers, attackers or seeds, perhaps from other machines.

Runs are merged where they tell of the same people, slices and split, and where nothing is called by the same name that
is not the same. A series of scores that several runs hold is taken once if it is equal in all; if it is not, nothing
is merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from refbench.comparable import differing, setting
from refbench.errors import RefbenchError
from refbench.results import Run

SERIES = ["anonymizer", "attacker", "seed", "condition", "region", "metric"]
CELL = ["anonymizer", "attacker", "seed"]

EQUAL = 1e-6
"""Scores no further apart than this are equal: coarser than the rounding of two machines."""


@dataclass(frozen=True)
class Merged:
    """The tables of several runs, everything once.

    Attributes:
        populations: tables of scores. People of two of them cannot be told to be the same, since they go by other
            pseudonyms; where nobody does, it is one table.
        cells, subjects: as of one run.
        notes: what the runs note, and where they disagree on what decides no rank.
    """

    populations: tuple[pd.DataFrame, ...]
    cells: pd.DataFrame
    subjects: pd.DataFrame
    notes: tuple[str, ...]


def merge(runs: Sequence[Run]) -> Merged:
    """Join runs that can be ranked together.

    Raises:
        RefbenchError: they were made on other people, slices or splits, call different things by one name, or disagree
            on a score; the message says in what and by how much.
    """
    for number, run in enumerate(runs):
        for earlier in runs[:number]:
            _comparable(earlier, run)
    populations: dict[str, pd.DataFrame] = {}
    notes = [note for run in runs for note in run.info.get("notes", ())]
    for number, run in enumerate(runs):
        new = run.scores
        for earlier in runs[:number]:
            new = _without(new, _equal_series(earlier, run))
        naming = _naming(run)
        known = populations.get(naming)
        populations[naming] = new if known is None else pd.concat([known, new], ignore_index=True)
    subjects, said = _subjects(runs)
    filled = tuple(scores for scores in populations.values() if len(scores)) or (runs[0].scores,)
    return Merged(filled, _cells(runs), subjects, tuple(dict.fromkeys([*notes, *said])))


def _naming(run: Run) -> str:
    """Which pseudonyms its people go by; empty for the names of the dataset."""
    return str(run.info.get("pseudonyms", ""))


def _comparable(one: Run, other: Run) -> None:
    names = (f"in {one.folder.name}", f"in {other.folder.name}")
    obstacle = differing(setting(one.info), setting(other.info), names) or _renamed(one, other, names)
    if obstacle:
        raise RefbenchError(
            f"{one.folder.name} and {other.folder.name} cannot be ranked together: {obstacle}. "
            "Run both with the same settings and versions, or rank them apart."
        )


def _renamed(one: Run, other: Run, names: tuple[str, str]) -> str:
    """Plug-ins of one label with other parameters or of another version."""
    found = []
    for kind in ("anonymizer", "attacker"):
        first, second = (_identities(run.cells, kind) for run in (one, other))
        both = [label for label in first if label in second]
        told = {f"{kind} {label}": first[label] for label in both}
        found.append(differing(told, {f"{kind} {label}": second[label] for label in both}, names))
    return "; ".join(filter(None, found))


def _identities(cells: pd.DataFrame, kind: str) -> dict[str, dict[str, str]]:
    columns = [name for name in (f"{kind}_params", f"{kind}_version") if name in cells]
    rows = cells.drop_duplicates(kind)[[kind, *columns]].astype(str)
    return {row[kind]: {name: row[name] for name in columns} for _, row in rows.iterrows()}


def _equal_series(one: Run, other: Run) -> pd.DataFrame:
    """The series that both runs have.

    Raises:
        RefbenchError: their scores are not equal.
    """
    shared = one.scores[SERIES].drop_duplicates().merge(other.scores[SERIES].drop_duplicates(), on=SERIES)
    if shared.empty:
        return shared
    people = ["subject", "session"] if _naming(one) == _naming(other) else []
    place = [*SERIES, "site", "slice", *people, "number"]
    first, second = (_numbered(run.scores.merge(shared, on=SERIES), place) for run in (one, other))
    both = first.merge(second, on=place, how="outer", suffixes=("", "_other"))
    apart = (both["value"] - both["value_other"]).abs()
    unequal = both.assign(apart=apart)[(apart > EQUAL) | (both["value"].isna() != both["value_other"].isna())]
    if unequal.empty:
        return shared
    lines = [
        f"  {', '.join(str(part) or 'released' for part in series)}: {_by_how_much(rows['apart'])}"
        for series, rows in unequal.groupby([*CELL, "region", "metric"], sort=False)
    ]
    more = [f"  and {len(lines) - 6} more"] if len(lines) > 6 else []
    raise RefbenchError(
        "\n".join(
            [
                f"{one.folder.name} and {other.folder.name} cannot be ranked together: both have these scores, and "
                "they are not equal (anonymizer, attacker, seed, region, metric):",
                *lines[:6],
                *more,
                "Leave one of the runs out, or train by another seed in one of them.",
            ]
        )
    )


def _numbered(scores: pd.DataFrame, place: list[str]) -> pd.DataFrame:
    """Every score with its number among those of one place: people who cannot be told apart go by their scores."""
    ordered = scores.sort_values("value")
    number = ordered.groupby(place[:-1], sort=False).cumcount()
    return ordered.assign(number=number)[[*place, "value"]]


def _by_how_much(apart: pd.Series[float]) -> str:
    largest = apart.max()
    images = f"{len(apart)} image" + ("s" if len(apart) > 1 else "")
    return f"{images}, by up to {largest:.6f}" if np.isfinite(largest) else f"{images} in one of them only"


def _without(scores: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame:
    marked = scores.merge(series.assign(known=True), on=SERIES, how="left")
    return scores[marked["known"].isna().to_numpy()]


def _cells(runs: Sequence[Run]) -> pd.DataFrame:
    """Every cell once: what failed on one machine may have ended well on another.

    A suite tries every attack on every anonymizer. Between runs an attack may have been tried on some only: it is
    missing from the others, and would flatter them.
    """
    if len(runs) == 1:
        return runs[0].cells
    cells = pd.concat([run.cells for run in runs], ignore_index=True)
    worked = cells.sort_values("status", key=lambda status: status != "ok", kind="stable").drop_duplicates(CELL)
    once = cells.drop_duplicates(CELL)[CELL].merge(worked, on=CELL, how="left")[cells.columns]
    hidden = once.drop_duplicates("anonymizer").filter(regex="^anonymizer")
    attacks = once.drop_duplicates("attacker").filter(regex="^(attacker|seed)")
    tried = set(zip(once["anonymizer"], once["attacker"], strict=True))
    pairs = hidden.merge(attacks, how="cross").assign(status="not tried", error="")
    missing = [pair not in tried for pair in zip(pairs["anonymizer"], pairs["attacker"], strict=True)]
    return pd.concat([once, pairs[missing]], ignore_index=True) if any(missing) else once


def _subjects(runs: Sequence[Run]) -> tuple[pd.DataFrame, list[str]]:
    """What became of everybody, of each anonymizer from the first run that has it."""
    taken: dict[str, tuple[Run, pd.DataFrame]] = {}
    notes = []
    for run in runs:
        for anonymizer, own in run.subjects.groupby("anonymizer", sort=False):
            first, known = taken.setdefault(str(anonymizer), (run, own))
            if not _outcomes(known).equals(_outcomes(own)):
                failed = [f"{int((rows['outcome'] != 'ok').sum())} of {len(rows)} scans" for rows in (known, own)]
                notes.append(
                    f"{anonymizer}: how its scans ended differs: failed on {failed[0]} in {first.folder.name} (shown), "
                    f"on {failed[1]} in {run.folder.name}"
                )
    return pd.concat([own for _, own in taken.values()], ignore_index=True), notes


def _outcomes(subjects: pd.DataFrame) -> pd.Series[int]:
    return subjects.groupby(["site", "part", "outcome"])["subject"].count()
