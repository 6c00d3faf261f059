"""Ages and sexes of IXI's people, from the project's own spreadsheet or from a table like it."""

from __future__ import annotations

import re
from pathlib import Path

from refbench.datasets.files import EMPTY_CELLS, Row, facts, read_table
from refbench.errors import DataError

People = dict[str, dict[str, str | float]]

IDS = ("id", "ixi_id")  # of a table that was made, and of the project's own
ID = re.compile(r"IXI(?P<padded>\d{3})(-.*)?|(?P<number>\d{1,3})(\.0)?")
SEX_ID = "sex_id (1=m, 2=f)"
SEXES = {"1": "M", "1.0": "M", "2": "F", "2.0": "F"}


def read_people(table: Path) -> People:
    """Age (years) and sex by subject (`IXI013`), where the table has them.

    Columns are `id`, `age` and `sex`, or the spreadsheet's own `IXI_ID`, `AGE` and `SEX_ID (1=m, 2=f)`. An id is a
    number (13), a subject (IXI013) or a whole name (IXI013-HH-1212). Several rows of one person complete each other;
    what they contradict each other in is left out. People without a scan are no harm.

    Args:
        table: comma-separated (`.csv`), tab-separated (`.tsv`) or an old Excel file (`.xls`, as IXI is published).

    Raises:
        DataError: the table cannot be read, lacks the columns, or holds an age that is no number.
    """
    rows = _read_spreadsheet(table) if table.suffix.lower() == ".xls" else read_table(table, IDS)
    told: dict[str, list[dict[str, str | float]]] = {}
    for row in rows:
        match = ID.fullmatch(row.get("id", row.get("ixi_id", "")))
        if match:
            subject = f"IXI{int(match['padded'] or match['number']):03d}"
            told.setdefault(subject, []).append(facts(_in_our_words(row), table))
    return {subject: _agreed(versions) for subject, versions in told.items()}


def _in_our_words(row: Row) -> Row:
    sex = SEXES.get(row.get(SEX_ID, ""))
    return row | {"sex": sex} if sex else row


def _agreed(versions: list[dict[str, str | float]]) -> dict[str, str | float]:
    """What all rows of one person that say anything about it say alike."""
    said: dict[str, set[str | float]] = {}
    for version in versions:
        for key, value in version.items():
            said.setdefault(key, set()).add(value)
    return {key: values.pop() for key, values in said.items() if len(values) == 1}


def _read_spreadsheet(table: Path) -> list[Row]:
    import pandas as pd

    try:
        frame = pd.read_excel(table, dtype=str, engine="calamine").fillna("")
    except OSError as error:
        raise DataError(f"{table}: cannot be read ({error.strerror}). Correct `csv`.") from error
    except Exception as error:  # the reader of this old format fails in many ways on a damaged file
        raise DataError(
            f"{table}: not a readable .xls file ({error}). Download it again, or export it as .csv."
        ) from error
    columns = [str(name).strip().lower() for name in frame.columns]
    if not set(IDS) & set(columns):
        raise DataError(f"{table}: no column `IXI_ID`; its columns are: {', '.join(columns)}. Download it again.")
    rows = [zip(columns, (cell.strip() for cell in line), strict=True) for line in frame.to_numpy().tolist()]
    return [{name: cell for name, cell in row if cell.lower() not in EMPTY_CELLS} for row in rows]
