"""The commands about the store: `store du`, `gc`, `verify`, `export` and `import`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.filesize import decimal
from rich.text import Text

from refbench import completion
from refbench.commands.common import FAILURES, StoreOption, errors, output
from refbench.errors import RefbenchError
from refbench.job import KINDS
from refbench.registry import closest
from refbench.store import Store, default_store

if TYPE_CHECKING:
    from refbench.store_care.collect import Collection
    from refbench.store_care.usage import Usage

app = typer.Typer(help="See what the store holds, make room, check it, and move runs between stores.",
                  no_args_is_help=True)  # fmt: skip

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@app.command()
def du(store: StoreOption = None) -> None:
    """Show what the store holds: by kind of job, by run, and what no run refers to.

    For example:

        refbench store du
    """
    from refbench.store_care.usage import look_through

    place = Store(store or default_store())
    usage = look_through(place)
    for line in _held_lines(place, usage):
        output.print(Text(line), soft_wrap=True)


def _held_lines(store: Store, usage: Usage) -> list[str]:
    import shutil
    import time

    from refbench.store_care.usage import folder_size

    sizes, counts = Counter[str](), Counter[str]()
    for result in usage.results.values():
        sizes[result.kind] += result.bytes
        counts[result.kind] += 1
    lines = [f"{'kind':12} {'results':>8} {'size':>10}"]
    order = {kind: number for number, kind in enumerate(KINDS)}
    for kind in sorted(sizes, key=lambda kind: order.get(kind, len(order))):
        lines.append(f"{kind:12} {counts[kind]:8} {decimal(sizes[kind]):>10}")
    others = {name: folder_size(store.root / name) for name in ("scratch", "shared", "damaged", "dropped", "trash")}
    names = {"scratch": "unfinished", "dropped": "records of dropped results"}
    lines += [f"{names.get(name, name):21} {decimal(size):>10}" for name, size in others.items() if size]
    users = Counter(key for one in usage.references for key in one.keys)
    lines += ["", f"{'last ran':17} {'size':>10} {'its own':>10}  run"]
    for one in sorted(usage.references, key=lambda reference: reference.used):
        own = usage.size(key for key in one.keys if users[key] == 1)
        when = "now" if one.going_on else time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used))
        lines.append(f"{when:17} {decimal(usage.size(one.keys)):>10} {decimal(own):>10}  {one.run}")
    free = usage.results.keys() - usage.referenced
    if free:
        lines.append(
            f"{'':17} {decimal(usage.size(free)):>10} {'':10}  no run: {len(free)} results; `refbench store gc`"
        )
    total = decimal(folder_size(store.root))
    return [*lines, "", f"{total} in {store.root}; {decimal(shutil.disk_usage(store.root).free)} free"]


@app.command()
def gc(
    keep: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="KINDS", help="Keep results of these kinds of job only, as train,slice; or `tables`"),
    ] = None,
    budget: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="SIZE", help="Drop results until the store has no more than this, as 50GB"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    store: StoreOption = None,
) -> None:
    """Make room: remove what no run refers to, then what the options give up.

    Tables, what they are made of and records of all jobs stay, so runs can still be shown; what is needed again is made
    again. A run whose folder you remove from STORE/runs refers to nothing any more. What goes on now is never touched.

    For example:

        refbench store gc --dry-run
        refbench store gc --keep train --budget 50GB
    """
    from refbench.store_care.collect import Rules, collect

    kept = None if keep is None else frozenset(_kinds(keep, "--keep"))
    rules = Rules(kept, None if budget is None else _bytes(budget))
    done = collect(Store(store or default_store()), rules, dry=dry_run)
    for line in _removal_lines(done, dry_run):
        output.print(Text(line), soft_wrap=True)
    if rules.budget is not None and done.left > rules.budget and not done.strangers:
        errors.print(
            f"The store stays over {decimal(rules.budget)}: the rest is tables, records, unfinished work, and what is "
            "needed now. Remove folders of runs that nobody needs from STORE/runs, and try again."
        )
        raise typer.Exit(FAILURES)


def _removal_lines(done: Collection, dry: bool) -> list[str]:
    counts, sizes = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for one in done.removals:
        counts[one.why, one.what] += 1
        sizes[one.why, one.what] += one.bytes
    lines = [f"{what:12} {counts[why, what]:6} {decimal(sizes[why, what]):>10}  {why}" for why, what in counts]
    if done.strangers:
        lines.append(f"{done.strangers} job(s) run that no run knows: nothing is touched until they have ended")
    if done.spared:
        lines.append(f"{done.spared} result(s) are needed now and stay")
    total = decimal(sum(sizes.values()))
    return [*lines, f"{'would free' if dry else 'freed'} {total}; {decimal(done.left)} stay"]


@app.command()
def verify(store: StoreOption = None) -> None:
    """Read every file of every result and compare it with its checksum. Exit code 3 if any is damaged.

    Damaged results are set aside; the next run that needs them makes them again.

    For example:

        refbench store verify
    """
    from refbench.progress import Counting
    from refbench.store_care.check import verify_store

    place = Store(store or default_store())
    with Counting(output, "verify") as counting:
        verdict = verify_store(place, counting.at)
    for what in verdict.damaged.values():
        errors.print(Text(f"  ✗ {what}"), soft_wrap=True)
    old = f", {verdict.unverified} unverified: made before checksums were kept" if verdict.unverified else ""
    output.print(f"{verdict.sound} sound, {len(verdict.damaged)} damaged{old}", soft_wrap=True)
    if verdict.damaged:
        then = "set aside; the next run makes them again" if place.writable else "the store cannot be written"
        errors.print(f"Damaged results: {then}.")
        raise typer.Exit(FAILURES)


@app.command(name="export")
def export_(
    run: Annotated[str, typer.Argument(help="A run by name or folder", autocompletion=completion.runs)],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The zip file to write")],
    kinds: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Results of these kinds of job, as train,slice; `tables`: none but what tables are made of"),
    ] = None,
    faces: Annotated[
        bool, typer.Option("--faces", help="Take along what shows or rebuilds real people's faces.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Write a run with its results as one file, for another store: there all of it is cached.

    Heads, faces, releases, slices, reconstructions, and what was trained on real people, go along with --faces only.
    Names of subjects are in every such file: it is for your own machines. What others may have, `refbench export`
    writes.

    For example:

        refbench store export demo demo_store.zip
        refbench store export demo demo_store.zip --kinds train --faces
    """
    from refbench.results import find_runs, load_run
    from refbench.run_jobs import job_keys, shows_real_people
    from refbench.store_care.archive import FACELESS, export_run

    place = Store(store or default_store())
    (folder,) = find_runs(place.root, [run])
    keys = job_keys(load_run(folder))
    asked = set(KINDS) if kinds is None else _kinds(kinds, "--kinds")
    if not faces and shows_real_people(keys, place):
        if kinds is not None and (faced := asked - {*FACELESS}):
            raise RefbenchError(f"{', '.join(sorted(faced))}: these hold faces of real people; take them with --faces")
        asked &= {*FACELESS}
        output.print(f"Real people: only {', '.join(sorted(asked))} and records; --faces takes all the rest.")
    moved = export_run(folder, keys.values(), place, asked, out)
    output.print(
        f"{out}: {moved.run}, {moved.results} results, {moved.records} records alone, {decimal(out.stat().st_size)}",
        soft_wrap=True,
    )
    output.print(f"there: refbench store import {out.name}", soft_wrap=True)


@app.command(name="import")
def import_(file: Annotated[Path, typer.Argument(help="What `store export` wrote")], store: StoreOption = None) -> None:
    """Take a run and its results into this store. Nothing in the file is executed; its results are believed.

    For example:

        refbench store import demo_store.zip
    """
    from refbench.store_care.archive import import_run

    moved = import_run(file, Store(store or default_store()))
    output.print(
        f"{moved.run}: {moved.results} results and {moved.records} records taken in, {moved.there} were there",
        soft_wrap=True,
    )


def _kinds(text: str, option: str) -> set[str]:
    """Kinds of job from a list with commas; what tables are made of is always among them."""
    from refbench.damage import READ_BY_TABLES

    names = {name.strip() for name in text.split(",")} - {"", "tables"}
    for name in names:
        if name not in KINDS:
            raise RefbenchError(f"{option}: there is no kind of job {name!r}{closest(name, [*KINDS, 'tables'])}")
    return names.union(READ_BY_TABLES)


def _bytes(text: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
    if not found:
        raise RefbenchError(f"--budget: {text!r} is no size; write it as 50GB or 800MB")
    return int(float(found[1]) * UNITS[found[2].upper()])
