"""The layout: folders, entry points, import directions, what is installed."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from refbench.registry import KINDS, Registry, base_class

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {"refbench": "benchmark", **{f"refbench.{name}": name for name in ("anonymizers", "attackers", "metrics")}}


def declared(kind: str) -> dict[str, str]:
    """The project's own entry points of a kind; that there are some is held by the test of the registry."""
    points: dict[str, str] = PROJECT["project"]["entry-points"].get(f"refbench.{kind}s", {})
    return points


def test_every_folder_with_modules_is_a_package() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    there = {"refbench.suites"}
    for package, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / folder).parts
            there.add(".".join([package, *inner]))
    assert listed == there


def test_every_plugin_class_has_an_entry_point() -> None:
    values = {value for kind in KINDS for value in declared(kind).values()}
    bases = tuple(base_class(kind) for kind in KINDS)
    classes = set()
    for package in ("anonymizers", "attackers", "metrics", "datasets"):
        path = importlib.import_module(f"refbench.{package}").__path__
        for module in pkgutil.walk_packages(path, f"refbench.{package}."):
            loaded = importlib.import_module(module.name)
            for name, member in inspect.getmembers(loaded, inspect.isclass):
                own = member.__module__ == loaded.__name__ and not inspect.isabstract(member)
                if own and issubclass(member, bases):
                    classes.add(f"{loaded.__name__}:{name}")
    assert classes == values


@pytest.mark.parametrize("folder", ["benchmark", "anonymizers", "attackers", "metrics", "suites"])
def test_a_folder_imported_by_its_bare_name_says_what_to_do(folder: str) -> None:
    code = f"import {folder}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "pip install -e ." in done.stderr


ALLOWED = {"refbench.types", "refbench.plugin", "refbench.errors", "refbench.geometry"}


@pytest.mark.parametrize("folder", ["anonymizers", "attackers", "metrics"])
def test_plugins_import_only_what_lies_below_them(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        for name in _imports(file):
            if name.startswith("refbench"):
                assert name in ALLOWED or name.startswith(f"refbench.{folder}"), f"{file.name} imports {name}"


def test_the_machine_knows_no_concrete_plugin() -> None:
    concrete = {value.partition(":")[0] for kind in KINDS for value in declared(kind).values()}
    for file in (ROOT / "benchmark").rglob("*.py"):
        if file.parent.name == "datasets":
            continue
        assert not concrete & set(_imports(file)), file


def _imports(file: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


def test_listing_plugins_loads_neither_torch_nor_scipy() -> None:
    code = (
        "import sys; from refbench.cli import app; from typer.testing import CliRunner;"
        "result = CliRunner().invoke(app, ['list']); assert result.exit_code == 0, result.output;"
        "assert 'broken' not in result.output, result.output;"
        "print([name for name in ('torch', 'scipy', 'pandas', 'nibabel', 'skimage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_is_too_long() -> None:
    lengths = {
        file.name: len(file.read_text().splitlines())
        for folder in FOLDERS.values()
        for file in (ROOT / folder).rglob("*.py")
    }
    assert max(lengths.values()) <= 400
    assert sorted(lengths.values())[len(lengths) // 2] <= 130


def test_suites_are_shipped_and_valid() -> None:
    from refbench.suite import load_suite

    for file in (ROOT / "suites").glob("*.yaml"):
        assert load_suite(file.stem).path.name == file.name


def test_registry_finds_what_the_project_declares() -> None:
    registry = Registry.discover()
    assert not registry.problems
    for kind in KINDS:
        names = {entry.name for entry in registry.of_kind(kind) if entry.origin == "refbench"}
        assert names == set(declared(kind))
        for entry in registry.of_kind(kind):
            assert entry.load()
