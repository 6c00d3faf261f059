"""Finding scans in a folder, and the table that says who they are."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from refbench.datasets.base import Scan
from refbench.errors import DataError

EMPTY_CELLS = ("", "n/a")  # the second is how BIDS writes a missing value

Row = dict[str, str]


def find_files(folder: Path, glob: str) -> list[Path]:
    """Files below a folder that fit, as absolute paths in order of their names; hidden ones are left out.

    Raises:
        DataError: no such folder, a pattern that leaves it, no file that fits, or a link to a file that is not there.
    """
    folder = folder.expanduser().absolute()  # not resolved: data managers link to files that are named by their hash
    check_folder(folder)
    if Path(glob).is_absolute() or ".." in Path(glob).parts:
        raise DataError(f"{folder}: `{glob}` leaves the folder. Give a `glob` without a leading `/` and without `..`.")
    found = (path for path in folder.glob(glob) if not path.is_dir() and not path.name.startswith("."))
    files = sorted(found, key=lambda path: path.relative_to(folder).as_posix())
    if not files:
        raise DataError(f"{folder}: no file fits `{glob}`. Correct `path` or `glob` (`**/` looks into subfolders).")
    for file in files:
        check_fetched(file)
    return files


def check_folder(folder: Path) -> None:
    """Raise DataError if there is no such folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Correct `path`; a relative one starts at the current folder.")


def check_fetched(file: Path) -> None:
    """Raise DataError if a file that was found is a link to one that is not there."""
    if not file.exists():
        raise DataError(f"{file}: links to a file that is not there. Fetch it (`datalad get`), or remove the link.")


def groups_of(pattern: str) -> set[str]:
    """Names of a regular expression's groups.

    Raises:
        ValueError: it is no regular expression.
    """
    try:
        return set(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error


def name_without_extension(file: Path) -> str:
    """`head.nii.gz` and `head.nii` are both `head`."""
    return file.name.removesuffix(".gz").removesuffix(".nii")


def _are_both(one: Scan, other: Scan) -> str:
    return (
        f"{one.files[0]} and {other.files[0]} are both session {one.session} of subject {one.subject}. "
        "Tell them apart by `pattern` or `csv`, or take one away."
    )


def usable(scans: Sequence[Scan], are_both: Callable[[Scan, Scan], str] = _are_both) -> list[Scan]:
    """The scans, except that those of the same session of the same subject become one with a problem.

    Args:
        scans: at least one.
        are_both: says, of two scans, that they are of one session, and what to do.

    Raises:
        DataError: every scan has a problem: then it is the table or the folder that must be mended.
    """
    same: dict[tuple[str, str], list[Scan]] = {}
    for scan in scans:
        same.setdefault((scan.subject, scan.session), []).append(scan)
    distinct = [first if not others else _merged(first, others, are_both) for first, *others in same.values()]
    if all(scan.problem for scan in distinct):
        more = f" The other {len(distinct) - 1} scan(s) cannot be used either." if distinct[1:] else ""
        raise DataError(f"{distinct[0].problem}{more}")
    return distinct


def _merged(first: Scan, others: Sequence[Scan], are_both: Callable[[Scan, Scan], str]) -> Scan:
    files = (file for scan in (first, *others) for file in scan.files)
    return replace(first, files=tuple(files), problem=are_both(first, others[0]))


def read_table(path: Path, keys: Sequence[str]) -> list[Row]:
    """Rows of a comma-separated file (`.tsv`: tab-separated), blanks trimmed, empty cells left out.

    Args:
        path: a text file in UTF-8 whose first line names the columns, in any order and case.
        keys: columns of which the table must have at least one.

    Raises:
        DataError: the file is missing, is no such text, or lacks the columns.
    """
    path = path.expanduser().absolute()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Correct `csv`.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a comma-separated text in UTF-8 ({error}). Export the table again.") from error
    columns = [name.strip().lower() for name in lines[0]] if lines else []
    if not set(keys) & set(columns):
        wanted, got = " or ".join(f"`{key}`" for key in keys), ", ".join(columns) or "none"
        raise DataError(f"{path}: no column {wanted}; its columns are: {got}. Name the columns in the first line.")
    rows = []
    for line in lines[1:]:
        cells = zip(columns, (cell.strip() for cell in line), strict=False)
        rows.append({column: cell for column, cell in cells if cell.lower() not in EMPTY_CELLS})
    return [row for row in rows if row]


def facts(row: Row, table: Path) -> dict[str, str | float]:
    """Age (years) and sex of a row, where it has them.

    Raises:
        DataError: an age that is no number.
    """
    known: dict[str, str | float] = {}
    if "age" in row:
        try:
            known["age"] = float(row["age"])
        except ValueError as error:
            raise DataError(
                f"{table}: the age `{row['age']}` is not a number of years. Correct or empty it."
            ) from error
    if "sex" in row:
        known["sex"] = row["sex"]
    return known
