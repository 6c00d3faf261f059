"""Comparisons as a terminal table, Markdown or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from refbench.baseline import EVERYBODY
from refbench.compare import Comparison, Line
from refbench.gate import Gate

COLOURS = {"worse": "red", "newly failing": "red", "better": "green", "not comparable": "yellow", "same": "dim"}


def _metrics(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(change.metric for line in comparison.lines for change in line.changes))


def _figure(line: Line, metric: str) -> str:
    for change in line.changes:
        if (change.metric, change.site) == (metric, EVERYBODY):
            return f"{change.before:.3f} → {change.now:.3f}"
    return "–"


def _captions(comparison: Comparison) -> list[str]:
    said = [
        f"{comparison.before} → {comparison.now}, region {comparison.region}, means over everybody; "
        "verdicts are on every site, too. Higher: more of the face is there.",
    ]
    if comparison.versions:
        said.append("Other versions: " + ", ".join(comparison.versions) + ".")
    return said


def to_markdown(comparison: Comparison, gate: Gate | None = None) -> str:
    """The gate's verdict and who is to blame, then the table; for a pull request only what moved stays open."""
    metrics = _metrics(comparison)
    headers = ["verdict", "anonymizer", "attack", *metrics, "why"]
    rows = [
        [line.verdict, line.anonymizer, line.attack, *(_figure(line, metric) for metric in metrics), line.reason]
        for line in comparison.lines
    ]
    table = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    table += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    if gate is None:
        return "\n".join([*table, "", *_captions(comparison)])
    blamed = [f"- **{line.verdict}**: {line.anonymizer}, {line.attack}: {line.reason}" for line in gate.blamed]
    hidden = ["<details><summary>All rows</summary>", "", *table, "", "</details>"]
    return "\n".join([f"### refbench gate: {gate.headline}", "", *blamed, "", *hidden, "", *_captions(comparison)])


def to_json(comparison: Comparison, gate: Gate | None = None) -> str:
    """Everything, unrounded."""
    data = asdict(comparison)
    if gate is not None:
        data = {"exit_code": gate.code, "headline": gate.headline, **data}
    return json.dumps(data, indent=1)


def show(comparison: Comparison, console: Console) -> None:
    """Print the table; output that is no terminal gets all the width it needs."""
    if not console.is_terminal:
        console = Console(file=console.file, width=200, no_color=True)
    metrics = _metrics(comparison)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", show_edge=False)
    for name in ("verdict", "anonymizer", "attack", *metrics):
        table.add_column(name, no_wrap=True)
    table.add_column("why")
    previous = None
    for line in comparison.lines:
        name = line.anonymizer if line.anonymizer != previous else ""
        previous = line.anonymizer
        cells = [name, line.attack, *(_figure(line, metric) for metric in metrics), line.reason]
        table.add_row(Text(line.verdict, style=COLOURS[line.verdict]), *map(Text, cells))
    console.print(table, highlight=False)
    for caption in _captions(comparison):
        console.print(Text(caption, style="dim"))
