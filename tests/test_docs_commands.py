"""Every command in README.md and docs/*.md: run as it stands in a folder that has what the docs speak of.

What is not run is named here with its reason, and still parsed by the real command line. docs/plugins.md has a test of
its own, which runs all of it in an environment of its own (test_docs_plugins.py).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_up_ixi
import pytest
import small_heads
import typer
import yaml
from conftest import Workplace

from refbench.cli import app, main
from refbench.suite import load_suite

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.name != "plugins.md"
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)

PARSED = {
    "refbench run suites/ixi.yaml": "days on a GPU, and needs IXI",
    "refbench demo": "the demo suite as it stands: minutes",
    "refbench run suite.yaml --detach": "needs SLURM; test_slurm.py starts one",
    'refbench run suite.yaml --engine "dask: {scheduler: /shared/scheduler.json}"': "test_dask_engine.py starts one",
    "refbench identify": "needs faces that were looked for; test_face_board.py makes them up",
    "refbench identify --brief": "likewise",
    "refbench leaderboard --by rank1": "likewise",
    "refbench data ixi data": "downloads 4.8 GB; test_cli_data.py downloads from a server of its own",
    "refbench data phantom phantoms --subjects 60 --sessions 2": "minutes; test_cli_data.py writes a small cohort",
}
"""Only parsed, and why."""

ELSEWHERE = {"refbench --install-completion": "test_completion.py"}
"""Run by another test: it writes into the user's home."""

SLOW = {
    "refbench check anonymizer shave --plugin shave.py",
    "refbench run mine.yaml",
    "refbench anonymize scans/ released/ --with mri_deface",
    "refbench plot RUN",
    "refbench reproduce RUN",
    "refbench plot RUN --out figures",
    "refbench plot RUN --region changed",
}
"""Run as they stand, and take seconds each."""


def commands() -> list[str]:
    """All lines of all blocks that call refbench, once each, without their remarks."""
    fenced = [line for page in PAGES.values() for _, block in BLOCK.findall(page) for line in block.splitlines()]
    indented = [line[4:] for page in PAGES.values() for line in BLOCK.sub("", page).splitlines() if line[:4].isspace()]
    found = [re.match(r"(?:\s*- run: )?(refbench .*)", line) for line in (*fenced, *indented)]
    return list(dict.fromkeys(re.sub(r"\s+#.*", "", line[1]).rstrip() for line in found if line))


def suite_texts() -> Iterator[tuple[str, str]]:
    """Every YAML block that is a suite, or a part of one, with its page."""
    for page, text in PAGES.items():
        for language, block in BLOCK.findall(text):
            if language == "yaml" and not re.search(r"^on:", block, flags=re.MULTILINE):  # a workflow of GitHub
                alternatives = re.split(r"^(?=dataset:)", block, flags=re.MULTILINE)
                yield from ((page, part) for part in (alternatives if len(alternatives) > 2 else [block]) if part)


def named_file(name: str) -> str:
    """The block that a page tells its reader to put into a file of this name."""
    (text,) = (b for page in PAGES.values() for _, b in BLOCK.findall(page) if b.startswith(f"# {name}\n"))
    return text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A folder where a reader of the docs might be: suites, heads, a store with finished runs, a baseline."""
    place = Workplace(tmp_path_factory.mktemp("docs"))
    tiny = {"phantom": {"subjects": 4, "scale": 0.2}}
    suites = {"suite": "[none, offset]", "prepare": "[none]", "attacks_1": "[none]", "attacks_2": "[offset]"}
    for name, attackers in suites.items():
        place.suite(f"dataset: {tiny}\nattackers: {attackers}", name)
    (place.folder / "shave.py").write_text(named_file("shave.py"))
    mine = yaml.safe_load(named_file("mine.yaml")) | {
        "dataset": tiny,
        "slices": {"count": 3, "size": 48},
        "split": {"test": 2, "validation": 1},
        "attackers": ["none", "regression"],
        "controls": False,  # test_controls.py
    }
    (place.folder / "mine.yaml").write_text(yaml.safe_dump(mine))
    shutil.copytree(ROOT / "suites", place.folder / "suites")
    for number in range(90):
        name = f"IXI{number:03}-{('Guys', 'HH', 'IOP')[number % 3]}-{1000 + number}-T1.nii.gz"
        small_heads.write(place.folder / "data" / "IXI-T1" / name, small_heads.small_head(number))
    small_heads.write_heads(place.folder / "heads", 3)
    made_up_ixi.write_cohort(place.folder / "scans", people=1)
    for name in suites:
        assert run_here(f"refbench run {name}.yaml", place) == 0
    assert run_here("refbench gate suite.yaml --baseline baseline.json --write", place) == 0
    runs = place.folder / "store" / "runs"
    (finished,) = runs.glob("suite-*")
    for name in ("RUN", "EARLIER", "LATER", "demo-33f69641", "ci-9154c41d", "ci-2b7e01aa"):
        shutil.copytree(finished, runs / name)
    os.utime(finished / "run.json")  # the latest one
    (place.folder / "bundles").mkdir()
    run_here("refbench export RUN --out bundles/RUN.zip", place)  # it has a test of its own below
    run_here("refbench store export RUN run_store.zip", place)  # likewise
    return place


def run_here(line: str, place: Workplace) -> int:
    """Run a line in the prepared folder, in this process; returns its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.folder)
        for name, value in (place.environment() | {"SLURM_CPUS_PER_TASK": "2"}).items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", shlex.split(os.path.expandvars(line.partition(" > ")[0])))
        with pytest.raises(SystemExit) as left:
            main()
    return int(left.value.code or 0)


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after them."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, f"no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def parse(line: str) -> None:
    """Hand a line to the command line's own parser: its options, their types, and what is required."""
    command, words = resolved(shlex.split(line)[1:])
    command.make_context("refbench", words)


@pytest.mark.parametrize("line", [line for line in commands() if line not in {*PARSED, *ELSEWHERE, *SLOW}])
def test_it_runs_as_it_stands(line: str, place: Workplace) -> None:
    assert run_here(line, place) == 0


@pytest.mark.slow
@pytest.mark.parametrize("line", sorted(SLOW))
def test_it_runs_as_it_stands_in_its_time(line: str, place: Workplace) -> None:
    assert run_here(line, place) == 0


@pytest.mark.parametrize("line", PARSED)
def test_what_is_not_run_is_parsed(line: str) -> None:
    parse(line)


def test_every_exception_is_still_needed() -> None:
    assert {*PARSED, *ELSEWHERE, *SLOW} - set(commands()) == set()
    for line, where in ELSEWHERE.items():
        assert line.removeprefix("refbench ") in (ROOT / "tests" / where).read_text()


@pytest.mark.parametrize(("page", "text"), list(suite_texts()))
def test_a_suite_of_the_docs_is_valid(page: str, text: str, place: Workplace) -> None:
    whole = "".join(
        f"{key}: {value}\n"
        for key, value in (("dataset", "phantom"), ("anonymizers", "[blank]"), ("attackers", "[none]"))
        if not re.search(rf"^({key}|{key}s):", text, flags=re.MULTILINE)
    )
    (place.folder / "valid.yaml").write_text(whole + text)
    assert load_suite(str(place.folder / "valid.yaml")).datasets


@pytest.mark.parametrize("command", app.registered_commands, ids=lambda command: command.callback.__name__)
def test_examples_of_the_help_are_understood(command: typer.models.CommandInfo) -> None:
    for line in re.findall(r"^    (refbench .*)$", command.callback.__doc__ or "", flags=re.MULTILINE):
        parse(line.partition(" > ")[0])


@pytest.mark.parametrize("page", PAGES)
def test_commands_within_sentences_exist_with_their_options(page: str) -> None:
    for inside in re.findall(r"`refbench ([a-z][^`]*)`", re.sub(BLOCK, "", PAGES[page])):
        command, rest = resolved(inside.split())
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= known, inside


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page, text in PAGES.items():
        named = re.findall(r"^make ([a-z-]+)", text, flags=re.MULTILINE) + re.findall(r"`make ([a-z-]+)`", text)
        assert set(named) <= targets, page
