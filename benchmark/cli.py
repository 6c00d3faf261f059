"""The command line. Each command reads its options, calls one function and shows what it gave."""

from __future__ import annotations

import errno
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer
from rich.text import Text

from refbench import __version__, completion
from refbench.commands import (
    anonymizers,
    attackers,
    check,
    compare,
    data,
    differences,
    job,
    new,
    plan,
    plot,
    report,
    reproduce,
    sharing,
    status,
)
from refbench.commands import store as store_commands
from refbench.commands.common import (
    CANNOT,
    FAILURES,
    INTERRUPTED,
    OK,
    EngineOption,
    JobsOption,
    RegionOption,
    RunsArgument,
    SiteOption,
    StoreOption,
    SuiteArgument,
    TableFormatOption,
    errors,
    output,
)
from refbench.errors import RefbenchError, SuiteError
from refbench.full_disk import says_full
from refbench.job import Retry
from refbench.registry import KINDS, Registry, closest
from refbench.store import Store, default_store

if TYPE_CHECKING:
    from refbench.engines.options import EngineOptions
    from refbench.resume import Resume
    from refbench.suite import Suite
    from refbench.watch.notify import Notice

RUN, READ, SHARE, PLUGINS, ANONYMIZE, DATA = "Run", "Read results", "Share", "Plug-ins", "Anonymize files", "Data"
"""Panels of `refbench --help`."""

app = typer.Typer(
    name="refbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode="markdown",
)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Measure how much of a face comes back after a head MRI has been anonymized.

    Begin with `refbench demo`: phantoms, two minutes, nothing to download. `refbench COMMAND --help` has examples.
    """
    if version:
        output.print(f"refbench {__version__}")
        raise typer.Exit


@app.command(rich_help_panel=RUN)
def run(
    suite: SuiteArgument,
    store: StoreOption = None,
    jobs: JobsOption = None,
    engine: EngineOption = None,
    retry: Annotated[
        Retry,
        typer.Option(
            help="Try again what was lost to a crash, time or memory; what failed by itself, too; or nothing."
        ),
    ] = Retry.LOST,
    only: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Run only these, and what they need: anonymizer=, attacker=, subject= or kind= a name, or *"),
    ] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Do what is there again; with --only, what that names.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Make again what `store gc` dropped, needed or not.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first job that fails.")] = False,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Hand in the run itself to SLURM, and leave it there: see `refbench status`."),
    ] = False,
    notify: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="COMMAND",
            envvar="REFBENCH_NOTIFY",
            help="Run this at the end, however that comes; it reads a summary as JSON from its standard input.",
        ),
    ] = None,
) -> None:
    """Run a suite to its leaderboard. The same command again goes on where the last one ended.

    Exit codes: 0 all went well; 2 the suite or its data is wrong; 3 something failed on the way, and the rest is there.

    For example:

        refbench run demo
        refbench run my_suite.yaml --jobs 4
        refbench run my_suite.yaml --only "anonymizer=blur*" --retry failed
    """
    from refbench.engines.choose import chosen_engine
    from refbench.only import Only
    from refbench.results import run_folder
    from refbench.resume import Resume
    from refbench.suite import load_suite
    from refbench.watch.listeners import Tally
    from refbench.watch.notify import Notice, notifying, parse

    chosen = load_suite(suite)
    where = chosen_engine(engine, chosen)
    resume = Resume(retry, redo, whole, Only.parse(only or ()), fail_fast)
    place = Store(store or default_store())
    words = parse(notify)
    if detach:
        _detach(chosen, place, where, retry, notify)
        return
    folder = run_folder(chosen, place)
    notice = Notice(folder.name, chosen.name, folder, place.root, Tally())
    with notifying(words, notice, lambda text: errors.print(Text(text), soft_wrap=True)):
        code = _execute(chosen, place, where, resume, jobs, notice)
    if code != OK:
        raise typer.Exit(code)


def _execute(
    suite: Suite, store: Store, engine: EngineOptions, resume: Resume, jobs: int | None, notice: Notice
) -> int:
    """Run a suite and show what came of it; returns the exit code."""
    from refbench.run import execute
    from refbench.watch.console import ConsoleProgress
    from refbench.watch.listeners import Together

    progress = ConsoleProgress(output)
    try:
        with progress:
            together = Together(progress, notice.tally)
            outcome = execute(suite, store, together, engine=engine, resume=resume, slots=jobs)
    except KeyboardInterrupt:
        errors.print(
            f"Stopped. {notice.tally.ended_as['ok']} finished job(s) of this run are kept in {store.root}; "
            f"the same command{' without --redo' if resume.redo else ''} goes on from there."
        )
        notice.status = "stopped"
        return INTERRUPTED
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
        notice.status, notice.failures = "failures", outcome.failures
        _print_failures(outcome.failures)
        if resume.fail_fast:
            errors.print("The run stopped at the first failure; the same command goes on with the rest.")
        return FAILURES
    if len(outcome.run.scores):
        name = outcome.run.folder.name
        output.print(f"next: refbench report {name}, or refbench leaderboard {name} --attackers --region changed")
    return OK


@app.command(rich_help_panel=RUN)
def demo(store: StoreOption = None) -> None:
    """Run the demo suite on phantoms, show its leaderboard and write its report: two minutes, nothing to download.

    For example:

        refbench demo
    """
    run("demo", store)
    report.report("demo", store=store)


def _detach(suite: Suite, store: Store, engine: EngineOptions, retry: Retry, notify: str | None) -> None:
    if engine.name != "slurm":
        _refuse("--detach hands in the run to SLURM: name that engine, too, by --engine slurm or in the suite")
    from refbench.engines.choose import needs
    from refbench.engines.slurm_runner import detach
    from refbench.engines.slurm_submission import task_name

    needs("submitit", engine.name)
    words = [word for word in sys.argv[1:] if word != "--detach"]
    if notify is not None and not any(word.startswith("--notify") for word in words):
        words += ["--notify", notify]  # a task need not have our environment
    number, run = detach(suite, store, engine.slurm, words, retry)
    output.print(Text(f"handed in as SLURM job {number}"))
    output.print(Text(f"where it stands: refbench status {run}"), soft_wrap=True)
    output.print(Text(f"to end it and all its tasks: scancel --name={task_name(store)}"), soft_wrap=True)


def _print_failures(failures: list[dict[str, Any]]) -> None:
    counts = Counter(record["status"] for record in failures)
    errors.print("Not all went well: " + ", ".join(f"{count} {status}" for status, count in counts.items()) + ".")
    alike: dict[tuple[str, str], list[str]] = {}
    for record in failures:
        if record["status"] != "blocked":
            alike.setdefault((record["status"], record["error"]), []).append(record["label"])
    for (how, error), labels in list(alike.items())[:10]:
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        errors.print(Text(f"  ✗ {labels[0]}{more}: {how}: {error}"), soft_wrap=True)
    errors.print("What finished is kept and in the tables; `--retry failed` tries the failed jobs again.")


@app.command(rich_help_panel=READ)
def leaderboard(
    runs: RunsArgument = None,
    store: StoreOption = None,
    format: TableFormatOption = "table",  # noqa: A002
    region: RegionOption = None,
    metric: Annotated[
        Optional[list[str]],  # noqa: UP045  (typer reads it at run time)
        typer.Option(
            help="Show, and rank by, this metric only; may be given again", autocompletion=completion.of_kind("metric")
        ),
    ] = None,
    site: SiteOption = None,
    by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Metric to rank by [default: correlation]", autocompletion=completion.of_kind("metric")),
    ] = None,
    attackers: Annotated[
        bool, typer.Option("--attackers", help="A row for every attacker, not the strongest only")
    ] = False,
) -> None:
    """Rank the anonymizers by their strongest attacker: per-site correlation and SSIM with 95 % intervals.

    Several runs, also of several machines, are ranked together where they were made on the same people, slices and
    split.

    For example:

        refbench leaderboard
        refbench leaderboard demo --region changed --attackers
        refbench leaderboard demo --site HH --metric ssim --format csv
    """
    from dataclasses import replace

    from refbench import render
    from refbench.leaderboard import build_leaderboard, default_view
    from refbench.sharing.read import open_runs

    writers = {"csv": render.to_csv, "markdown": render.to_markdown, "json": render.to_json}
    if format not in ("table", *writers):
        _refuse(f"unknown format {format!r}{closest(format, ['table', *writers])}")
    loaded = open_runs((store or default_store()).absolute(), runs or [])
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


@app.command(name="list", rich_help_panel=PLUGINS)
def list_plugins(
    kind: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="dataset, anonymizer, attacker or metric", autocompletion=completion.kinds),
    ] = None,
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            help="One of them: its parameters, units, bounds, defaults", autocompletion=completion.plugin_names
        ),
    ] = None,
    plugin: Annotated[Optional[list[Path]], typer.Option(help="A Python file that holds plug-ins")] = None,  # noqa: UP045
) -> None:
    """Show what can be named in a suite.

    For example:

        refbench list
        refbench list anonymizer
        refbench list anonymizer blur
    """
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


@app.command(rich_help_panel=PLUGINS)
def schema() -> None:
    """Print the JSON Schema of suite files, with every plug-in that is installed: editors complete and check by it.

    For example:

        refbench schema > suite.schema.json
    """
    from refbench.describe import suite_schema

    sys.stdout.write(json.dumps(suite_schema(Registry.discover()), indent=1) + "\n")


for panel, commands in {
    RUN: (plan.plan, status.status, compare.gate, reproduce.reproduce, job.job),
    READ: (report.report, differences.differences, compare.compare, plot.plot, attackers.curves, anonymizers.qc),
    SHARE: (sharing.export, sharing.verify, sharing.site),
    ANONYMIZE: (anonymizers.anonymize,),
    PLUGINS: (new.new, check.check),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.add_typer(store_commands.app, name="store", rich_help_panel=RUN)


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
