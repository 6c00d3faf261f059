"""Who can be recognised, recognizer by recognizer: for the terminal, as CSV, Markdown or JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from refbench.face_columns import FaceFigures, percent
from refbench.identification import FIGURES, RANKS, RATES
from refbench.results import NO_ATTACK
from refbench.trials import SERIES

SHARES = (*RANKS, "eer", *RATES)
"""Figures that are shares of people or pairs; of the others, areas, D_sys are 0-1 and the costs bits."""

HEADERS = {
    "rank1": "rank-1",
    "rank5": "rank-5",
    "auc": "AUC",
    "eer": "EER",
    "tpr_1": "TPR at FPR 1 %",
    "tpr_01": "TPR at FPR 0.1 %",
    "d_sys": "D_sys",
    "cllr_min": "Cllr min",
    "cllr": "Cllr",
}


def to_csv(figures: pd.DataFrame) -> str:
    """All columns, unrounded."""
    return figures.to_csv(index=False)


def to_json(figures: pd.DataFrame, faces: FaceFigures) -> str:
    """All columns, unrounded; undefined figures are null."""
    rows = [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in figures.to_dict("records")
    ]
    return json.dumps({"notes": list(faces.notes), "rows": rows}, indent=1)


def to_markdown(figures: pd.DataFrame, faces: FaceFigures) -> str:
    """A table with the interval of every figure."""
    headers = ["anonymizer", "attack", "recognizer", *(f"{HEADERS[figure]} [95 %]" for figure in FIGURES)]
    lines = [
        [row["anonymizer"], attack_text(row), row["recognizer"], *(figure_text(row, name, True) for name in FIGURES)]
        for _, row in figures.iterrows()
    ]
    table = ["| " + " | ".join(line) + " |" for line in [headers, *lines]]
    return "\n".join([table[0], "|" + "---|" * len(headers), *table[1:], "", *captions(figures, faces)])


def brief(figures: pd.DataFrame) -> pd.DataFrame:
    """Of every anonymizer what was released, and the attack after which most people are recognised; all recognizers.

    Most is said by the recognizer that recognises most. The least recognised anonymizer comes first.
    """
    best = figures.groupby([*SERIES[:4]], sort=False)["rank1"].max().reset_index()
    attacked = best[best["attacker"] != NO_ATTACK]
    strongest = attacked.loc[attacked.groupby("anonymizer", sort=False)["rank1"].idxmax()].sort_values("rank1")
    shown = []
    for _, attack in strongest.iterrows():
        own = figures[figures["anonymizer"] == attack["anonymizer"]]
        made = own[(own["attacker"] == attack["attacker"]) & (own["seed"] == attack["seed"])]
        shown.append(pd.concat([own[own["attacker"] == NO_ATTACK], made]))
    return pd.concat(shown, ignore_index=True) if shown else figures[:0]


def show_brief(figures: pd.DataFrame, faces: FaceFigures, console: Console) -> None:
    """Print rank-1 of what `brief` gives: recognizers beside each other."""
    few = brief(figures)
    recognizers = list(dict.fromkeys(few["recognizer"]))
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", show_edge=False)
    for name in ("anonymizer", ""):
        table.add_column(f"\n{name}", no_wrap=True)
    for name in recognizers:
        table.add_column(f"{name}\nrank-1 [95 %]", justify="right", no_wrap=True)
    for (anonymizer, attacker), rows in few.groupby(["anonymizer", "attacker"], sort=False):
        first = rows.iloc[0]
        by = rows.set_index("recognizer")
        cells = [figure_text(by.loc[name], "rank1", True) if name in by.index else "–" for name in recognizers]
        released = attacker == NO_ATTACK
        names = (str(anonymizer), "released") if released else ("", f"↳ {attack_text(first)}")
        table.add_row(*map(Text, names), *cells, style="dim" if released else None)
    if not console.is_terminal:
        console = Console(file=console.file, width=200, no_color=True)
    captions = ["↳: the attack after which most people are recognised.", *faces.notes]
    console.print(Group(table, *(Text(line, style="dim") for line in captions)), highlight=False)


def show(figures: pd.DataFrame, faces: FaceFigures, console: Console) -> None:
    """Print the table; rank-1 has its interval, the others have theirs in CSV, Markdown and JSON."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", show_edge=False)
    for name in ("anonymizer", "attack", "recognizer"):
        table.add_column(f"\n{name}", overflow="fold")
    for name in FIGURES:
        header = f"{HEADERS[name]}\n[95 %]" if name == "rank1" else _two_lines(HEADERS[name])
        table.add_column(header, justify="right", no_wrap=True)
    previous = None
    for _, row in figures.iterrows():
        condition = row["anonymizer"], attack_text(row)
        whose = ["" if previous and previous[0] == condition[0] else condition[0]]
        whose.append("" if previous == condition else condition[1])
        previous = condition
        cells = [figure_text(row, name, name == "rank1") for name in FIGURES]
        table.add_row(*map(Text, (*whose, row["recognizer"])), *cells)
    if not console.is_terminal:
        console = Console(file=console.file, width=200, no_color=True)
    console.print(Group(table, *(Text(line, style="dim") for line in captions(figures, faces))), highlight=False)


def attack_text(row: pd.Series[Any]) -> str:
    """`released`, or the attack's label, with its seed where that is not 0."""
    if row["attacker"] == NO_ATTACK:
        return "released"
    return str(row["attacker"]) + (f" seed {row['seed']}" if row["seed"] else "")


def figure_text(row: pd.Series[Any], figure: str, with_interval: bool) -> str:
    """Shares as percent, others with two decimals."""
    value, low, high = (float(row[f"{figure}{end}"]) for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return "–"
    if figure in SHARES:
        bounds = f" [{100 * low:.0f}, {100 * high:.0f}]"
        text = percent(value) if figure == "tpr_01" else f"{100 * value:.0f} %"
    else:
        bounds, text = f" [{low:.2f}, {high:.2f}]", f"{value:.2f}"
    return text + bounds if with_interval and math.isfinite(low) else text


def captions(figures: pd.DataFrame, faces: FaceFigures) -> list[str]:
    """What must be known to read the table."""
    lost = figures[figures["placed"] < 1]
    unseen = [
        f"No face to compare, counted as chance: {percent(1 - row['placed'])} of the probes of {row['anonymizer']}, "
        f"{attack_text(row)}, by {row['recognizer']}."
        for _, row in lost.iterrows()
    ]
    more = ["And in other lines: see `placed` in --format csv."] if len(unseen) > 5 else []
    return [
        "TPR: share of pairs of one person accepted where 1 % or 0.1 % of pairs of two people are. –: too few pairs.",
        "D_sys: 0 nothing can be linked, 1 all. Cllr: bits; 0 every pair is told, 1 none, above 1 misleading.",
        *unseen[:5],
        *more,
        *faces.notes,
    ]


def _two_lines(header: str) -> str:
    first, _, rest = header.partition(" ")
    return f"{first}\n{rest}" if rest else f"\n{first}"
