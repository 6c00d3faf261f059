"""The command that tries a plug-in: `check`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from refbench import completion
from refbench.commands.common import FAILURES, KindArgument, PluginOption, errors, output
from refbench.registry import KINDS, Registry, closest


def check(
    kind: KindArgument,
    name: Annotated[
        str,
        typer.Argument(
            help="One of them, as in a suite: blur, 'blur: {strength_mm: 8}'", autocompletion=completion.plugin_names
        ),
    ],
    plugin: PluginOption = None,
) -> None:
    """Try a plug-in on phantoms, on toys or on its own scans: does it keep the contract that suites rely on?

    An attacker is trained six times. Networks are best tried narrow: 'pix2pix: {width: 8}'. Of a dataset all scans are
    listed and a few are loaded: 'folder: {path: data}'.

    For example:

        refbench check anonymizer 'blur: {strength_mm: 8}'
        refbench check attacker brighten --plugin brighten.py
    """
    from refbench import testing
    from refbench.errors import PluginError, Unavailable
    from refbench.suite import choose

    if kind not in KINDS:
        raise PluginError(f"there are no checks for the kind {kind!r}{closest(kind, KINDS)}")
    registry = Registry.discover(plugin or ())
    chosen = choose(kind, name, registry)
    if chosen.plugin.missing():
        raise Unavailable(f"{chosen.label}: {chosen.plugin.missing()}")
    broken = 0
    for result in testing.check(chosen.plugin):
        broken += not result.passed
        mark = "[red]✗[/]" if not result.passed else "[yellow]–[/]" if result.skipped else "[green]✓[/]"
        said = result.problem or result.skipped
        output.print(mark, Text(f"{result.rule}: {said}" if said else result.rule), soft_wrap=True)
    if broken:
        errors.print(Text(f"{chosen.label} breaks {broken} rule(s)"), soft_wrap=True)
        raise typer.Exit(FAILURES)
    output.print(Text(f"{chosen.label} keeps them all. {testing.remark(chosen.plugin)}".rstrip()), soft_wrap=True)
