"""The command `advise`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from refbench.commands.common import RegionOption, RunArgument, StoreOption, output
from refbench.errors import RefbenchError
from refbench.registry import closest
from refbench.store import default_store


def advise(
    run: RunArgument = None,
    anonymizer: Annotated[
        Optional[str],  # noqa: UP045  (typer reads it at run time)
        typer.Option(help="Only the page of this anonymizer, by its label"),
    ] = None,
    region: RegionOption = None,
    store: StoreOption = None,
    out: Annotated[Optional[Path], typer.Option(help="Write the pages to this Markdown file")] = None,  # noqa: UP045
) -> None:
    """Say in plain words what a run means for a data custodian: a page for each anonymizer.

    What was tried, what came back, what it cost, what was not tried, and on what data.

    For example:

        refbench advise
        refbench advise demo --anonymizer pydeface
        refbench advise demo --out advice.md
    """
    from dataclasses import replace

    from refbench.advice import advice, to_markdown
    from refbench.leaderboard import build_leaderboard, default_view
    from refbench.sharing.read import open_runs
    from refbench.store import write_atomically

    (loaded,) = open_runs((store or default_store()).absolute(), [run] if run else [])
    view = default_view(loaded)
    pages = advice(loaded, build_leaderboard([loaded], replace(view, region=region or view.region, attackers=True)))
    if anonymizer is not None:
        known = [page.anonymizer for page in pages]
        if anonymizer not in known:
            raise RefbenchError(f"{loaded.folder.name} has no anonymizer {anonymizer!r}{closest(anonymizer, known)}")
        pages = [page for page in pages if page.anonymizer == anonymizer]
    text = to_markdown(pages)
    if out is None:
        sys.stdout.write(text)
        return
    write_atomically(out, text)
    output.print(str(out), soft_wrap=True)
