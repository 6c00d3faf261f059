"""A split that somebody wrote down: a table of who is in which part."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import get_args

from refbench.datasets.files import read_table
from refbench.errors import DataError
from refbench.split_options import Part

PARTS: dict[str, Part] = {part: part for part in get_args(Part)}


def read_parts(table: Path, subjects: Collection[str]) -> dict[str, Part]:
    """Subject to part, for those whom the table gives one.

    Args:
        table: comma-separated with columns `subject` and `part` (tab-separated if a `.tsv`); others are passed over.
        subjects: everybody there is.

    Raises:
        DataError: the table cannot be read, lacks a column, names somebody unknown, an unknown part, or two parts for
            one person; the message names the row.
    """
    rows = read_table(table, ("subject",))
    if not any("part" in row for row in rows):
        raise DataError(
            f"{table}: no row has a `part`. Name that column in the first line, and say who trains and tests."
        )
    said: dict[str, str] = {}
    for row in rows:
        subject, part = row.get("subject", ""), row.get("part", "")
        written = f"{table}: the row of subject `{subject}` and part `{part}`"
        if subject not in subjects:
            raise DataError(f"{written}: the dataset has no such subject. Correct the name, or take the row out.")
        if part and part not in PARTS:
            raise DataError(f"{written}: a part is {', '.join(PARTS)}, or empty for who is left out. Correct it.")
        if said.setdefault(subject, part) != part:
            raise DataError(
                f"{written}: an earlier row puts the same person in `{said[subject]}`. Take one of them out."
            )
    return {subject: PARTS[part] for subject, part in said.items() if part}
