"""A leaderboard as a table of a page: the figures are those of `build_leaderboard`, and nothing is computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from refbench.attack_names import names_with_seeds
from refbench.face_columns import RANK1, figure_text, head_column, rank1_text
from refbench.head_figures import Named, headlines
from refbench.leaderboard import Leaderboard, read
from refbench.render import failed_text, has_trouble, interval_text, rank_text, recovery_of, shown
from refbench.render_controls import CONTROL_HEADS, lines
from refbench.report.bars import Scale, interval_bar
from refbench.verdicts import RECOVERY

RECOVERED, FACES, HEADS = "recovered", "recognised", "heads"
"""Above the columns of recovery, of who is recognised, and of figures of heads."""


@dataclass(frozen=True)
class Heading:
    """The head of a column; `metric` is empty for what belongs to no metric."""

    text: str
    about: str
    metric: str = ""


@dataclass(frozen=True)
class Figure:
    """One number of a row.

    Attributes:
        value: unrounded; NaN where it is undefined. before: what was released, where both stand in one cell.
        written: both as text, value and before; empty: as scores are.
        interval: as text, with its bounds; empty where there is none. bar: the same, drawn (`Markup`).
    """

    metric: str
    value: float
    before: float | None = None
    interval: str = ""
    bar: str = ""
    written: tuple[str, str] = ("", "")

    @property
    def text(self) -> str:
        """As the command `leaderboard` prints it."""
        return self.written[0] or shown(self.value)

    @property
    def before_text(self) -> str:
        """What was released, in the same way."""
        return "" if self.before is None else self.written[1] or shown(self.before)


@dataclass(frozen=True)
class BoardRow:
    """An anonymizer under one attack.

    Attributes:
        order: the rank as a number, None where it has none.
        sense: why it is shown beside the attack that ranks. untrusted: why it must not be believed.
        unranked: why the anonymizer has no rank. Both are empty where there is nothing to say.
    """

    rank: str
    order: int | None
    anonymizer: str
    attacker: str
    attack: str
    strongest: bool
    sense: str
    figures: tuple[Figure, ...]
    failed: str
    failed_count: int
    unranked: str
    untrusted: str
    details: str


@dataclass(frozen=True)
class BoardTable:
    """What the macro `leaderboard` draws; one of a page's tables, for one region.

    Attributes:
        controls: what the macro of this name draws: every attacker, and what each control came to. control_heads: of
            their columns.
    """

    region: str
    by: str
    subjects: int
    headings: tuple[Heading, ...]
    metrics: tuple[tuple[str, int], ...]
    rows: tuple[BoardRow, ...]
    trouble: bool
    notes: tuple[str, ...]
    controls: tuple[list[str], ...]
    control_heads: tuple[str, ...] = CONTROL_HEADS

    @property
    def scored(self) -> tuple[str, ...]:
        """Metrics of slices: those that have a figure of every person."""
        return tuple(metric for metric, _ in self.metrics if metric not in (RECOVERED, FACES, HEADS))

    @property
    def anonymizers(self) -> tuple[str, ...]:
        """In the order of the rows."""
        return tuple(dict.fromkeys(row.anonymizer for row in self.rows))

    @property
    def attackers(self) -> dict[str, str]:
        """Label to name."""
        return {row.attacker: row.attack.partition(" seed ")[0] for row in self.rows}


def board_table(board: Leaderboard, details: Mapping[str, str] | None = None) -> BoardTable:
    """Lay a leaderboard out.

    Args:
        board: rows of every attack (`View.attackers`), or of the strongest only.
        details: anonymizer to the id of the page's template that a row opens; None: rows do not open.
    """
    details = details or {}
    region, names = board.view.region, names_with_seeds(board)
    headings, metrics = [], []
    if RECOVERY in board.rows:
        about = "share of the way from the best of no attack and the baselines to the original that the attack goes"
        headings.append(Heading("[95 %]", about, RECOVERED))
        metrics.append((RECOVERED, 1))
    for metric in board.metrics:
        own = _headings(board, metric)
        headings += own
        metrics.append((metric, len(own)))
    heads = headlines(board.faces.figures)
    for group, own in _face_headings(board, heads).items():
        headings += own
        metrics.append((group, len(own)))
    scales = {metric: _scale(board, metric) for metric in board.metrics}
    first = ~board.rows.duplicated("anonymizer").to_numpy()
    senses = board.rows.get("strongest_by", pd.Series("", board.rows.index))
    strongest = first | (senses != "").to_numpy()
    rows = tuple(
        BoardRow(
            rank=rank_text(board, row),
            order=None if pd.isna(row["rank"]) else int(row["rank"]),
            anonymizer=row["anonymizer"],
            attacker=row["attacker"],
            attack=names[row["attacker"], row["seed"]],
            strongest=bool(strongest[number]),
            sense=f"strongest by {senses.iloc[number]}" if strongest[number] and not first[number] else "",
            figures=(
                *([Figure(RECOVERED, float(row[RECOVERY]), written=(recovery_of(row), ""))] if RECOVERY in row else ()),
                *(figure for metric in board.metrics for figure in _figures(board, row, metric, scales[metric])),
                *_face_figures(board, row, heads),
            ),
            failed=failed_text(row),
            failed_count=int(row["failed"]),
            unranked=row["unranked"],
            untrusted=row["untrusted"],
            details=details.get(row["anonymizer"], ""),
        )
        for number, (_, row) in enumerate(board.rows.iterrows())
    )
    return BoardTable(
        region=region,
        by=board.view.by,
        subjects=int(board.rows["subjects"].max()),
        headings=tuple(headings),
        metrics=tuple(metrics),
        rows=rows,
        trouble=has_trouble(board),
        notes=board.notes,
        controls=tuple(lines(board)),
    )


def _headings(board: Leaderboard, metric: str) -> list[Heading]:
    where = f"{metric} in {board.view.region}"
    whom = "everybody" if board.compared_sites else board.sites[0]
    return [
        Heading("released", f"{where} of what was released, {whom}", metric),
        Heading("reconstructed [95 %]", f"{where} of what the attack gives back, {whom}", metric),
        *(
            Heading(site, f"{where}, people of {site}: reconstructed over released", metric)
            for site in board.compared_sites
        ),
        *(
            Heading(f"in {region}", f"{metric} in {region}, {whom}: reconstructed over released", metric)
            for region in board.regions[1:]
        ),
    ]


def _figures(board: Leaderboard, row: pd.Series[Any], metric: str, scale: Scale) -> list[Figure]:
    own = board.view.region
    released, rebuilt = (read(row, condition, metric, own, "all") for condition in ("anonymized", "reconstructed"))
    low, high = (read(row, "reconstructed", metric, own, f"all_{end}") for end in ("low", "high"))
    places = [*((own, site) for site in board.compared_sites), *((region, "all") for region in board.regions[1:])]
    return [
        Figure(metric, released),
        Figure(metric, rebuilt, None, interval_text(low, high), interval_bar(scale, rebuilt, low, high, released)),
        *(
            Figure(
                metric,
                read(row, "reconstructed", metric, region, site),
                read(row, "anonymized", metric, region, site),
            )
            for region, site in places
        ),
    ]


def _face_headings(board: Leaderboard, heads: Sequence[Named]) -> dict[str, list[Heading]]:
    """Of who is recognised, and of heads, by the name that stands above them."""
    recognized, measured = [], []
    if board.faces.recognized:
        about = "share of people found first by the strongest recognizer: reconstructed over released"
        recognized.append(Heading("rank-1 [95 %]", about, FACES))
    for metric, figure in heads:
        about = f"{figure} of {metric}, mean over people: reconstructed over released"
        measured.append(Heading(figure.replace("_", " "), about, HEADS))
    return {group: own for group, own in ((FACES, recognized), (HEADS, measured)) if own}


def _face_figures(board: Leaderboard, row: pd.Series[Any], heads: Sequence[Named]) -> list[Figure]:
    after, before = "reconstructed", "anonymized"
    found = []
    if board.faces.recognized:
        now, then = (float(row[f"{condition}_{RANK1}"]) for condition in (after, before))
        found.append(Figure(FACES, now, then, written=(rank1_text(row, after), rank1_text(row, before))))
    for named in heads:
        now, then = (float(row[head_column(condition, *named)]) for condition in (after, before))
        found.append(Figure(HEADS, now, then, written=(figure_text(now), figure_text(then))))
    return found


def _scale(board: Leaderboard, metric: str) -> Scale:
    names = (
        ("anonymized", "all"),
        ("reconstructed", "all"),
        ("reconstructed", "all_low"),
        ("reconstructed", "all_high"),
    )
    return Scale.around(
        [
            read(row, condition, metric, board.view.region, site)
            for _, row in board.rows.iterrows()
            for condition, site in names
        ]
    )
