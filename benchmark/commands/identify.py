"""The command `identify`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from refbench.commands.common import RunArgument, StoreOption, TableFormatOption, output
from refbench.errors import RefbenchError, SuiteError
from refbench.registry import closest
from refbench.store import default_store


def identify(
    run: RunArgument = None,
    store: StoreOption = None,
    format: TableFormatOption = "table",  # noqa: A002
    brief: Annotated[
        bool, typer.Option("--brief", help="Only rank-1, and only of the attack after which most are recognised")
    ] = False,
    together: Annotated[
        bool, typer.Option("--together", help="Who holds several visits, or releases by two anonymizers, of a person")
    ] = False,
) -> None:
    """Tell whether people can be recognised: every recognizer on what was released and on what each attack gives back.

    For example:

        refbench identify
        refbench identify demo --format csv
        refbench identify demo --brief
        refbench identify demo --together
    """
    from refbench import render_identification as render
    from refbench import render_together
    from refbench.face_columns import face_figures
    from refbench.identification import identification_figures
    from refbench.sharing.read import open_runs
    from refbench.together import figures_together, single_releases

    if format not in (formats := ("table", "csv", "markdown", "json")):
        raise SuiteError(f"unknown format {format!r}{closest(format, formats)}")
    (loaded,) = open_runs((store or default_store()).absolute(), [run] if run else [])
    if loaded.identification.empty:
        raise RefbenchError(
            f"{loaded.folder.name} looked for nobody's face: name `recognizers` in its suite and run it again"
        )
    if together:
        gained = figures_together(single_releases(loaded.identification))
        if format == "table":
            render_together.show(gained, output)
            return
        written = {
            "csv": render_together.to_csv(gained),
            "markdown": render_together.to_markdown(gained),
            "json": render_together.to_json(gained),
        }
    else:
        figures, faces = identification_figures(loaded.identification), face_figures([loaded])
        if format == "table":
            (render.show_brief if brief else render.show)(figures, faces, output)
            return
        figures = render.brief(figures) if brief else figures
        written = {
            "csv": render.to_csv(figures),
            "markdown": render.to_markdown(figures, faces),
            "json": render.to_json(figures, faces),
        }
    sys.stdout.write(written[format].rstrip("\n") + "\n")
