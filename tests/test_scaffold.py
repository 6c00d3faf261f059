"""`refbench new` makes packages that work as they are, and refuses what cannot be one."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from clean_environment import CleanEnvironment
from conftest import Workplace

from refbench.errors import PluginError
from refbench.registry import KINDS, plugin_module
from refbench.scaffold import make_package
from refbench.suite import load_suite

EXAMPLE = Path(__file__).with_name("plugin_example")


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_is_complete(kind: str, tmp_path: Path) -> None:
    folder = make_package(kind, "my_own", tmp_path)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    source, test = "src/refbench_my_own.py", "tests/test_my_own.py"
    assert files == {"pyproject.toml", "README.md", ".gitignore", "suite.yaml", source, test}
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    (value,) = project["project"]["entry-points"][f"refbench.{kind}s"].values()
    assert value == "refbench_my_own:MyOwn"
    assert isinstance(plugin_module(folder / source).MyOwn, type)
    assert not any("$" in (folder / name).read_text() for name in files)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_test_of_a_new_package_passes(kind: str, tmp_path: Path) -> None:
    folder = make_package(kind, "my_own", tmp_path)
    code = (
        "import sys; sys.path.insert(0, 'src'); import pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dataset"])
def test_its_suite_is_valid(kind: str, tmp_path: Path) -> None:
    folder = make_package(kind, "my_own", tmp_path)
    suite = folder / "suite.yaml"
    suite.write_text(f"plugins: [./src/refbench_my_own.py]\n{suite.read_text()}")
    chosen = load_suite(str(suite))
    assert "my_own" in {item.name for item in getattr(chosen, f"{kind}s")}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MyBlur", "for instance 'my_blur'"),
        ("my-blur", "for instance 'my_blur'"),
        ("3d_blur", "for instance 'd_blur'"),
        ("../blur", "for instance 'blur'"),
        ("", "cannot be a plug-in's name"),
        ("class", "cannot be a plug-in's name"),
        ("a" * 41, "40 characters at most"),
        ("head", "'my_head'"),
        ("yes", "'my_yes'"),
        ("blur", "refbench offers the anonymizer 'blur' already"),
    ],
)
def test_bad_names_are_refused_and_nothing_is_written(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=said):
        make_package("anonymizer", name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays_as_it_is(workplace: Workplace) -> None:
    made = workplace.refbench("new", "metric", "my_own")
    assert made.returncode == 0, made.stderr
    assert "pip install -e refbench-my-own" in made.stdout
    readme = workplace.folder / "refbench-my-own" / "README.md"
    readme.write_text("mine")
    again = workplace.refbench("new", "dataset", "my_own")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert readme.read_text() == "mine"
    nowhere = workplace.refbench("new", "metric", "other", "--into", "nowhere")
    assert nowhere.returncode == 2
    assert "cannot be made (No such file or directory)" in nowhere.stderr
    unknown = workplace.refbench("new", "metrics", "other")
    assert "did you mean 'metric'?" in unknown.stderr
    assert "Traceback" not in again.stderr + nowhere.stderr + unknown.stderr


@pytest.mark.slow
def test_the_example_package_is_installed_and_used_in_a_suite(tmp_path: Path) -> None:
    here = CleanEnvironment.make(tmp_path)
    source = tmp_path / "plugin_example"
    for file in EXAMPLE.rglob("*"):
        if file.suffix in (".py", ".toml") and "build" not in file.parts:
            copy = source / file.relative_to(EXAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    here.install(source)
    listed = here.refbench("list")
    assert "refbench-example" in listed
    assert "broken: anonymizer 'broken_example'" in " ".join(listed.split())
    assert "keeps them all" in here.refbench("check", "metric", "mean_error")
    (tmp_path / "example.yaml").write_text(
        "dataset: {phantom: {subjects: 4, scale: 0.2}}\nslices: {count: 3, size: 32}\nsplit: {test: 2, validation: 1}\n"
        "anonymizers: [shave: {depth_mm: [20, 40]}]\nattackers: [none]\nmetrics: [mean_error]\n"
    )
    assert "shave(depth_mm=40)" in here.refbench("run", "example.yaml")
