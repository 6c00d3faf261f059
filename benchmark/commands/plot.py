"""The commands that draw and write what people look like: `plot` and `heads`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.text import Text

from refbench.commands.common import RegionOption, RunArgument, StoreOption, output
from refbench.store import Store, default_store


def plot(
    run: RunArgument = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the figures [default: `plots` in the run's]")] = None,  # noqa: UP045
    store: StoreOption = None,
    region: RegionOption = None,
    faces: Annotated[bool, typer.Option("--faces", help="Draw real people, too: for local use only.")] = False,
) -> None:
    """Draw the founding paper's figures of a run as PNG and SVG: traces, sites, doses, curves, pictures of phantoms.

    For example:

        refbench plot demo
        refbench plot demo --out figures --region changed
    """
    from refbench.plots.figures import FOLDER, write_plots
    from refbench.results import find_runs, load_run

    place = Store((store or default_store()).absolute())
    (folder,) = find_runs(place.root, [run] if run else [])
    target = out or folder / FOLDER
    plotted = write_plots(load_run(folder), place, target, region=region, faces=faces)
    for reason in plotted.left_out:
        output.print(Text(f"left out: {reason}"), soft_wrap=True)
    output.print(Text(f"{len(plotted.files)} files in {target}"), soft_wrap=True)


def heads(
    out: Annotated[Path, typer.Option(help="Folder that the files go to, a folder per anonymizer in it")],
    run: RunArgument = None,
    store: StoreOption = None,
    attacker: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Whose reconstructions, by its label [default: the strongest attack on each anonymizer]"),
    ] = None,
    faces: Annotated[bool, typer.Option("--faces", help="Write real people, too: for local use only.")] = False,
) -> None:
    """Write heads as NIfTI: the original, the release, and the reconstruction that an attacker's slices are stacked to.

    For example:

        refbench heads demo --out heads
        refbench heads demo --out heads --attacker regression
    """
    from refbench.results import find_runs, load_run
    from refbench.run_heads import write_heads

    place = Store((store or default_store()).absolute())
    (folder,) = find_runs(place.root, [run] if run else [])
    written = write_heads(load_run(folder), place, out, attacker=attacker, faces=faces)
    output.print(Text(f"{written} files in {out}"), soft_wrap=True)
