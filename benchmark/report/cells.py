"""What a row of the leaderboard opens: every attacker and seed, how it ended, what it gained and what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from refbench.attack_names import attack_names
from refbench.differences import Difference, Differences
from refbench.leaderboard import Leaderboard
from refbench.render_differences import difference_text, p_text, verdict
from refbench.report.board import BoardRow, BoardTable
from refbench.results import Run


@dataclass(frozen=True)
class Gain:
    """What an attack gains over no attack, over all its seeds."""

    text: str
    value: float
    p: str
    verdict: str

    @classmethod
    def of(cls, one: Difference) -> Gain:
        """As the command `differences` prints it."""
        return cls(difference_text(one.overall), one.overall.value, p_text(one.holm), verdict(one))


@dataclass(frozen=True)
class Pair:
    """Two anonymizers, each under its strongest attack."""

    less: str
    more: str
    value: float
    text: str
    people: int
    p: str
    apart: bool


@dataclass(frozen=True)
class Cell:
    """One attacker and seed on one anonymizer; `seconds` and `memory_mb` of its training, NaN where it has none."""

    row: BoardRow
    seed: int
    status: str
    error: str
    gain: Gain | None
    seconds: float
    memory_mb: float
    device: str
    version: str

    @property
    def time(self) -> str:
        """Of its training."""
        return duration(self.seconds)


@dataclass(frozen=True)
class CellTable:
    """The cells of one anonymizer with their figures in one region."""

    table: BoardTable
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Opened:
    """All that a row opens. `id`: of the page's template; `params`: as the suite gave them."""

    id: str
    anonymizer: str
    params: str
    version: str
    outcomes: str
    regions: tuple[CellTable, ...]


def details_ids(board: Leaderboard) -> dict[str, str]:
    """Anonymizer to the id of the template that its rows open."""
    anonymizers = dict.fromkeys(board.rows["anonymizer"])
    return {anonymizer: f"details-{place}" for place, anonymizer in enumerate(anonymizers, start=1)}


def opened_rows(
    run: Run, boards: Sequence[Leaderboard], tables: Sequence[BoardTable], differences: Sequence[Differences]
) -> list[Opened]:
    """One for each anonymizer, in the order of the first board.

    Args:
        run: its cells and subjects.
        boards: one for each region, with a row for every attack.
        tables: the same, laid out.
        differences: of the same regions.
    """
    gains = [{(one.more.anonymizer, one.more.attacker): Gain.of(one) for one in found.attacks} for found in differences]
    opened = []
    for anonymizer, name in details_ids(boards[0]).items():
        own = run.cells[run.cells["anonymizer"] == anonymizer]
        first = own.iloc[0]
        subjects = run.subjects[run.subjects["anonymizer"] == anonymizer]
        counts = subjects["outcome"].value_counts()
        opened.append(
            Opened(
                id=name,
                anonymizer=anonymizer,
                params=_params(str(first.get("anonymizer_params", "{}"))),
                version=f"{first.get('anonymizer_origin', '')} {first.get('anonymizer_version', '')}".strip(),
                outcomes=", ".join(f"{count} {outcome}" for outcome, count in counts.items()),
                regions=tuple(
                    _cell_table(board, table, own, gain)
                    for board, table, gain in zip(boards, tables, gains, strict=True)
                ),
            )
        )
    return opened


def pairs(found: Differences) -> list[Pair]:
    """The differences between anonymizers."""
    names = attack_names(found.board)
    return [
        Pair(
            less=f"{one.less.anonymizer} ({names[one.less.attacker]})",
            more=f"{one.more.anonymizer} ({names[one.more.attacker]})",
            value=one.overall.value,
            text=difference_text(one.overall),
            people=one.people,
            p=p_text(one.holm),
            apart=one.apart,
        )
        for one in found.anonymizers
    ]


def duration(seconds: float) -> str:
    """A training's time in a unit that fits."""
    if not math.isfinite(seconds):
        return "–"
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _cell_table(
    board: Leaderboard, table: BoardTable, cells: pd.DataFrame, gains: dict[tuple[str, str], Gain]
) -> CellTable:
    found = {(cell["attacker"], int(cell["seed"])): cell for _, cell in cells.iterrows()}
    anonymizer = cells["anonymizer"].iloc[0]
    rows = [
        (row, int(seed))
        for row, seed in zip(table.rows, board.rows["seed"], strict=True)
        if row.anonymizer == anonymizer
    ]
    return CellTable(
        table,
        tuple(_cell(row, seed, found[row.attacker, seed], gains.get((anonymizer, row.attacker))) for row, seed in rows),
    )


def _cell(row: BoardRow, seed: int, cell: pd.Series[Any], gain: Gain | None) -> Cell:
    return Cell(
        row=row,
        seed=seed,
        status=cell["status"],
        error=str(cell["error"]),
        gain=gain,
        seconds=_number(cell.get("train_seconds")),
        memory_mb=_number(cell.get("train_memory_mb")),
        device=str(cell.get("device", "")),
        version=f"{cell.get('attacker_origin', '')} {cell.get('attacker_version', '')}".strip(),
    )


def _number(value: Any) -> float:
    """Of a table in which an empty field is text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _params(text: str) -> str:
    return ", ".join(f"{name}: {json.dumps(value)}" for name, value in json.loads(text).items())
