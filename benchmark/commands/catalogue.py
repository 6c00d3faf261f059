"""The commands `list` and `schema`: what can be named in a suite."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from refbench import completion
from refbench.commands.common import KINDS_HELP, output
from refbench.errors import SuiteError
from refbench.registry import KINDS, Registry, closest


def list_plugins(
    kind: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help=KINDS_HELP, autocompletion=completion.kinds),
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
            raise SuiteError(f"unknown kind {kind!r}{closest(kind, KINDS)}")
    if kind is None or name is None:
        print_list(output, registry, kind)
    else:
        print_plugin(output, registry.find(kind, name))


def schema() -> None:
    """Print the JSON Schema of suite files, with every plug-in that is installed: editors complete and check by it.

    For example:

        refbench schema > suite.schema.json
    """
    from refbench.describe import suite_schema

    sys.stdout.write(json.dumps(suite_schema(Registry.discover()), indent=1) + "\n")
