"""Writes into suites.md what the code says of every key of a suite, and of every plug-in that comes along.

    python docs/make_reference.py

Nothing between the markers is ever typed; a test holds that the page says what the code says.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from pydantic import BaseModel

from refbench.describe import Parameter, parameters, summary
from refbench.registry import KINDS, Registry, in_words
from refbench.suite_file import SuiteFile

PAGE = Path(__file__).with_name("suites.md")
HEADER = ("type", "unit", "bounds", "default", "what it is")
TYPES = {"string | object": "plug-in", "list of string | object": "list of plug-ins", "object": "mapping"}
"""What reads better than the schema's own words."""


def updated(page: str) -> str:
    """The page with both of its generated parts anew."""
    return _inserted(_inserted(page, "keys", keys()), "plug-ins", plugins())


def keys() -> str:
    """A table of a suite's own keys, and one for each key that has keys inside."""
    fields = SuiteFile.model_fields.items()
    parts = {name: info.annotation for name, info in fields if inspect.isclass(info.annotation)}
    inside = {name: part for name, part in parts.items() if issubclass(part, BaseModel)}
    own = [_linked(row) if row.name in inside else row for row in parameters(SuiteFile)]
    texts = [_table("key", own)]
    for name, part in inside.items():
        texts += [f"### {name}", _described(part), _table("key", parameters(part))]
    return "\n\n".join(texts)


def plugins() -> str:
    """Every plug-in that comes with refbench, by kind."""
    registry = Registry.discover()
    texts = []
    for kind in KINDS:
        texts.append(f"### {in_words(kind).capitalize()}s")
        for entry in registry.of_kind(kind):
            if entry.origin == "refbench":
                plugin_class = entry.load()
                rows = parameters(plugin_class)
                table = _table("parameter", rows) if rows else "No parameters."
                texts += [f"#### {entry.name}", summary(plugin_class), table]
    return "\n\n".join(texts)


def _linked(row: Parameter) -> Parameter:
    return Parameter(row.name, "mapping", "", "", f"[below](#{row.name})", row.description)


def _described(part: type[BaseModel]) -> str:
    return inspect.getdoc(part) or ""


def _table(first: str, rows: list[Parameter]) -> str:
    lines = [(first, *HEADER), ("---",) * (1 + len(HEADER))]
    for row in rows:
        kind = row.type.removesuffix(" | none")
        optional = kind != row.type  # it need not be given, and has no value then
        default = "" if optional and row.default == "none" else row.default
        shown = default if default in ("", "required") or default.startswith("[below]") else f"`{default}`"
        kind = TYPES.get(kind, kind.replace(" | ", " or "))
        lines.append((f"`{row.name}`", kind, row.unit, row.bounds, shown, row.description))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _inserted(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name}: make_reference.py -->\n", f"<!-- end of {name} -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n\n{rest[rest.index(end) :]}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
