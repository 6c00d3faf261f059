"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.text import Text

from refbench.commands.common import RunArgument, StoreOption, output
from refbench.store import Store, default_store


def report(
    run: RunArgument = None,
    out: Annotated[Optional[Path], typer.Option(help="The file [default: report.html in the run's folder]")] = None,  # noqa: UP045
    store: StoreOption = None,
    faces: Annotated[bool, typer.Option("--faces", help="Show real people, too: for local use only.")] = False,
) -> None:
    """Write a run's report: one HTML file that opens anywhere, without a network.

    For example:

        refbench report
        refbench report demo --out demo.html
    """
    from refbench.report.write import FILE, write_report
    from refbench.results import find_runs, load_run

    place = Store((store or default_store()).absolute())
    (folder,) = find_runs(place.root, [run] if run else [])
    target = out or folder / FILE
    write_report(load_run(folder), target, place, faces=faces)
    output.print(Text(str(target)), soft_wrap=True)
