"""What plug-ins there are and what they take: for `refbench list` and for the JSON Schema of suites."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.errors import PydanticUserError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from refbench.errors import PluginError
from refbench.metrics.head_metrics.base import HeadMetric
from refbench.plugin import Plugin
from refbench.registry import KINDS, Entry, Registry, in_words

BOUNDS = {
    "exclusiveMinimum": ">",
    "minimum": "≥",
    "exclusiveMaximum": "<",
    "maximum": "≤",
    "multipleOf": "multiple of",
    "minItems": "length ≥",
}


@dataclass(frozen=True)
class Parameter:
    """One field of a plug-in or of a suite, as text."""

    name: str
    type: str
    unit: str
    bounds: str
    default: str
    description: str


def summary(plugin_class: type[Plugin]) -> str:
    """The first line of a plug-in's docstring."""
    return (inspect.getdoc(plugin_class) or "").partition("\n")[0]


def parameters(model: type[BaseModel]) -> list[Parameter]:
    """All parameters of a plug-in, or keys of a part of a suite, in the order of its fields."""
    schema = model.model_json_schema()
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in schema.get("required", ()) else _plain(field.get("default"))
        shape = _resolved(field, schema)
        rows.append(
            Parameter(name, _type(shape), field.get("unit", ""), _bounds(shape), default, field.get("description", ""))
        )
    return rows


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref", "")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else field


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field or "const" in field:
        return " | ".join(str(value) for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        return " | ".join(_type(option) for option in field["anyOf"])
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {_type(field.get('items', {}))}"
    return "path" if field.get("format") == "path" else "none" if kind == "null" else kind


def _bounds(field: Mapping[str, Any]) -> str:
    options = [field, *field.get("anyOf", ()), field.get("items", {})]
    return ", ".join(f"{sign} {option[key]:g}" for option in options for key, sign in BOUNDS.items() if key in option)


def _plain(value: Any) -> str:
    if isinstance(value, list | dict):  # as it would be written in a suite
        return yaml.safe_dump(value, default_flow_style=True, width=math.inf).strip()
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def print_list(console: Console, registry: Registry, kind: str | None = None) -> None:
    """One line per plug-in; a broken one says what is wrong with it."""
    for shown in (kind,) if kind else KINDS:
        table = Table(box=None, pad_edge=False, title=f"{in_words(shown)}s", title_justify="left", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        table.add_column(style="dim", no_wrap=True)
        for entry in registry.of_kind(shown):
            table.add_row(entry.name, _line(entry), "" if entry.origin == "refbench" else entry.origin)
        console.print(table)
    for problem in registry.problems:
        console.print(Text(f"! {problem}", style="yellow"))


def _line(entry: Entry) -> Text:
    try:
        return Text(summary(entry.load()))
    except PluginError as error:
        return Text(f"broken: {error}", style="red")


def print_plugin(console: Console, entry: Entry) -> None:
    """A plug-in's documentation and its parameters; of a metric of whole heads also its figures.

    Raises:
        PluginError: it cannot be loaded.
    """
    plugin_class = entry.load()
    console.print(
        Text(f"{in_words(entry.kind)} {entry.name}", style="bold"),
        Text(f"revision {plugin_class.revision}, from {entry.origin}"),
    )
    console.print(Text(inspect.getdoc(plugin_class) or ""))
    rows = parameters(plugin_class)
    if rows:
        cells = [(row.name, row.type, row.unit, row.bounds, row.default, row.description) for row in rows]
        _print_table(console, ("parameter", "type", "unit", "bounds", "default", "what it is"), cells)
    else:
        console.print("no parameters")
    if issubclass(plugin_class, HeadMetric):
        board = dict.fromkeys(plugin_class.headline, "leaderboard")
        figures = [(name, what, board.get(name, "")) for name, what in plugin_class.figures.items()]
        _print_table(console, ("figure", "what it is", "stands in"), figures)


def _print_table(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name)
    for row in rows:
        # As plain text: rich would read the square brackets of a default as markup.
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def suite_schema(registry: Registry) -> dict[str, Any]:
    """The JSON Schema (2020-12) of suite files, with every plug-in that is installed and its parameters."""
    from refbench.suite_file import SuiteFile

    schema = SuiteFile.model_json_schema()
    definitions, properties = schema.setdefault("$defs", {}), schema["properties"]
    for kind in KINDS:
        definitions[kind] = _use_schema(registry, kind, definitions)
        if kind != "dataset":
            properties[f"{kind}s"]["items"] = {"$ref": f"#/$defs/{kind}"}
    dataset = {"$ref": "#/$defs/dataset"}
    properties["dataset"] = {"description": properties["dataset"]["description"], **dataset}
    properties["datasets"]["minProperties"] = 2
    properties["datasets"]["patternProperties"] = dict.fromkeys(properties["datasets"]["patternProperties"], dataset)
    schema["oneOf"] = [{"required": ["dataset"]}, {"required": ["datasets"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "refbench suite"}


def _use_schema(registry: Registry, kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    names, options = [], []
    for entry in registry.of_kind(kind):
        try:
            own = entry.load().model_json_schema()
        except (PluginError, PydanticUserError):  # somebody else's; `refbench list` names what cannot be loaded
            continue
        definitions.update(own.pop("$defs", {}))
        properties = {
            name: field if kind == "dataset" else {"anyOf": [field, {"type": "array", "items": field, "minItems": 1}]}
            for name, field in own.get("properties", {}).items()
        }
        parameters_schema = {
            "type": ["object", "null"],
            "description": own.get("description", ""),
            "properties": properties,
            "required": own.get("required", []),
            "additionalProperties": False,
        }
        names.append(entry.name)
        options.append(
            {
                "type": "object",
                "properties": {entry.name: parameters_schema},
                "required": [entry.name],
                "additionalProperties": False,
            }
        )
    return {"anyOf": [{"enum": names}, *options]}
