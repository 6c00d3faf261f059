"""What a shell offers for an argument after the tab key: nothing here may take longer than a user waits for a word.

So no table is read, and nothing is imported that takes long: names of runs are those of folders, sites stand in a small
text file of a run. Typer keeps what begins with the letters that are there; where nothing does, shells offer files.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import get_args

import typer

from refbench.registry import KINDS, Registry
from refbench.store import default_store


def suites() -> list[str]:
    """Suites that come with refbench, and suite files of this folder."""
    shipped = [Path(item.name) for item in resources.files("refbench.suites").iterdir()]
    here = [path.name for pattern in ("*.yaml", "*.yml") for path in Path().glob(pattern)]
    return sorted(path.stem for path in shipped if path.suffix == ".yaml") + sorted(here)


def runs(ctx: typer.Context) -> list[str]:
    """Finished runs of the store, the latest first."""
    return [folder.name for folder in _finished(ctx)]


def sites(ctx: typer.Context) -> list[str]:
    """Sites of all runs of the store."""
    found: set[str] = set()
    for folder in _finished(ctx):
        with suppress(OSError, KeyError), (folder / "split.csv").open(encoding="utf-8", newline="") as table:
            found |= {row["site"] for row in csv.DictReader(table)}
    return sorted(found)


def regions() -> Sequence[str]:
    """Where metrics look."""
    from refbench.suite_file import RegionName

    return get_args(RegionName)


def kinds() -> Sequence[str]:
    """Kinds of plug-ins."""
    return KINDS


def plugin_names(ctx: typer.Context) -> list[str]:
    """Plug-ins of the kind that stands before."""
    return _installed(str(ctx.params.get("kind")).removesuffix("s"))


def of_kind(kind: str) -> Callable[[], list[str]]:
    """Offers the plug-ins of one kind."""
    return lambda: _installed(kind)


def one_of(*words: str) -> Callable[[], Sequence[str]]:
    """Offers these words."""
    return lambda: words


def _installed(kind: str) -> list[str]:
    return [entry.name for entry in Registry.discover().of_kind(kind)]


def _finished(ctx: typer.Context) -> list[Path]:
    """Folders of the finished runs, the latest first."""
    store = ctx.params.get("store") or default_store()
    records = sorted(store.glob("runs/*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [record.parent for record in records]
