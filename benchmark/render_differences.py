"""Tables of differences for the terminal, as CSV, Markdown or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from refbench.attack_names import attack_names
from refbench.differences import LEVEL, Difference, Differences
from refbench.leaderboard import DIGITS
from refbench.results import NO_ATTACK
from refbench.significance import EXACT, FLIPS
from refbench.statistics import Estimate


def to_csv(found: Differences) -> str:
    """One row per difference, unrounded."""
    return pd.DataFrame(_records(found)).to_csv(index=False)


def to_json(found: Differences) -> str:
    """One object per difference, unrounded; undefined figures are null."""
    rows = [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in _records(found)
    ]
    view = found.board.view
    about = {"region": view.region, "metric": view.by, "sites": list(found.board.sites), "notes": list(found.notes)}
    return json.dumps({**about, "differences": rows}, indent=1)


def _records(found: Differences) -> list[dict[str, Any]]:
    records = []
    for table, differences in (("anonymizers", found.anonymizers), ("attacks", found.attacks)):
        for one in differences:
            record: dict[str, Any] = {"table": table}
            for side, seeds, name in ((one.more, one.seeds[0], "more"), (one.less, one.seeds[1], "less")):
                record |= {f"{name}_anonymizer": side.anonymizer, f"{name}_attacker": side.attacker}
                record |= {f"{name}_seeds": seeds}
            record |= {"subjects": one.people, **_columns("all", one.overall), "difference_all_median": one.middle}
            record |= {"p": one.p, "p_holm": one.holm, "apart": one.apart}
            for site, value in one.sites.items():
                record |= _columns(site, value)
            records.append(record)
    return records


def _columns(site: str, value: Estimate) -> dict[str, float]:
    name = f"difference_{site}"
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}


def to_markdown(found: Differences) -> str:
    """Two tables and what they mean."""
    parts = []
    for title, headers, lines in _tables(found):
        table = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
        parts += [title, "\n".join([*table, *("| " + " | ".join(line) + " |" for line in lines)])]
    return "\n\n".join([*parts, "\n".join(_captions(found))])


def show(found: Differences, console: Console) -> None:
    """Print both tables; output that is no terminal gets all the width it needs."""
    if not console.is_terminal:
        console = Console(file=console.file, width=200, no_color=True)
    for title, headers, lines in _tables(found):
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", show_edge=False)
        for number, header in enumerate(headers):
            table.add_column(header, justify="left" if number < 2 else "right", no_wrap=number >= 2)
        for line in lines:
            table.add_row(*(Text(cell) for cell in line), style="" if line[-1] else "dim")
        console.print(Text(title, style="bold"), table, "", sep="\n", highlight=False)
    for caption in _captions(found):
        console.print(Text(caption, style="dim"))


def _tables(found: Differences) -> list[tuple[str, list[str], list[list[str]]]]:
    names = attack_names(found.board)
    view, sites = found.board.view, found.board.compared_sites
    figures = [*sites, "all [95 %]", "median", "p", "p (Holm)", ""]
    tables = []
    if found.anonymizers:
        lines = _lines(
            found.anonymizers,
            sites,
            lambda one: [f"{side.anonymizer} ({names[side.attacker]})" for side in (one.less, one.more)],
        )
        title = f"How much more the second gives back, each under its strongest attack: {view.by} in {view.region}"
        tables.append((title, ["hides more", "hides less", *figures], lines))
    if found.attacks:
        lines = _lines(found.attacks, sites, lambda one: [one.more.anonymizer, names[one.more.attacker]])
        title = f"What each attack gains over no attack: {view.by} in {view.region}"
        tables.append((title, ["anonymizer", "attack", *figures], lines))
    return tables


def _lines(
    differences: Sequence[Difference], sites: Sequence[str], names: Callable[[Difference], list[str]]
) -> list[list[str]]:
    return [
        [
            *names(one),
            *(signed(one.sites[site].value) for site in sites),
            difference_text(one.overall),
            signed(one.middle),
            p_text(one.p),
            p_text(one.holm),
            verdict(one),
        ]
        for one in differences
    ]


def verdict(one: Difference) -> str:
    """`apart`, `gains` or `loses`; empty where the test tells nothing apart."""
    if not one.apart:
        return ""
    if one.less.attacker != NO_ATTACK:
        return "apart"
    return "gains" if one.overall.value > 0 else "loses"


def signed(value: float) -> str:
    """A difference as printed everywhere."""
    return "–" if math.isnan(value) else f"{value:+.{DIGITS}f}"


def difference_text(found: Estimate) -> str:
    """A mean difference with its 95 % interval."""
    bounds = "" if math.isnan(found.low) else f" [{signed(found.low)}, {signed(found.high)}]"
    return signed(found.value) + bounds


def p_text(value: float) -> str:
    """A p as printed everywhere."""
    if math.isnan(value):
        return "–"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _captions(found: Differences) -> list[str]:
    everything = (*found.anonymizers, *found.attacks)
    everybody = max((one.people for one in everything), default=0)
    fewer = sorted({one.people for one in everything if 0 < one.people < everybody})
    how = "all patterns of signs" if everybody <= EXACT else f"{FLIPS:,} patterns of signs".replace(",", " ")
    captions = [
        f"Person by person, {everybody} test subjects. p: sign-flip test, {how}.",
        f"p (Holm): adjusted for the number of tests in its table; below {LEVEL:g}: apart, gains or loses.",
        "Not apart does not mean equal: see the interval, which takes no account of the number of tests.",
    ]
    if fewer:
        captions.append(f"Some are over fewer people ({', '.join(map(str, fewer))}): those with both figures.")
    if any(max(one.seeds) > 1 for one in everything):
        captions.append("Attacks count by the mean over their seeds; intervals draw seeds first, then people.")
    if _lacking(found):
        captions.append("–: without a figure for no attack, as what was released is constant there.")
    return [*captions, *too_few(found), *found.notes]


def too_few(found: Differences) -> list[str]:
    """The smallest p that so few people can give, where Holm's rule puts it above the level."""
    lines = []
    for name, table in (("anonymizers", found.anonymizers), ("attacks", found.attacks)):
        tested = [one for one in table if not math.isnan(one.p)]
        people = max((one.people for one in tested), default=0)
        if tested and 2 * len(tested) / 2**people >= LEVEL:
            lines.append(
                f"{people} people are too few to tell {name} apart in {len(tested)} tests, however far apart they are."
            )
    return lines


def _lacking(found: Differences) -> bool:
    return any(math.isnan(one.overall.value) for one in found.attacks if one.less.attacker == NO_ATTACK)
