"""Reads YAML so that every value remembers where it stands, and so that nothing surprises.

Plain YAML 1.1 reads `2e-4` as a string, `NO` as false and `10:30` as 630, and lets the last of two equal keys win.
Here numbers are YAML 1.2's, only `true` and `false` are booleans, and a duplicate key is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Location = Sequence[str | int]
"""The way to a value: keys of mappings, indices of lists."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases and tags: they can make a file without end, and hide what a value is."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            what = "anchors and aliases are not used in suites"
            raise yaml.composer.ComposerError(None, None, what, event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(None, None, "tags (!...) are not used in suites", event.start_mark)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
    ("null", r"~|null|", "~n\0"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


@dataclass(frozen=True)
class Problem:
    """Something wrong at one place of a file. Line and column count from 1."""

    message: str
    line: int
    column: int
    key: str = ""


class YamlSource:
    """A YAML file: its value, and the place of every part of it.

    Attributes:
        data: the value as dictionaries, lists and scalars; None where the file cannot be read as YAML.
        problems: what is wrong with the YAML itself (syntax, duplicate keys, unhashable keys, aliases).
    """

    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.problems: list[Problem] = []
        self._key_marks: dict[tuple[str | int, ...], yaml.Mark] = {}
        self._value_marks: dict[tuple[str | int, ...], yaml.Mark] = {}
        self.data: Any = None
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            if node is not None:
                self.data = self._build(loader, node, ())
        except yaml.reader.ReaderError as error:
            before = text[: error.position].split("\n")
            what = f"not valid YAML: the character {error.character:#x} is not allowed"
            self.problems.append(Problem(what, len(before), len(before[-1]) + 1))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self.problems.append(Problem(f"not valid YAML: {error.problem or error}", line, column))
        except RecursionError:
            self.problems.append(Problem("not valid YAML: nested too deeply", 1, 1))

    def _build(self, loader: _Loader, node: yaml.Node, where: tuple[str | int, ...]) -> Any:
        self._value_marks[where] = node.start_mark
        if isinstance(node, yaml.MappingNode):
            value: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
                if key is None:
                    self._problem(key_node.start_mark, "a key must be a plain word")
                elif key in value:
                    first = self._key_marks[(*where, key)].line + 1
                    self._problem(key_node.start_mark, f"duplicate key (first on line {first})", key)
                else:
                    self._key_marks[(*where, key)] = key_node.start_mark
                    value[key] = self._build(loader, value_node, (*where, key))
            return value
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, item, (*where, index)) for index, item in enumerate(node.value)]
        return loader.construct_object(node)

    def _problem(self, mark: yaml.Mark, message: str, key: str = "") -> None:
        self.problems.append(Problem(message, mark.line + 1, mark.column + 1, key))

    def problem(self, message: str, where: Location, *, at_key: bool = False) -> Problem:
        """A problem with the value at `where`, or with its key; falls back to the nearest thing around it."""
        place = tuple(where)
        marks = [self._key_marks, self._value_marks] if at_key else [self._value_marks, self._key_marks]
        for length in range(len(place), -1, -1):
            for table in marks:
                if place[:length] in table:
                    mark = table[place[:length]]
                    return Problem(message, mark.line + 1, mark.column + 1, dotted(place))
        return Problem(message, 1, 1, dotted(place))

    def written(self, where: Location) -> tuple[str | int, ...]:
        """`where` without its parts that stand nowhere in the file, as pydantic's names of a union's members."""
        place: tuple[str | int, ...] = ()
        for part in where:
            if (*place, part) in self._value_marks:
                place = (*place, part)
        return place

    def report(self, problems: Sequence[Problem]) -> str:
        """All problems, in the order of the file, each with its line and a caret."""
        parts = []
        for problem in sorted(problems, key=lambda p: (p.line, p.column)):
            key = f"{problem.key}: " if problem.key else ""
            part = f"{self.path}:{problem.line}:{problem.column}: {key}{problem.message}"
            if problem.line <= len(self.lines):
                line = self.lines[problem.line - 1]
                # Tabs stay tabs, so that the caret stands below its character however wide they are.
                before = "".join("\t" if character == "\t" else " " for character in line[: problem.column - 1])
                part += f"\n{problem.line:>5} | {line}\n      | {before}^"
            parts.append(part)
        return "\n".join(parts)


def dotted(where: Location) -> str:
    """`anonymizers[2].blur.strength_mm`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
