"""The tables of a run that are about whole heads: who was taken for whom, and what each head came to.

    identification.parquet   one row per probe x face of the gallery x recognizer x condition
    heads.parquet            one row per head x figure of a head metric x condition

A run whose suite names no recognizer, or no head metric, has no such file.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from refbench.store import write_atomically

IDENTIFICATION, HEADS = "identification.parquet", "heads.parquet"

CONDITION_COLUMNS = ["subject", "session", "site", "anonymizer", "attacker", "seed", "condition"]
"""Whose head, and what became of it, as in the table of scores: `anonymized` has no attacker and seed 0."""

IDENTIFICATION_COLUMNS = [*CONDITION_COLUMNS, "recognizer", "gallery", "moved", "similarity"]
"""`gallery`: the person whose original the probe was held against. `moved`: whether the probe is of the same scan,
tilted and turned, as there is no other of this person. `similarity`: natural logarithm of a likelihood ratio,
calibrated on training people; NaN where no face could be placed."""

HEAD_COLUMNS = [*CONDITION_COLUMNS, "metric", "figure", "value"]


def read_identification(folder: Path) -> pd.DataFrame:
    """The table of a run's folder; without rows where it has none."""
    return _read(folder / IDENTIFICATION, IDENTIFICATION_COLUMNS)


def read_heads(folder: Path) -> pd.DataFrame:
    """The table of a run's folder; without rows where it has none."""
    return _read(folder / HEADS, HEAD_COLUMNS)


def write_face_tables(folder: Path, identification: pd.DataFrame, heads: pd.DataFrame) -> None:
    """Write those that have rows; of an earlier execution none is left that has none now."""
    for name, table in ((IDENTIFICATION, identification), (HEADS, heads)):
        if len(table):
            write_atomically(folder / name, table.to_parquet(index=False))
        else:
            (folder / name).unlink(missing_ok=True)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    return pd.read_parquet(path) if path.exists() else pd.DataFrame(columns=columns)
