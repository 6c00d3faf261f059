"""Leaderboards as a terminal table, CSV, Markdown or JSON: one table object behind all four."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from refbench.attack_names import attack_names, names_with_seeds
from refbench.face_columns import RANK1, figure_text, head_column, rank1_text
from refbench.head_figures import Named, headlines
from refbench.labels import knowledge
from refbench.leaderboard import DIGITS, Leaderboard, read
from refbench.render_controls import (
    CONTROL_HEADS,
    control_captions,
    controls_json,
    controls_table,
    lines,
    recovery_text,
)
from refbench.verdicts import CONTROL, RECOVERY

MOST_HEADLINES = 4
"""Figures of heads that have room on a terminal."""

KNOWLEDGE = {
    "learnt on": "learnt on: from the releases of another anonymizer, which it takes these for.",
    "learnt at": "learnt at: from the people of this site or data set only.",
    "given also": "given also: it holds the releases of a head by both anonymizers.",
}
"""What is said of attacks that are not informed (`refbench.attacks`)."""

SIDES = ("anonymized", "reconstructed")


def to_csv(board: Leaderboard) -> str:
    """All columns, unrounded."""
    return board.rows.to_csv(index=False)


def to_json(board: Leaderboard) -> str:
    """All columns, unrounded; undefined figures are null."""
    rows = json.loads(board.rows.to_json(orient="records", double_precision=15))
    for line, (_, row) in zip(rows, board.rows.iterrows(), strict=True):
        # pandas writes at most 15 digits; JSON readers should get the very numbers of the CSV
        line |= {name: value for name, value in row.items() if isinstance(value, float) and math.isfinite(value)}
    about = {
        "region": board.view.region,
        "ranked_by": board.view.by,
        "metrics": list(board.metrics),
        "sites": list(board.sites),
        "notes": list(board.notes),
        "controls": controls_json(board.verdicts.trust),
    }
    return json.dumps({**about, "rows": rows}, indent=1)


def to_markdown(board: Leaderboard) -> str:
    """A table for a README: released → attacked."""
    headers, rows = _flat(board)
    text = [_markdown_line(headers), "|" + "---|" * len(headers), *map(_markdown_line, rows)]
    return "\n".join([*text, *_controls_markdown(board), "", *_captions(board)])


def _controls_markdown(board: Leaderboard) -> list[str]:
    found = lines(board)
    if not found:
        return []
    heads = ["controls of", *CONTROL_HEADS]
    return ["", _markdown_line(heads), "|" + "---|" * len(heads), *map(_markdown_line, found)]


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _flat(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    headers = ["rank", "anonymizer", "strongest attack" if not board.view.attackers else "attack"]
    attacks = names_with_seeds(board)
    headers += ["recovery [95 %]"] if RECOVERY in board.rows else []
    for metric in board.metrics:
        headers += [f"{metric} {site}" for site in _site_headers(board)]
        headers += [f"{metric} {region}" for region in board.regions[1:]]
    heads = headlines(board.faces.figures)
    headers += ["rank-1 [95 %]", "recognizer"] if board.faces.recognized else []
    headers += [figure for _, figure in heads]
    headers += ["failed", "missing"] if has_trouble(board) else []
    lines = []
    for _, row in board.rows.iterrows():
        line = [rank_text(board, row), row["anonymizer"], attacks[row["attacker"], row["seed"]] + untrusted_text(row)]
        line += [recovery_of(row)] if RECOVERY in board.rows else []
        for metric in board.metrics:
            for region, site in _places(board):
                pair = [_figure(row, condition, metric, region, site) for condition in SIDES]
                line.append(" → ".join(pair) + (_interval(row, metric, region) if site == "all" else ""))
        if board.faces.recognized:
            line.append(" → ".join(rank1_text(row, condition) for condition in SIDES))
            line.append(" → ".join(dict.fromkeys(row[f"{condition}_recognizer"] for condition in SIDES)))
        line += [" → ".join(figure_text(row[head_column(condition, *named)]) for condition in SIDES) for named in heads]
        line += [failed_text(row), row["missing"]] if has_trouble(board) else []
        lines.append(line)
    return headers, lines


def _places(board: Leaderboard) -> list[tuple[str, str]]:
    own = board.regions[0]
    columns = (*board.compared_sites, "all")
    return [*((own, site) for site in columns), *((region, "all") for region in board.regions[1:])]


def _site_headers(board: Leaderboard) -> list[str]:
    return [*board.compared_sites, "all [95 %]"] if board.compared_sites else [f"{board.sites[0]} [95 %]"]


def to_terminal(board: Leaderboard, width: int) -> RenderableType:
    """Two lines a row: what was released, and after the attack. Metrics go below each other on a narrow terminal.

    Above them, where there are figures of faces or heads and all in one is too wide, stands a table with one figure of
    everybody for each metric.
    """
    heads = headlines(board.faces.figures)[:MOST_HEADLINES]
    faces = bool(board.faces.recognized or heads)
    wide = _table(board, board.metrics, heads, faces=faces)
    fits = Console(width=10_000).measure(wide).maximum <= width
    parts: list[RenderableType] = [wide] if fits else [_table(board, (metric,)) for metric in board.metrics]
    if faces and not fits:
        parts.insert(0, _table(board, board.metrics, heads, faces=True, short=True))
    controls = controls_table(board)
    if controls:
        parts += [Text(""), controls]
    return Group(*parts, *(Text(caption, style="dim") for caption in _captions(board)))


def _table(
    board: Leaderboard,
    metrics: tuple[str, ...],
    heads: Sequence[Named] = (),
    *,
    faces: bool = False,
    short: bool = False,
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", show_edge=False)
    for name in ("", "anonymizer", ""):
        table.add_column(name, justify="right" if not name and not table.columns else "left", no_wrap=bool(name))
    recovery = RECOVERY in board.rows and not short and board.metrics[0] in metrics
    if recovery:
        table.add_column("recovery\n[95 %]", justify="right", no_wrap=True)
    for metric in metrics:
        if short:
            table.add_column(f"{metric}\nall" if board.compared_sites else metric, justify="right", no_wrap=True)
            continue
        for number, site in enumerate(_site_headers(board)):
            table.add_column(f"{metric}\n{site}" if number == 0 else f"\n{site}", justify="right", no_wrap=True)
        for region in board.regions[1:]:
            table.add_column(f"in\n{region}", justify="right", no_wrap=True)
    if faces and board.faces.recognized:
        table.add_column("rank-1\n[95 %]", justify="right", no_wrap=True)
    for _, figure in heads:
        table.add_column("\n".join(figure.rsplit("_", 1)), justify="right", no_wrap=True)
    if has_trouble(board):
        table.add_column("\nfailed", justify="right")
    attacks = names_with_seeds(board)
    previous = None
    for _, row in board.rows.iterrows():
        first = row["anonymizer"] != previous
        previous = row["anonymizer"]
        trouble = [failed_text(row)] if has_trouble(board) else []
        if first:
            released = _cells(board, row, metrics, "anonymized", short=short)
            released += _face_cells(board, row, "anonymized", heads) if faces else []
            released = ["", *released] if recovery else released
            table.add_row(rank_text(board, row), Text(row["anonymizer"]), "released", *released, *trouble, style="dim")
        cells = _cells(board, row, metrics, "reconstructed", short=short)
        cells += _face_cells(board, row, "reconstructed", heads) if faces else []
        cells = [recovery_of(row), *cells] if recovery else cells
        name = f"↳ {attacks[row['attacker'], row['seed']]}{untrusted_text(row)}{_sense(board, row, first=first)}"
        table.add_row("", "(control)" if first and row["unranked"] == CONTROL else "", Text(name), *cells)
    return table


def untrusted_text(row: pd.Series[Any]) -> str:
    """Behind the name of an attack that must not be believed."""
    return " (untrusted)" if row.get("untrusted", "") else ""


def recovery_of(row: pd.Series[Any], name: str = RECOVERY) -> str:
    """Of a row of a leaderboard; `name`: of the column."""
    return recovery_text(*(float(row.get(f"{name}{end}", math.nan)) for end in ("", "_low", "_high")))


def _sense(board: Leaderboard, row: pd.Series[Any], *, first: bool) -> str:
    """Why a second attack stands under an anonymizer."""
    senses = str(row.get("strongest_by", "")).replace(RANK1, "rank-1")
    return f" (by {senses})" if senses and not first and not board.view.attackers else ""


def _face_cells(board: Leaderboard, row: pd.Series[Any], condition: str, heads: Sequence[Named]) -> list[str]:
    cells = [rank1_text(row, condition)] if board.faces.recognized else []
    return cells + [figure_text(row[head_column(condition, *named)]) for named in heads]


def _cells(
    board: Leaderboard, row: pd.Series[Any], metrics: tuple[str, ...], condition: str, *, short: bool = False
) -> list[str]:
    cells = []
    for metric in metrics:
        if short:
            cells.append(_figure(row, condition, metric, board.regions[0], "all"))
            continue
        for region, site in _places(board):
            text = _figure(row, condition, metric, region, site)
            if site == "all" and region == board.regions[0]:
                text += _interval(row, metric, region, condition)
            cells.append(text)
    return cells


def shown(value: float) -> str:
    """A score as printed everywhere."""
    return f"{value:.{DIGITS}f}" if math.isfinite(value) else "–"


def interval_text(low: float, high: float) -> str:
    """Bounds of a 95 % interval; empty where there are none."""
    return f"[{shown(low)}, {shown(high)}]" if math.isfinite(low) else ""


def _figure(row: pd.Series[Any], condition: str, metric: str, region: str, site: str) -> str:
    return shown(read(row, condition, metric, region, site))


def _interval(row: pd.Series[Any], metric: str, region: str, condition: str = "reconstructed") -> str:
    """After the figure it belongs to."""
    text = interval_text(*(read(row, condition, metric, region, f"all_{end}") for end in ("low", "high")))
    return f" {text}" if text else ""


def rank_text(board: Leaderboard, row: pd.Series[Any]) -> str:
    """`2`, `2=` where it is shared, empty where there is none."""
    if pd.isna(row["rank"]):
        return ""
    return f"{row['rank']}=" if (board.rows["rank"] == row["rank"]).sum() > 1 else str(row["rank"])


def failed_text(row: pd.Series[Any]) -> str:
    """On how many of how many scans the anonymizer did not work, and why."""
    return f"{row['failed']}/{row['scans']}" + (f": {row['reasons']}" if row["reasons"] else "")


def has_trouble(board: Leaderboard) -> bool:
    """Whether an anonymizer did not work on a scan, or an attack is missing."""
    return bool((board.rows["failed"] > 0).any() or (board.rows["missing"] != "").any())


def _captions(board: Leaderboard) -> list[str]:
    view = board.view
    tested = int(board.rows["subjects"].max())
    by = f"{view.by} of the strongest attack"
    if view.by == RANK1:
        by = "rank-1 of the strongest attack, or of the release where that is recognised more"
    return [
        f"Region {view.region}, {tested} test subjects. Rank 1 hides best: by {by}.",
        "released: what the anonymizer gives away; ↳ the strongest attack on it (`none`: no attack beats the release).",
        "–: undefined, since nothing was changed or the image is constant there.",
        *_heads(board),
        *(
            ["failed: scans on which the anonymizer did not work, and why; counted, never dropped."]
            if has_trouble(board)
            else []
        ),
        *([f"=: equal to {DIGITS} decimals. Overlapping intervals are no tie."] if _has_ties(board) else []),
        *_seeds(board),
        *_recovery(board),
        *_knowledge(board),
        *control_captions(board),
        *_unranked(board),
        *board.notes,
    ]


def _heads(board: Leaderboard) -> list[str]:
    """What the figures of heads are, and where the others stand."""
    heads = headlines(board.faces.figures)
    if not heads:
        return []
    return [
        f"Means over people of {', '.join(figure for _, figure in heads)}: see docs/metrics.md; all in --format csv."
    ]


def _has_ties(board: Leaderboard) -> bool:
    return bool(board.rows["rank"].dropna().duplicated().any())


def _seeds(board: Leaderboard) -> list[str]:
    """What the attacks that are shown come to over all their seeds."""
    if "over_seeds" not in board.rows:
        return []
    names = attack_names(board)
    attacks = board.rows.dropna(subset=["over_seeds"]).drop_duplicates(["anonymizer", "attacker"])
    lines = [
        f"{row['anonymizer']}, {names[row['attacker']]}: {row['over_seeds']:.{DIGITS}f} "
        f"[{row['over_seeds_low']:.{DIGITS}f}, {row['over_seeds_high']:.{DIGITS}f}]{_spread(row)}"
        for _, row in attacks.iterrows()
    ]
    what = f"Of several seeds the strongest is shown. {board.view.by}, mean over seeds [95 % over seeds and people]:"
    return [what, *lines]


def _spread(row: pd.Series[Any]) -> str:
    """What the seeds of an attack recover."""
    overall = recovery_of(row, f"{RECOVERY}_over_seeds")
    if overall == "–":
        return ""
    ends = (recovery_text(float(row[f"{RECOVERY}_{end}"]), math.nan, math.nan) for end in ("smallest", "largest"))
    return f"; recovery {overall}, single seeds {' to '.join(ends)}"


def _unranked(board: Leaderboard) -> list[str]:
    rows = board.rows[~board.rows["unranked"].isin(["", CONTROL])].drop_duplicates("anonymizer")
    return [f"{row['anonymizer']} has no rank: {row['unranked']}" for _, row in rows.iterrows()]


def _knowledge(board: Leaderboard) -> list[str]:
    """What the names of attacks say that were not informed, where some are shown."""
    told = {" ".join(knowledge(label).split()[:2]) for label in board.rows["attacker"]}
    return [text for what, text in KNOWLEDGE.items() if what in told]


def _recovery(board: Leaderboard) -> list[str]:
    """What recovery is, where some is shown."""
    if RECOVERY not in board.rows or board.rows[RECOVERY].isna().all():
        return []
    return [
        "recovery: 0 % is the best of no attack and the baselines, 100 % the original; person by person, then the mean."
    ]


def show(board: Leaderboard, console: Console) -> None:
    """Print a leaderboard; output that is no terminal gets all the width it needs."""
    if not console.is_terminal:
        console = Console(file=console.file, width=200, no_color=True)
    console.print(to_terminal(board, console.width), highlight=False)
