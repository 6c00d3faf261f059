"""The command that begins a plug-in: `new`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from refbench.commands.common import KindArgument, output


def new(
    kind: KindArgument,
    name: Annotated[str, typer.Argument(help="What suites will call it: my_blur")],
    into: Annotated[Path, typer.Option(help="Folder that gets the package's folder")] = Path(),
) -> None:
    """Make a package for a plug-in of your own: it can be installed, is tested, and works before you change it.

    For example:

        refbench new anonymizer my_blur
        refbench new attacker my_attack --into packages
    """
    from refbench.scaffold import make_package, module_name

    folder = make_package(kind, name, into)
    output.print(Text(f"{folder}: write your method into src/{module_name(name)}.py"), soft_wrap=True)
    output.print(Text(f"next: pip install -e {folder}"), soft_wrap=True)
    output.print(Text(f"      pytest {folder}"), soft_wrap=True)
    output.print(Text(f"      refbench run {folder / 'suite.yaml'}"), soft_wrap=True)
