"""The commands `run` and `demo`: a suite to its leaderboard."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.text import Text

from refbench.commands.common import (
    FAILURES,
    INTERRUPTED,
    OK,
    EngineOption,
    JobsOption,
    StoreOption,
    SuiteArgument,
    errors,
    output,
)
from refbench.commands.report import report
from refbench.errors import SuiteError
from refbench.job import Retry
from refbench.store import Store, default_store

if TYPE_CHECKING:
    from refbench.engines.options import EngineOptions
    from refbench.resume import Resume
    from refbench.suite import Suite
    from refbench.watch.notify import Notice


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


def demo(store: StoreOption = None) -> None:
    """Run the demo suite on phantoms, show its leaderboard and write its report: two minutes, nothing to download.

    For example:

        refbench demo
    """
    run("demo", store)
    report("demo", store=store)


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
        next_steps = f"next: refbench report {name}, or refbench leaderboard {name} --attackers --region changed"
        output.print(next_steps, soft_wrap=True)
    return OK


def _detach(suite: Suite, store: Store, engine: EngineOptions, retry: Retry, notify: str | None) -> None:
    if engine.name != "slurm":
        raise SuiteError("--detach hands in the run to SLURM: name that engine, too, by --engine slurm or in the suite")
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
