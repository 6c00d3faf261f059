"""What the commands share: consoles, exit codes, options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

OK, CANNOT, FAILURES, INTERRUPTED = 0, 2, 3, 130
"""All went well; a suite, its data or a request is wrong; something failed on the way; stopped by the user."""

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

SuiteArgument = Annotated[str, typer.Argument(help="A suite file, or the name of one that comes with refbench")]
StoreOption = Annotated[
    Optional[Path],  # noqa: UP045  (typer reads it at run time)
    typer.Option("--store", help="Folder of results [default: $REFBENCH_STORE, else .refbench]", show_default=False),
]
PluginOption = Annotated[Optional[list[Path]], typer.Option(help="A Python file that holds plug-ins")]  # noqa: UP045
