"""A public leaderboard: plain files made of bundles, each verified, ranked together where they can be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from refbench.checksums import sha256
from refbench.errors import RefbenchError
from refbench.leaderboard import build_leaderboard, default_view
from refbench.report.board import BoardTable, board_table
from refbench.report.page import render_page
from refbench.report.write import write_report
from refbench.results import Run
from refbench.sharing.provenance import Provenance
from refbench.sharing.read import SUFFIX
from refbench.sharing.verify import Verification, verify
from refbench.store import write_bytes, write_text

INDEX, BUNDLES = "index.html", "bundles"


@dataclass(frozen=True)
class Entry:
    """One file of the folder.

    Attributes:
        name: the page and the copy of the bundle are called so. problem: why it could not be read; empty if it could.
    """

    path: Path
    name: str
    sha256: str
    verification: Verification | None
    problem: str = ""

    @property
    def run(self) -> Run | None:
        """Its tables, if all of it is as it says; what is not is shown, and ranked nowhere."""
        good = self.verification is not None and not self.verification.differences
        return self.verification.shared.run if good and self.verification and self.verification.shared else None

    @property
    def provenance(self) -> Provenance | None:
        """What it says of itself, verified or not."""
        shared = self.verification.shared if self.verification else None
        return shared.provenance if shared else None


@dataclass(frozen=True)
class Cell:
    """Where a row of a leaderboard comes from."""

    attacker: str
    seed: int
    status: str
    entry: Entry
    versions: str


@dataclass
class Group:
    """Bundles that are ranked together. `apart`: the reason why not together with an earlier group."""

    entries: list[Entry]
    apart: str = ""
    tables: list[BoardTable] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """Of its bundles."""
        return [entry.run for entry in self.entries if entry.run is not None]

    @property
    def provenance(self) -> Provenance:
        """Of the first of its bundles; of data, slices and split it is everybody's."""
        assert self.entries[0].provenance is not None
        return self.entries[0].provenance

    def cells(self, anonymizer: str) -> list[Cell]:
        """Every attack on an anonymizer, and whose it is."""
        return [
            Cell(
                attacker=str(row["attacker"]),
                seed=int(row["seed"]),
                status=str(row["status"]),
                entry=entry,
                versions=f"{row['anonymizer_version']}, {row['attacker_version']}",
            )
            for entry in self.entries
            if entry.run is not None
            for _, row in entry.run.cells[entry.run.cells["anonymizer"] == anonymizer].iterrows()
        ]


def write_site(folder: Path, out: Path) -> tuple[list[Entry], list[Group]]:
    """Make `index.html`, a page for every bundle, and copies of the bundles, so that readers can verify them.

    Args:
        folder: holds the bundles.
        out: gets the files; what is there under other names stays.

    Raises:
        RefbenchError: there is no bundle, or a file cannot be written.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise RefbenchError(f"{folder}: no bundles ({SUFFIX}) here; make one with `refbench export RUN --out FILE`")
    entries = [_entry(path) for path in paths]
    groups = _groups([entry for entry in entries if entry.run is not None])
    for number, group in enumerate(groups):
        group.tables.extend(_tables(group, number))
    for entry in entries:
        if entry.run is not None:
            write_report(entry.run, out / f"{entry.name}.html", None, home=INDEX)
            write_bytes(out / BUNDLES / f"{entry.name}{SUFFIX}", entry.path.read_bytes())
    write_text(out / INDEX, render_page("site.html", entries=entries, groups=groups, details_id=_details_id))
    return entries, groups


def _entry(path: Path) -> Entry:
    try:
        checksum = sha256(path)
    except OSError as error:
        return Entry(path, "", "", None, f"cannot be read ({error.strerror})")
    plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", path.stem) and path.stem != "index"
    name = path.stem if plain else checksum[:16]
    try:
        return Entry(path, name, checksum, verify(path))
    except RefbenchError as error:
        return Entry(path, name, checksum, None, str(error))


def _groups(entries: Sequence[Entry]) -> list[Group]:
    """Every bundle goes to the first group that it can be ranked together with."""
    groups: list[Group] = []
    for entry in entries:
        reasons = []
        for group in groups:
            try:
                together = Group([*group.entries, entry]).runs
                build_leaderboard(together, default_view(together[0]))
            except RefbenchError as error:
                reasons.append(str(error))
            else:
                group.entries.append(entry)
                break
        else:
            groups.append(Group([entry], "\n".join(reasons)))
    return groups


def _tables(group: Group, number: int) -> list[BoardTable]:
    """A leaderboard for every region that all have, the paper's first; a row opens whose figures it shows."""
    runs = group.runs
    view = default_view(runs[0])
    common = set.intersection(*(set(run.scores["region"]) for run in runs))
    regions = [region for region in dict.fromkeys([view.region, *runs[0].scores["region"]]) if region in common]
    boards = [build_leaderboard(runs, replace(view, region=region, attackers=True)) for region in regions]
    anonymizers = list(dict.fromkeys(boards[0].rows["anonymizer"]))
    details = {anonymizer: _details_id(number, place) for place, anonymizer in enumerate(anonymizers)}
    return [board_table(board, details) for board in boards]


def _details_id(group: int, anonymizer: int) -> str:
    return f"cells-{group}-{anonymizer}"
