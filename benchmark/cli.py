"""The command line: which commands there are. Each reads its options, calls one function and shows what it gave."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from refbench import __version__
from refbench.commands import (
    advise,
    anonymizers,
    attackers,
    catalogue,
    check,
    compare,
    data,
    differences,
    identify,
    job,
    leaderboard,
    new,
    plan,
    plot,
    report,
    reproduce,
    run,
    sharing,
    status,
)
from refbench.commands import store as store_commands
from refbench.commands.common import CANNOT, OK, errors, output
from refbench.errors import RefbenchError
from refbench.full_disk import says_full

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


COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    RUN: (run.run, run.demo, plan.plan, status.status, compare.gate, reproduce.reproduce, job.job),
    READ: (
        leaderboard.leaderboard,
        report.report,
        differences.differences,
        identify.identify,
        advise.advise,
        compare.compare,
        plot.plot,
        plot.heads,
        attackers.curves,
        anonymizers.qc,
    ),
    SHARE: (sharing.export, sharing.verify, sharing.site),
    ANONYMIZE: (anonymizers.anonymize,),
    PLUGINS: (catalogue.schema, new.new, check.check),
}
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.command(name="list", rich_help_panel=PLUGINS)(catalogue.list_plugins)
app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.add_typer(store_commands.app, name="store", rich_help_panel=RUN)


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
