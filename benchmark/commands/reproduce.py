"""The command `reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.text import Text

from refbench import completion
from refbench.commands.common import INTERRUPTED, JobsOption, StoreOption, errors, output
from refbench.store import Store, default_store

DIFFERENT = 1


def reproduce(
    run: Annotated[str, typer.Argument(help="A run by name or folder", autocompletion=completion.runs)],
    into: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Store for what is made again [default: beside the run's own, ending in -reproduced]"),
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="So much two numbers may be apart and count as equal")] = 0.0,
    jobs: JobsOption = None,
    store: StoreOption = None,
) -> None:
    """Run the same again from a run's lock file in a store of its own, and compare every number.

    Suite and split are those of the lock file; versions are today's, and what differs is said. The same command again
    goes on where it was stopped. Exit code 1: numbers differ.

    For example:

        refbench reproduce demo
        refbench reproduce demo --into /data/again --tolerance 0.001
    """
    from refbench.commands.compare import show_means
    from refbench.errors import RefbenchError
    from refbench.lock_file import read_lock
    from refbench.reproduce import changed_plugin_files, compare_numbers, locked_suite, report
    from refbench.results import find_runs, load_run
    from refbench.run import execute
    from refbench.watch.console import ConsoleProgress

    place = Store(store or default_store())
    (folder,) = find_runs(place.root, [run])
    before, lock = load_run(folder), read_lock(folder)
    suite = locked_suite(lock)
    for name in changed_plugin_files(lock):
        output.print(Text(f"changed since: {name}"), soft_wrap=True)
    other = Store(into or place.root.with_name(f"{place.root.name}-reproduced"))
    if other.root.resolve() == place.root.resolve():
        raise RefbenchError(f"{other.root} is the run's own store, where all of it is cached; give another with --into")
    try:
        with ConsoleProgress(output) as progress:
            outcome = execute(suite, other, progress, slots=jobs, parts=lock.parts)
    except KeyboardInterrupt:
        errors.print(f"Stopped. What finished is kept in {other.root}; the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None
    for record in outcome.failures[:10]:
        if record["status"] != "blocked":
            errors.print(Text(f"  ✗ {record['label']}: {record['status']}: {record['error']}"), soft_wrap=True)
    found = compare_numbers(before, outcome.run, (place, other), tolerance)
    for line in report(found):
        output.print(Text(line), soft_wrap=True)
    if found.same:
        output.print(Text(f"{lock.run} came out again, in {outcome.run.folder}"), soft_wrap=True)
        return
    show_means(before, outcome.run, tolerance)
    raise typer.Exit(DIFFERENT)
