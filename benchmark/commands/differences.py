"""Command `refbench differences`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated, Optional

import typer

from refbench import completion
from refbench.commands.common import RegionOption, RunsArgument, SiteOption, StoreOption, TableFormatOption, output
from refbench.errors import SuiteError
from refbench.registry import closest
from refbench.store import default_store


def differences(
    runs: RunsArgument = None,
    store: StoreOption = None,
    format: TableFormatOption = "table",  # noqa: A002
    region: RegionOption = None,
    metric: Annotated[
        Optional[str],  # noqa: UP045  (typer reads it at run time)
        typer.Option(help="Metric to compare by [default: correlation]", autocompletion=completion.of_kind("metric")),
    ] = None,
    site: SiteOption = None,
) -> None:
    """Tell which ranks are really apart, and which attacks beat no attack: differences person by person.

    With 95 % intervals, and tests that are adjusted for their number.

    For example:

        refbench differences demo
        refbench differences demo --region changed --format csv
    """
    from refbench import render_differences as render
    from refbench.differences import build_differences
    from refbench.leaderboard import default_view
    from refbench.sharing.read import open_runs

    writers = {"csv": render.to_csv, "markdown": render.to_markdown, "json": render.to_json}
    if format not in ("table", *writers):
        raise SuiteError(f"unknown format {format!r}{closest(format, ['table', *writers])}")
    loaded = open_runs((store or default_store()).absolute(), runs or [])
    view = default_view(loaded[0])
    view = replace(view, region=region or view.region, by=metric or view.by, sites=tuple(site or ()))
    found = build_differences(loaded, view)
    if format == "table":
        render.show(found, output)
    else:
        sys.stdout.write(writers[format](found).rstrip("\n") + "\n")
