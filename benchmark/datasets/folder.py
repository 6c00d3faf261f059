"""Heads that lie in a folder."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pydantic import field_validator

from refbench.datasets.base import Dataset, Scan
from refbench.datasets.files import (
    Row,
    facts,
    find_files,
    groups_of,
    name_without_extension,
    read_table,
    usable,
)
from refbench.errors import DataError
from refbench.plugin import param
from refbench.types import Head

GROUPS = {"subject", "session", "site"}


class Folder(Dataset):
    """NIfTI files in a folder; names or a table say who they are.

    Without a pattern each file is a subject of its own, named as the file, at one site called `site`. With one, its
    groups say what they match; for a BIDS folder

        glob: "**/*_T1w.nii.gz"
        pattern: "sub-(?P<subject>[^_/]+)_(ses-(?P<session>[^_/]+)_)?.*T1w"

    The table overrides what names say. Its rows are found by `file` (path below the folder, or the bare name) or by
    `subject` (and by `session` too, if it has that column); other columns are `site`, `age` (years) and `sex`, and
    with `file` also `subject` and `session`. Every file needs a row, so that a person never silently lands at the
    wrong site: a file without one is excluded. People of the table who have no file are passed over, files it names
    must be there.

    Relative paths start at the folder of the suite file, or in Python at the current folder.
    """

    path: Path = param(..., "folder that holds the scans")
    glob: str = param("*.nii*", "which files are scans; `**/` looks into subfolders", min_length=1)
    pattern: str | None = param(
        None, "regular expression with groups `subject`, `session`, `site`, searched in the path below the folder"
    )
    csv: Path | None = param(
        None, "table of who the scans are: `file` or `subject`, and `site`, `session`, `age`, `sex`"
    )

    @field_validator("pattern")
    @classmethod
    def _names_a_subject(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        groups = groups_of(pattern)
        if "subject" not in groups or groups - GROUPS:
            raise ValueError(
                "must have a group (?P<subject>...), may have `session` and `site`, and no other named one"
            )
        return pattern

    def scans(self) -> list[Scan]:
        """One scan per file, in order of the paths below the folder.

        Raises:
            DataError: missing folder or table, no file that fits, or that can be used, or a file that the pattern
                does not cover.
        """
        folder = self.path.expanduser().absolute()
        scans = [self._from_name(file, folder) for file in find_files(folder, self.glob)]
        if self.csv is not None:
            scans = _with_table(scans, folder, self.csv)
        return usable(scans)

    def load(self, scan: Scan) -> Head:
        """Read the file; see `refbench.datasets.nifti.read_head`."""
        from refbench.datasets.nifti import read_head

        return read_head(scan.files[0], subject=scan.subject, session=scan.session, site=scan.site)

    def _from_name(self, file: Path, folder: Path) -> Scan:
        if self.pattern is None:
            return Scan(subject=name_without_extension(file), site="site", files=(file,))
        match = re.search(self.pattern, file.relative_to(folder).as_posix())
        if match is None or not match["subject"]:
            raise DataError(f"{file}: `pattern` finds no subject in its name. Widen `pattern`, or narrow `glob`.")
        named = {"site": "site", "session": "1"} | {group: text for group, text in match.groupdict().items() if text}
        return Scan(named["subject"], named["site"], named["session"], files=(file,))


def _with_table(scans: list[Scan], folder: Path, table: Path) -> list[Scan]:
    """Let the table's rows override what names say."""
    rows = read_table(table, ("file", "subject"))
    columns = {column for row in rows for column in row}
    if "file" in columns:
        row_of = _by(("file",), rows, table)
        for name in (name for (name,) in row_of):
            if not (folder / name).is_file() and name not in {scan.files[0].name for scan in scans}:
                raise DataError(f"{table}: names the file {name}, which is not in {folder}. Correct the row.")
        found = [row_of.get((_below(scan, folder),)) or row_of.get((scan.files[0].name,)) for scan in scans]
    elif "session" in columns:
        row_of = _by(("subject", "session"), rows, table)
        found = [row_of.get((scan.subject, scan.session)) for scan in scans]
    else:
        row_of = _by(("subject",), rows, table)
        found = [row_of.get((scan.subject,)) for scan in scans]
    return [_override(scan, row, table) for scan, row in zip(scans, found, strict=True)]


def _by(columns: tuple[str, ...], rows: list[Row], table: Path) -> dict[tuple[str, ...], Row]:
    """Rows by what they are about, which each must say, and no two alike."""
    row_of: dict[tuple[str, ...], Row] = {}
    for row in rows:
        lacking = [column for column in columns if column not in row]
        if lacking:
            raise DataError(f"{table}: the row {row} has no {lacking[0]}. Complete it or take it out.")
        key = tuple(row[column] for column in columns)
        if key in row_of:
            raise DataError(f"{table}: two rows for {', '.join(columns)} {', '.join(key)}. Take one out.")
        row_of[key] = row
    return row_of


def _below(scan: Scan, folder: Path) -> str:
    return scan.files[0].relative_to(folder).as_posix()


def _override(scan: Scan, row: Row | None, table: Path) -> Scan:
    if row is None:
        who = f"subject {scan.subject}, session {scan.session}"
        return replace(scan, problem=f"{table}: no row for {scan.files[0]} ({who}). Add it, or narrow `glob`.")
    return replace(
        scan,
        subject=row.get("subject", scan.subject),
        site=row.get("site", scan.site),
        session=row.get("session", scan.session),
        facts=facts(row, table),
    )
