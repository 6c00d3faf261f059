"""Command `refbench differences`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated, Optional

import typer

from refbench.commands.common import StoreOption, output
from refbench.errors import SuiteError
from refbench.registry import closest
from refbench.store import default_store


def differences(
    runs: Annotated[Optional[list[str]], typer.Argument(help="Names, folders or bundles [default: the latest]")] = None,  # noqa: UP045
    store: StoreOption = None,
    format: Annotated[str, typer.Option(help="table, csv, markdown or json")] = "table",  # noqa: A002
    region: Annotated[Optional[str], typer.Option(help="front_half, whole, face or changed")] = None,  # noqa: UP045
    metric: Annotated[Optional[str], typer.Option(help="Metric to compare by [default: correlation]")] = None,  # noqa: UP045
    site: Annotated[Optional[list[str]], typer.Option(help="Only subjects of this site")] = None,  # noqa: UP045
) -> None:
    """Tell which ranks are really apart, and which attacks beat no attack: differences person by person.

    With 95 % intervals, and tests that are adjusted for their number.
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
