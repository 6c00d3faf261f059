"""The command `leaderboard`."""

from __future__ import annotations

import sys
from typing import Annotated, Optional

import typer

from refbench import completion
from refbench.commands.common import RegionOption, RunsArgument, SiteOption, StoreOption, TableFormatOption, output
from refbench.errors import SuiteError
from refbench.registry import closest
from refbench.store import default_store


def leaderboard(
    runs: RunsArgument = None,
    store: StoreOption = None,
    format: TableFormatOption = "table",  # noqa: A002
    region: RegionOption = None,
    metric: Annotated[
        Optional[list[str]],  # noqa: UP045  (typer reads it at run time)
        typer.Option(
            help="Show, and rank by, this metric only; may be given again", autocompletion=completion.of_kind("metric")
        ),
    ] = None,
    site: SiteOption = None,
    by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Metric to rank by, or rank1: who is recognised [default: correlation]",
            autocompletion=completion.of_kind("metric"),
        ),
    ] = None,
    attackers: Annotated[
        bool, typer.Option("--attackers", help="A row for every attacker, not the strongest only")
    ] = False,
) -> None:
    """Rank the anonymizers by their strongest attacker: per-site correlation and SSIM with 95 % intervals.

    Several runs, also of several machines, are ranked together where they were made on the same people, slices and
    split.

    For example:

        refbench leaderboard
        refbench leaderboard demo --region changed --attackers
        refbench leaderboard demo --site HH --metric ssim --format csv
    """
    from dataclasses import replace

    from refbench import render
    from refbench.leaderboard import build_leaderboard, default_view
    from refbench.sharing.read import open_runs

    writers = {"csv": render.to_csv, "markdown": render.to_markdown, "json": render.to_json}
    if format not in ("table", *writers):
        raise SuiteError(f"unknown format {format!r}{closest(format, ['table', *writers])}")
    loaded = open_runs((store or default_store()).absolute(), runs or [])
    view = default_view(loaded[0])
    view = replace(
        view,
        region=region or view.region,
        metrics=tuple(metric or ()),
        by=by or (metric[0] if metric else view.by),
        sites=tuple(site or ()),
        attackers=attackers,
    )
    board = build_leaderboard(loaded, view)
    if format == "table":
        render.show(board, output)
    else:
        sys.stdout.write(writers[format](board).rstrip("\n") + "\n")
