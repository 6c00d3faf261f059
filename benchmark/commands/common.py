"""What the commands share: consoles, exit codes, options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from refbench import completion
from refbench.registry import KINDS

OK, CANNOT, FAILURES, INTERRUPTED = 0, 2, 3, 130
"""All went well; a suite, its data or a request is wrong; something failed on the way; stopped by the user."""

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

SuiteArgument = Annotated[
    str,
    typer.Argument(help="A suite file, or the name of one that comes with refbench", autocompletion=completion.suites),
]
RunArgument = Annotated[
    Optional[str],  # noqa: UP045  (typer reads it at run time)
    typer.Argument(help="A run by name or folder [default: the latest]", autocompletion=completion.runs),
]
RunsArgument = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(help="Runs by name or folder, or bundles [default: the latest]", autocompletion=completion.runs),
]
StoreOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--store", help="Folder of results [default: $REFBENCH_STORE, else .refbench]", show_default=False),
]
JobsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="Jobs side by side [default: one per core, or as many as have room in memory]"),
]
EngineOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Where jobs run, by name or with options as in a suite: local, slurm, dask [default: the suite's]"
    ),
]
RegionOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="front_half, whole, face or changed [default: front_half]", autocompletion=completion.regions),
]
SiteOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(help="Only subjects of this site; may be given again", autocompletion=completion.sites),
]
TableFormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        help="table, csv, markdown or json",
        autocompletion=completion.one_of("table", "csv", "markdown", "json"),
    ),
]
KINDS_HELP = f"{', '.join(KINDS[:-1])} or {KINDS[-1]}"
KindArgument = Annotated[str, typer.Argument(help=KINDS_HELP, autocompletion=completion.kinds)]
PluginOption = Annotated[Optional[list[Path]], typer.Option(help="A Python file that holds plug-ins")]  # noqa: UP045
