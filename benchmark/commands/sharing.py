"""The commands that give results to others: `export`, `verify`, `site`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.text import Text

from refbench.commands.common import RunArgument, StoreOption, errors, output
from refbench.store import default_store

DIFFERS = 1
"""Exit code of `verify`: the bundle can be read, and is not what it says."""

SHOWN = 12


def export(
    run: RunArgument = None,
    out: Annotated[Optional[Path], typer.Option(help="The bundle [default: NAME.zip here]")] = None,  # noqa: UP045
    by: Annotated[str, typer.Option(help="Who made it, if the bundle shall say so: a lab, a person")] = "",
    store: StoreOption = None,
) -> None:
    """Write a run as one file to give away: scores and provenance, no faces, no names, no trained attackers.

    People go by salted hashes. The salt stays in the store, so the same store gives the same hashes. Whoever has the
    original scans may still recognise people by their scores: see docs/sharing.md.

    For example:

        refbench export demo
        refbench export demo --out bundles/demo.zip --by "Our lab"
    """
    from refbench.results import find_runs, load_run
    from refbench.sharing.export import STAYED_OUT
    from refbench.sharing.export import export as write
    from refbench.sharing.read import SUFFIX

    place = (store or default_store()).absolute()
    (folder,) = find_runs(place, [run] if run else [])
    folder = folder.absolute()
    own_store = folder.parent.parent if folder.parent.name == "runs" else place
    target = out or Path(f"{folder.name}{SUFFIX}")
    made = write(load_run(folder), target, own_store, by)
    for name, size in made.sizes.items():
        output.print(Text(f"in       {name} ({size / 1e3:,.0f} kB)"), soft_wrap=True)
    for what in STAYED_OUT:
        output.print(Text(f"left out {what}"), soft_wrap=True)
    output.print(
        Text(f"people   {made.people}, by salted hashes; every byte was searched for their names"), soft_wrap=True
    )
    if made.unsearched:
        output.print(
            Text(
                f"         {made.unsearched} name(s) are too short for that: they were looked for as whole entries of "
                "tables; read the suite and the notes yourself"
            ),
            soft_wrap=True,
        )
    output.print(Text(f"sha256   {made.sha256}"), soft_wrap=True)
    output.print(Text(f"{target}: check it with `refbench verify {target}`"), soft_wrap=True)


def verify(bundle: Annotated[Path, typer.Argument(help="A bundle of a run, as `refbench export` writes it")]) -> None:
    """Check a bundle: its hashes, and its leaderboard computed anew from its scores.

    Exit codes: 0 all is as it says; 1 the leaderboard or a hash is another; 2 it cannot be read. To check the files of
    a data set, use `refbench data verify`.

    For example:

        refbench verify bundles/demo.zip
    """
    from refbench.sharing.verify import verify as check

    found = check(bundle)
    for what in found.checked:
        output.print(Text(f"checked  {what}"), soft_wrap=True)
    if found.differences:
        for text in found.differences[:SHOWN]:
            errors.print(Text(f"differs  {text}"), soft_wrap=True)
        if len(found.differences) > SHOWN:
            errors.print(f"         and {len(found.differences) - SHOWN} more")
        errors.print(
            Text(f"{bundle} is not what it says: ask for it anew, and do not quote its figures."), soft_wrap=True
        )
        raise typer.Exit(DIFFERS)
    output.print(
        Text(f"{bundle} is what it says. This shows no more than that its parts fit: it is no signature."),
        soft_wrap=True,
    )


def site(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that holds the bundles")],
    out: Annotated[Path, typer.Option(help="Folder of the pages")] = Path("site"),
) -> None:
    """Make a public leaderboard of several bundles: plain pages that need no server and no network.

    Every bundle is verified, and those made on the same people, slices, split and metrics are ranked together.

    For example:

        refbench site bundles --out public
    """
    from refbench.sharing.site import INDEX, write_site

    entries, groups = write_site(folder, out)
    for entry in entries:
        state = "verified" if entry.run else "cannot be read" if entry.problem else "is not what it says: not ranked"
        (output if entry.run else errors).print(Text(f"{entry.path.name}: {state}"), soft_wrap=True)
    output.print(Text(f"{len(groups)} leaderboard(s) in {out / INDEX}"), soft_wrap=True)
    if any(entry.run is None for entry in entries):
        raise typer.Exit(DIFFERS)
