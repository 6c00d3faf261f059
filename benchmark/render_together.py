"""What several probes of one person give away: for the terminal, as CSV, Markdown or JSON."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from refbench import render_identification
from refbench.face_columns import FaceFigures
from refbench.labels import NOTHING_HIDDEN
from refbench.render_identification import HEADERS, attack_text, figure_text, to_csv
from refbench.together import ALSO, FIGURES
from refbench.trials import SERIES

__all__ = ["show", "to_csv", "to_json", "to_markdown"]

ABOUT = ("anonymizer", "attack", "given together")
MEASURED = tuple(f"{HEADERS[figure]} {of}" for figure in FIGURES for of in ("alone", "together"))


def to_json(figures: pd.DataFrame) -> str:
    """All columns, unrounded; undefined figures are null."""
    return render_identification.to_json(figures, FaceFigures(notes=tuple(captions(figures))))


def to_markdown(figures: pd.DataFrame) -> str:
    """A table with the interval of every figure."""
    headers = [*ABOUT, *(f"{header} [95 %]" for header in MEASURED)]
    lines = [[*_about(row), *_measured(row, intervals=True)] for _, row in figures.iterrows()]
    table = ["| " + " | ".join(line) + " |" for line in [headers, *lines]]
    return "\n".join([table[0], "|" + "---|" * len(headers), *table[1:], "", *captions(figures)])


def show(figures: pd.DataFrame, console: Console) -> None:
    """Print the table; intervals are in CSV, Markdown and JSON."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", show_edge=False)
    for name in ABOUT:
        table.add_column(f"\n{name}", overflow="fold")
    for header in MEASURED:
        table.add_column("\n".join(header.rsplit(" ", 1)), justify="right", no_wrap=True)
    for _, row in figures.iterrows():
        table.add_row(*map(Text, (*_about(row), *_measured(row, intervals=False))))
    if not console.is_terminal:
        console = Console(file=console.file, width=200, no_color=True)
    console.print(Group(table, *(Text(line, style="dim") for line in captions(figures))), highlight=False)


def captions(figures: pd.DataFrame) -> list[str]:
    """What must be known to read the table."""
    lines = [
        "together: the log likelihood ratios of all that is held of a person, added. Visits of one person, and "
        "releases of one scan, are not independent, so the sum is no calibrated ratio: only the order of faces counts.",
        "alone: the best of them by itself, chosen on these people, so what is gained looks rather too small. "
        "A weak probe beside a strong one can make the sum worse.",
        "Two releases: as they are, and after the strongest attack on each; each by its strongest recognizer. Left "
        f"out: `{NOTHING_HIDDEN}`, beside which nothing is hidden.",
    ]
    if not (figures["held"] == "visits").any():
        lines.append("Nobody is looked for by more than one visit: what several visits give away is not known.")
    return lines


def _about(row: pd.Series[Any]) -> tuple[str, str, str]:
    if row["held"] == "visits":
        return row["anonymizer"], attack_text(row), f"{row['probes']} visits ({row['people']} people)"
    also = row[ALSO].set_axis(SERIES)
    return row["anonymizer"], attack_text(row), f"{also['anonymizer']}, {attack_text(also)}"


def _measured(row: pd.Series[Any], *, intervals: bool) -> list[str]:
    """Alone and together, figure by figure."""
    ends = [f"{figure}{end}" for figure in FIGURES for end in ("", "_low", "_high")]
    alone = row[[f"single_{name}" for name in ends]].set_axis(ends)
    return [figure_text(own, figure, intervals) for figure in FIGURES for own in (alone, row)]
