import io
import json
import re
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from rich.console import Console

from refbench.describe import Parameter, parameters, print_plugin, suite_schema, summary
from refbench.errors import PluginError
from refbench.metrics.base import Metric
from refbench.plugin import Plugin, param
from refbench.registry import KINDS, Entry, Registry
from refbench.suite_file import SuiteFile


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Everything(Plugin):
    """Has everything.

    And a second paragraph.
    """

    size_mm: float = param(4.0, "how far", unit="mm", gt=0, le=50)
    count: int = param(..., "how many", ge=1, multiple_of=2)
    mode: Literal["hard", "soft"] = param("hard", "which way")
    only: Literal[8] | None = param(None, "or not")
    flag: bool = param(True, "whether")
    names: list[str] = param(["[a-z]+"], "what they are called")
    file: Path | None = param(None, "where")
    colour: Colour = param(Colour.RED, "of what")


def test_the_summary_is_the_first_line() -> None:
    assert summary(Everything) == "Has everything."


def test_parameters_as_text() -> None:
    assert parameters(Everything) == [
        Parameter("size_mm", "number", "mm", "> 0, ≤ 50", "4.0", "how far"),
        Parameter("count", "integer", "", "≥ 1, multiple of 2", "required", "how many"),
        Parameter("mode", "hard | soft", "", "", "hard", "which way"),
        Parameter("only", "8 | none", "", "", "none", "or not"),
        Parameter("flag", "boolean", "", "", "true", "whether"),
        Parameter("names", "list of string", "", "", "['[a-z]+']", "what they are called"),
        Parameter("file", "path | none", "", "", "none", "where"),
        Parameter("colour", "red | blue", "", "", "red", "of what"),
    ]


def printed(entry: Entry) -> str:
    stream = io.StringIO()
    print_plugin(Console(file=stream, width=200), entry)
    return stream.getvalue()


def test_a_plugin_is_printed_with_its_documentation_and_square_brackets_stay() -> None:
    shown = printed(Entry("metric", "everything", "somewhere/[x].py", plugin_class=Everything))
    assert "metric everything" in shown
    assert "And a second paragraph." in shown
    assert "['[a-z]+']" in shown
    assert "[x].py" in shown
    assert "> 0, ≤ 50" in shown


def test_a_plugin_without_parameters_says_so() -> None:
    assert "no parameters" in printed(Registry.discover().find("anonymizer", "identity"))


def test_a_head_metric_is_printed_with_its_figures() -> None:
    lines = printed(Registry.discover().find("head_metric", "utility")).splitlines()
    assert lines[0].startswith("head metric utility revision")
    figures = {line.split()[0]: line for line in lines if line.strip()}
    assert "overlap of the brains" in figures["brain_dice"]
    assert figures["brain_dice"].rstrip().endswith("leaderboard")
    assert not figures["head_change_percent"].rstrip().endswith("leaderboard")


def test_every_parameter_of_every_built_in_has_a_description() -> None:
    registry = Registry.discover()
    for kind in KINDS:
        for entry in registry.of_kind(kind):
            if entry.origin != "refbench":
                continue
            plugin_class = entry.load()
            assert summary(plugin_class), entry
            for row in parameters(plugin_class):
                assert row.description, (entry.name, row)
                assert not row.description.endswith("."), (entry.name, row)
                assert row.type != "any", (entry.name, row)


# The JSON Schema of suites


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return suite_schema(Registry.discover())


def test_the_schema_is_json_and_names_its_dialect(schema: dict[str, Any]) -> None:
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(SuiteFile.model_fields)
    assert set(schema["required"]) == {"anonymizers", "attackers"}
    assert schema["oneOf"] == [{"required": ["dataset"]}, {"required": ["datasets"]}]
    assert schema["additionalProperties"] is False


def test_every_reference_of_the_schema_leads_somewhere(schema: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for inner in value.values() for found in references(inner)]
        return [found for inner in value for found in references(inner)] if isinstance(value, list) else []

    found = references(schema)
    assert {"#/$defs/dataset", "#/$defs/anonymizer", "#/$defs/attacker", "#/$defs/metric"} <= set(found)
    for reference in found:
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


def accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """The part of JSON Schema that is used here."""
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if "anyOf" in schema:
        return any(accepts(option, value, root) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    types = schema.get("type", [])
    python = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    numbers = {"number": (int, float), "integer": int}
    allowed = [types] if isinstance(types, str) else types
    if allowed and not any(
        isinstance(value, python[t]) if t in python else isinstance(value, numbers[t]) and not isinstance(value, bool)
        for t in allowed
    ):
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for pattern, field in schema.get("patternProperties", {}).items():
            known = known | {key: field for key in value if re.search(pattern, key)}
        if not schema.get("minProperties", 0) <= len(value):
            return False
        if "oneOf" in schema and sum(set(one["required"]) <= set(value) for one in schema["oneOf"]) != 1:
            return False
        if not set(schema.get("required", [])) <= set(value):
            return False
        if schema.get("additionalProperties") is False and not set(value) <= set(known):
            return False
        return all(accepts(known[key], item, root) for key, item in value.items() if key in known)
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(accepts(schema["items"], v, root) for v in value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return (
            value > schema.get("exclusiveMinimum", -float("inf"))
            and value >= schema.get("minimum", -float("inf"))
            and value < schema.get("exclusiveMaximum", float("inf"))
            and value <= schema.get("maximum", float("inf"))
        )
    return True


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("", True),
        ("name: x\nseeds: [0, 1]\nslices: {count: 21, placement: paper}\n", True),
        ("anonymizers: [identity, blur: {strength_mm: 4}, blur: {strength_mm: [1, 2, 4]}, pydeface: ]", True),
        ("attackers: [pix2pix: {learning_rate: 0.0002, steps: 10}]", True),
        ("anonymizers: []", False),
        ("anonymizers: blur", False),
        ("anonymizers: [blurr]", False),
        ("anonymizers: [blur: {strength: 4}]", False),
        ("anonymizers: [blur: {strength_mm: -4}]", False),
        ("anonymizers: [blur: {strength_mm: [1, -4]}]", False),
        ("anonymizers: [blur: {strength_mm: []}]", False),
        ("anonymizers: [blur: {}, identity: {}]", True),
        ("anonymizers: [{blur: {}, identity: {}}]", False),
        ("dataset: {folder: {}}", False),
        ("dataset: nowhere", False),
        ("datasets: {a: phantom, b: phantom}", False),  # beside a dataset
        ("seeds: [-1]", False),
        ("slics: {}", False),
        ("slices: {placement: sideways}", False),
        ("regions: [front_half, nose]", False),
    ],
)
def test_the_schema_tells_good_suites_from_bad(schema: dict[str, Any], text: str, good: bool) -> None:
    base = "dataset: {folder: {path: here}}\nanonymizers: [identity]\nattackers: [pix2pix]\n"
    suite = yaml.safe_load(base) | (yaml.safe_load(text) or {})
    assert accepts(schema, suite, schema) is good


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("datasets: {a: phantom, b: {folder: {path: there}}}", True),
        ("datasets: {a: phantom}", False),
        ("datasets: {a: phantom, b: nowhere}", False),
        ("seeds: [1]", False),
    ],
)
def test_the_schema_wants_one_dataset_or_several(schema: dict[str, Any], text: str, good: bool) -> None:
    assert accepts(schema, yaml.safe_load(f"anonymizers: [identity]\nattackers: [pix2pix]\n{text}"), schema) is good


class Unwritable(Metric):
    """Its parameter has no JSON Schema."""

    when: type = param(int, "a type")

    def score(self, reference: Any, candidate: Any, region: Any) -> Any:
        return reference


class Broken:
    def load(self) -> Any:
        raise PluginError("broken")


def test_plugins_that_cannot_be_described_leave_the_schema_of_the_others() -> None:
    registry = Registry.discover()
    registry.entries["metric", "unwritable"] = Entry("metric", "unwritable", "elsewhere", plugin_class=Unwritable)
    schema = suite_schema(registry)
    assert "ssim" in schema["$defs"]["metric"]["anyOf"][0]["enum"]
