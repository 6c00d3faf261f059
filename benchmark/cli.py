"""The command line. Each command reads its options, calls one function and shows what it gave."""

from __future__ import annotations

import errno
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer
from rich.text import Text

from refbench import __version__
from refbench.commands import anonymizers, attackers, check, compare, data, differences, job, new, plan, plot, reproduce
from refbench.commands import store as store_commands
from refbench.commands.common import CANNOT, FAILURES, INTERRUPTED, OK, StoreOption, SuiteArgument, errors, output
from refbench.errors import RefbenchError, SuiteError
from refbench.full_disk import says_full
from refbench.registry import KINDS, Registry, closest
from refbench.store import Store, default_store

app = typer.Typer(
    name="refbench",
    help="Measures how much of a face comes back after a head MRI has been anonymized.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Measures how much of a face comes back after a head MRI has been anonymized."""
    if version:
        output.print(f"refbench {__version__}")
        raise typer.Exit


@app.command()
def run(
    suite: SuiteArgument,
    store: StoreOption = None,
    jobs: Annotated[Optional[int], typer.Option(min=1, help="Jobs side by side [default: one per core]")] = None,  # noqa: UP045
    retry: Annotated[bool, typer.Option("--retry", help="Try failed jobs again, too.")] = False,
) -> None:
    """Run a suite to its leaderboard. The same command again goes on where the last one ended."""
    from refbench.progress import ConsoleProgress
    from refbench.run import execute
    from refbench.suite import load_suite

    chosen = load_suite(suite)
    place = Store(store or default_store())
    progress = ConsoleProgress(output)
    try:
        with progress:
            outcome = execute(chosen, place, progress, retry=retry, slots=jobs)
    except KeyboardInterrupt:
        errors.print(
            f"Stopped. {progress.finished} finished job(s) of this run are kept in {place.root}; "
            "the same command goes on from there."
        )
        raise typer.Exit(INTERRUPTED) from None
    from refbench.leaderboard import build_leaderboard, default_view
    from refbench.render import show

    if len(outcome.run.scores):
        show(build_leaderboard([outcome.run], default_view(outcome.run)), output)
    seconds = outcome.run.info["seconds"]
    output.print(
        f"{outcome.jobs} jobs, {outcome.cached} cached, {seconds:.1f} s · {outcome.run.folder}", soft_wrap=True
    )
    for found in outcome.damaged:
        errors.print(Text(f"  ! damaged, set aside and made again where needed: {found}"), soft_wrap=True)
    if outcome.failures:
        _print_failures(outcome.failures)
        raise typer.Exit(FAILURES)
    output.print(f"next: refbench leaderboard {outcome.run.folder.name} --attackers --region changed")


def _print_failures(failures: list[dict[str, Any]]) -> None:
    counts = Counter(record["status"] for record in failures)
    errors.print("Not all went well: " + ", ".join(f"{count} {status}" for status, count in counts.items()) + ".")
    alike: dict[tuple[str, str], list[str]] = {}
    for record in failures:
        if record["status"] != "blocked":
            alike.setdefault((record["status"], record["error"]), []).append(record["label"])
    for (status, error), labels in list(alike.items())[:10]:
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        errors.print(Text(f"  ✗ {labels[0]}{more}: {status}: {error}"), soft_wrap=True)
    errors.print("What finished is kept and in the tables; `--retry` tries the failed jobs again.")


@app.command()
def leaderboard(
    runs: Annotated[Optional[list[str]], typer.Argument(help="Runs by name or folder [default: the latest]")] = None,  # noqa: UP045
    store: StoreOption = None,
    format: Annotated[str, typer.Option(help="table, csv, markdown or json")] = "table",  # noqa: A002
    region: Annotated[Optional[str], typer.Option(help="front_half, whole, face or changed")] = None,  # noqa: UP045
    metric: Annotated[Optional[list[str]], typer.Option(help="Show, and rank by, this metric only")] = None,  # noqa: UP045
    site: Annotated[Optional[list[str]], typer.Option(help="Only subjects of this site")] = None,  # noqa: UP045
    by: Annotated[Optional[str], typer.Option(help="Metric to rank by [default: correlation]")] = None,  # noqa: UP045
    attackers: Annotated[
        bool, typer.Option("--attackers", help="A row for every attacker, not the strongest only")
    ] = False,
) -> None:
    """Rank the anonymizers by their strongest attacker: per-site correlation and SSIM with 95 % intervals."""
    from dataclasses import replace

    from refbench import render
    from refbench.leaderboard import build_leaderboard, default_view
    from refbench.results import find_runs, load_run

    writers = {"csv": render.to_csv, "markdown": render.to_markdown, "json": render.to_json}
    if format not in ("table", *writers):
        _refuse(f"unknown format {format!r}{closest(format, ['table', *writers])}")
    loaded = [load_run(folder) for folder in find_runs((store or default_store()).absolute(), runs or [])]
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


@app.command(name="list")
def list_plugins(
    kind: Annotated[Optional[str], typer.Argument(help="dataset, anonymizer, attacker or metric")] = None,  # noqa: UP045
    name: Annotated[Optional[str], typer.Argument(help="One of them: its parameters, units, bounds, defaults")] = None,  # noqa: UP045
    plugin: Annotated[Optional[list[Path]], typer.Option(help="A Python file that holds plug-ins")] = None,  # noqa: UP045
) -> None:
    """Show what can be named in a suite."""
    from refbench.describe import print_list, print_plugin

    registry = Registry.discover(plugin or ())
    if kind is not None:
        kind = kind.removesuffix("s")
        if kind not in KINDS:
            _refuse(f"unknown kind {kind!r}{closest(kind, KINDS)}")
    if kind is None or name is None:
        print_list(output, registry, kind)
    else:
        print_plugin(output, registry.find(kind, name))


@app.command()
def schema() -> None:
    """Print the JSON Schema of suite files, with every plug-in that is installed."""
    from refbench.describe import suite_schema

    sys.stdout.write(json.dumps(suite_schema(Registry.discover()), indent=1) + "\n")


for command in (
    plan.plan,
    job.job,
    anonymizers.anonymize,
    anonymizers.qc,
    attackers.curves,
    plot.plot,
    check.check,
    new.new,
    compare.compare,
    compare.gate,
    differences.differences,
    reproduce.reproduce,
):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(store_commands.app, name="store")


def _refuse(message: str) -> NoReturn:
    raise SuiteError(message)


def main() -> NoReturn:
    """Run the command line; errors meant for the user become one message and an exit code, never a traceback."""
    try:
        app(standalone_mode=True)
    except RefbenchError as error:
        errors.print(Text(str(error)), soft_wrap=True)
        sys.exit(CANNOT)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) and error.filename:
            errors.print(Text(f"{error.filename}: {error.strerror}; choose another place"), soft_wrap=True)
            sys.exit(CANNOT)
        if not says_full(str(error)):
            raise
        errors.print(Text(f"{error}: make room; the same command goes on from there."), soft_wrap=True)
        sys.exit(CANNOT)
    sys.exit(OK)
