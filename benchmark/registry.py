"""Finds plug-ins: through entry points (built-ins use the same door), or in plain files that a suite names.

Nothing is imported before it is asked for by name, and one broken plug-in never hides the others.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from refbench.errors import PluginError
from refbench.plugin import Plugin

BASES = {
    "dataset": "refbench.datasets.base:Dataset",
    "anonymizer": "refbench.anonymizers.base:Anonymizer",
    "attacker": "refbench.attackers.base:Attacker",
    "metric": "refbench.metrics.base:Metric",
    "recognizer": "refbench.metrics.recognizers.base:Recognizer",
    "head_metric": "refbench.metrics.head_metrics.base:HeadMetric",
}
KINDS = tuple(BASES)


def base_class(kind: str) -> type[Plugin]:
    """The base class of a kind of plug-in, one of `KINDS`."""
    module, name = BASES[kind].split(":")
    base: type[Plugin] = getattr(importlib.import_module(module), name)
    return base


def in_words(kind: str) -> str:
    """What a sentence or a title calls a kind of plug-in: `head metric`."""
    return kind.replace("_", " ")


def closest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'blur'?`, or a list of what there is when nothing is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"


@dataclass(frozen=True)
class Entry:
    """A plug-in that is known by name and not loaded yet. `origin` is a distribution's name or a file's path."""

    kind: str
    name: str
    origin: str
    entry_point: EntryPoint | None = None
    plugin_class: type[Plugin] | None = None

    def load(self) -> type[Plugin]:
        """Import the class.

        Raises:
            PluginError: whatever goes wrong in somebody else's module, as one line.
        """
        if self.plugin_class is not None:
            return self.plugin_class
        assert self.entry_point is not None
        where = f"{self.kind} {self.name!r} ({self.entry_point.value}, from {self.origin})"
        try:
            loaded = self.entry_point.load()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise PluginError(f"{where} cannot be loaded: {type(error).__name__}: {_one_line(error)}") from error
        base = base_class(self.kind)
        if not (inspect.isclass(loaded) and issubclass(loaded, base)):
            raise PluginError(f"{where} is not a class derived from {BASES[self.kind].replace(':', '.')}")
        if inspect.isabstract(loaded):
            missing = ", ".join(sorted(loaded.__abstractmethods__))
            raise PluginError(f"{where} lacks the method(s) {missing}")
        return loaded


@dataclass(frozen=True)
class Registry:
    """All plug-ins that this installation, and the files of one suite, offer."""

    entries: dict[tuple[str, str], Entry]
    problems: list[str] = field(default_factory=list)

    @classmethod
    def discover(cls, files: Sequence[Path] = ()) -> Registry:
        """List entry points of all installed distributions, then the plug-in classes in `files`."""
        registry = cls({})
        for entry in _installed():
            registry._add(entry)
        for path in files:
            registry.add_file(path)
        return registry

    def add_file(self, path: Path) -> list[str]:
        """Add the plug-in classes of a plain file; returns what is wrong with their names, as `problems` does.

        Raises:
            PluginError: the file is missing, fails while it is imported, or holds no plug-in.
        """
        before = len(self.problems)
        for entry in _entries_of_file(path):
            self._add(entry)
        return self.problems[before:]

    def _add(self, entry: Entry) -> None:
        known = self.entries.get((entry.kind, entry.name))
        if known is None:
            self.entries[entry.kind, entry.name] = entry
        elif (known.origin, known.entry_point) != (entry.origin, entry.entry_point):
            self.problems.append(
                f"{entry.kind} {entry.name!r} is offered by {known.origin} and by {entry.origin}; the first is used"
            )

    def of_kind(self, kind: str) -> list[Entry]:
        """Entries of one kind, by name."""
        return sorted((e for e in self.entries.values() if e.kind == kind), key=lambda entry: entry.name)

    def find(self, kind: str, name: str) -> Entry:
        """Look a plug-in up.

        Raises:
            PluginError: there is none; the message suggests the nearest name.
        """
        try:
            return self.entries[kind, name]
        except KeyError:
            names = [entry.name for entry in self.of_kind(kind)]
            said = closest(name, names) if names else "; there is none"
            raise PluginError(f"unknown {in_words(kind)} {name!r}{said}") from None


@cache
def _installed() -> tuple[Entry, ...]:
    """Of all kinds in one go, with their distributions' names: each look reads files of every distribution."""
    everything = entry_points()
    return tuple(
        Entry(kind, point.name, point.dist.name if point.dist else "unknown", entry_point=point)
        for kind in KINDS
        for point in everything.select(group=f"refbench.{kind}s")
    )


def plugin_module(path: Path) -> ModuleType:
    """Import a plain Python file under a name of its own (once per process).

    Raises:
        PluginError: the file is missing or fails while it is imported.
    """
    path = path.resolve()
    name = f"refbench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise PluginError(f"plug-in file {path} does not exist")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"plug-in file {path} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError(
            f"plug-in file {path} cannot be loaded: {type(error).__name__}: {_one_line(error)}"
        ) from error
    return module


def _entries_of_file(path: Path) -> list[Entry]:
    module = plugin_module(path)
    found = []
    for member in vars(module).values():
        if not (inspect.isclass(member) and member.__module__ == module.__name__ and not inspect.isabstract(member)):
            continue
        for kind in KINDS:
            if issubclass(member, base_class(kind)):
                found.append(Entry(kind, _snake_case(member.__name__), str(path), plugin_class=member))
    if not found:
        raise PluginError(
            f"plug-in file {path} holds no complete class derived from "
            f"{', '.join(base.rpartition(':')[2] for base in BASES.values())}"
        )
    return found


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
