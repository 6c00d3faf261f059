import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from refbench.yaml_source import Problem, YamlSource, dotted

PATH = Path("suite.yaml")


def read(text: str) -> YamlSource:
    return YamlSource(text, PATH)


def value(text: str) -> Any:
    source = read(f"key: {text}\n")
    assert source.problems == []
    return source.data["key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2e-4", 2e-4),
        ("2E+4", 2e4),
        ("-1.5e3", -1500.0),
        (".5", 0.5),
        ("4.", 4.0),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("[1, 2.0, x]", [1, 2.0, "x"]),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, expected: Any) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    "text",
    ["NO", "no", "Yes", "on", "OFF", "True", "Null", "10:30", "2024-01-31", "007", "0x1f", "1_000", "e5", ".", "v1.2"],
)
def test_what_yaml_1_1_would_change_stays_a_string(text: str) -> None:
    assert value(text) == text


def test_quotes_keep_numbers_and_words_as_strings() -> None:
    assert value("'2e-4'") == "2e-4"
    assert value('"true"') == "true"


def test_infinity_and_nan_are_numbers() -> None:
    assert value(".inf") == math.inf
    assert value("-.inf") == -math.inf
    assert math.isnan(value(".nan"))


def test_keys_are_strings_even_where_they_look_like_numbers() -> None:
    assert read("1: a\nno: b\nnull: c\n").data == {"1": "a", "no": "b", "null": "c"}


def test_an_empty_file_is_nothing() -> None:
    for text in ("", "\n\n", "# only a comment\n", "---\n"):
        assert read(text).data is None
        assert read(text).problems == []


texts = st.text(st.characters(max_codepoint=0xD7FF), max_size=10)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz_", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_is_read_as_json(data: Any) -> None:
    source = read(json.dumps(data))
    assert source.problems == []
    assert source.data == data


@given(st.text(max_size=80))
def test_no_text_raises(text: str) -> None:
    source = read(text)
    for problem in source.problems:
        assert problem.line >= 1
        assert problem.column >= 1
    assert isinstance(source.report(source.problems), str)


def test_duplicate_keys_are_all_reported_and_the_first_value_stays() -> None:
    source = read("a: 1\nb:\n  c: 2\n  c: 3\na: 4\n")
    assert source.data == {"a": 1, "b": {"c": 2}}
    assert source.problems == [
        Problem("duplicate key (first on line 3)", 4, 3, "c"),
        Problem("duplicate key (first on line 1)", 5, 1, "a"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: &x 1\nb: *x\n", 2, 4, "aliases"),
        ("a: 1\nb: !!int abc\n", 2, 4, "tags"),
        ("a: !!python/name:os.system\n", 1, 4, "tags"),
        ("a: !own 1\n", 1, 4, "tags"),
        ("a:\n\tb: 1\n", 2, 1, r"\t"),
        ("a: [1, 2\nb: 3\n", 2, 2, "expected"),
        ("a: b: c\n", 1, 5, "not allowed here"),
        ("a: 1\nb: \x07\n", 2, 4, "0x7 is not allowed"),
        ("a: 1\n---\nb: 2\n", 2, 1, "another document"),
        ("a: 'open\n", 2, 1, "end of stream"),
        ("? [1, 2]\n: b\n", 1, 3, "plain word"),
        ("[" * 5000, 1, 1, "too deeply"),
    ],
)
def test_what_is_no_plain_yaml_is_a_problem_at_its_place(text: str, line: int, column: int, words: str) -> None:
    (problem,) = read(text).problems
    assert (problem.line, problem.column) == (line, column)
    assert words in problem.message


def test_yaml_bombs_are_refused_before_they_grow() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True))
    (problem,) = read(bomb).problems
    assert (problem.line, problem.column) == (2, 8)


TEXT = "dataset:\n  folder: {path: here}\nanonymizers:\n  - identity\n  - blur: {strength_mm: 4}\n"


@pytest.mark.parametrize(
    ("where", "at_key", "line", "column"),
    [
        (("dataset", "folder", "path"), False, 2, 18),
        (("dataset", "folder", "path"), True, 2, 12),
        (("dataset",), True, 1, 1),
        (("dataset",), False, 2, 3),
        (("anonymizers", 0), False, 4, 5),
        (("anonymizers", 0), True, 4, 5),
        (("anonymizers", 1, "blur", "strength_mm"), False, 5, 25),
        (("dataset", "folder", "missing"), False, 2, 11),
        (("nowhere", 3, "at all"), False, 1, 1),
    ],
)
def test_every_value_and_key_knows_its_place(
    where: tuple[str | int, ...], at_key: bool, line: int, column: int
) -> None:
    assert read(TEXT).problem("wrong", where, at_key=at_key) == Problem("wrong", line, column, dotted(where))


def test_parts_that_stand_nowhere_in_the_file_are_left_out() -> None:
    source = read(TEXT)
    assert source.written(("anonymizers", 1, "dict[str,any]", "blur", "strength_mm", "float")) == (
        "anonymizers",
        1,
        "blur",
        "strength_mm",
    )
    assert source.written(()) == ()


def test_a_report_shows_each_line_with_a_caret_in_the_order_of_the_file() -> None:
    source = read(TEXT)
    later = source.problem("too strong", ("anonymizers", 1, "blur", "strength_mm"))
    earlier = source.problem("not there", ("dataset", "folder", "path"))
    assert source.report([later, earlier]) == (
        "suite.yaml:2:18: dataset.folder.path: not there\n"
        "    2 |   folder: {path: here}\n"
        "      |                  ^\n"
        "suite.yaml:5:25: anonymizers[1].blur.strength_mm: too strong\n"
        "    5 |   - blur: {strength_mm: 4}\n"
        "      |                         ^"
    )


def test_the_caret_stands_below_its_character_behind_tabs_too() -> None:
    source = read("'a\t\tb': x\n")
    _, line, caret = source.report([source.problem("wrong", ("a\t\tb",))]).splitlines()
    assert line.expandtabs().index("x") == caret.expandtabs().index("^")


def test_a_problem_behind_the_last_line_needs_no_line() -> None:
    assert read("").report([Problem("empty", 1, 1)]) == "suite.yaml:1:1: empty"


def test_dotted() -> None:
    assert dotted(("anonymizers", 2, "blur", "strength_mm")) == "anonymizers[2].blur.strength_mm"
    assert dotted(()) == ""


def test_the_safe_loader_of_pyyaml_is_left_as_it_was() -> None:
    assert yaml.safe_load("a: NO") == {"a": False}
