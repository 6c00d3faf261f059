"""The command line as a user meets it: what it shows, what it refuses, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import Workplace

from refbench import __version__
from refbench.cli import app
from refbench.commands import data, store


def test_version_and_help(workplace: Workplace) -> None:
    assert workplace.refbench("--version").stdout == f"refbench {__version__}\n"
    text = workplace.refbench("--help").stdout
    for command in ("run", "plan", "leaderboard", "curves", "check", "list", "schema"):
        assert command in text


def test_list_shows_parameters_with_units_bounds_and_defaults(workplace: Workplace) -> None:
    assert "regression" in workplace.refbench("list", "attackers").stdout
    shown = workplace.refbench("list", "anonymizer", "blur").stdout
    line = next(line for line in shown.splitlines() if line.startswith("strength_mm"))
    for part in ("number", "mm", "> 0", "standard deviation"):
        assert part in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "attakers"], "did you mean 'attacker'?"),
        (["list", "attacker", "cycelgan"], "did you mean 'cyclegan'?"),
        (["leaderboard", "--format", "jsn"], "did you mean 'json'?"),
        (["leaderboard"], "no finished run"),
        (["curves"], "no finished run"),
        (["identify"], "no finished run"),
        (["run", "demmo"], "did you mean 'demo'?"),
        (["run", "nowhere/suite.yaml"], "no suite file nowhere/suite.yaml"),
    ],
)
def test_what_cannot_be_done_is_one_message(workplace: Workplace, arguments: list[str], message: str) -> None:
    result = workplace.refbench(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_suite_names_every_problem_with_its_place(workplace: Workplace) -> None:
    path = workplace.folder / "wrong.yaml"
    path.write_text(
        "dataset: phantom\n"
        "anonymizers:\n"
        "  - blurr\n"
        "  - blur: {strength_mm: -1}\n"
        "attackers: [pix2pix: {widht: 3}]\n"
        "slises: {count: 5}\n"
    )
    result = workplace.refbench("run", path)
    assert result.returncode == 2
    for part in (
        f"{path}:3:5: ",
        "did you mean 'blur'?",
        f"{path}:4:25: anonymizers[1].blur.strength_mm: ",
        "greater than 0",
        "did you mean 'width'?",
        f"{path}:6:1: slises: unknown key; did you mean 'slices'?",
        "    6 | slises: {count: 5}\n      | ^",
    ):
        assert part in result.stderr, result.stderr


def test_schema_is_json_and_knows_the_plugins(workplace: Workplace) -> None:
    schema = json.loads(workplace.refbench("schema").stdout)
    assert "blur" in json.dumps(schema["$defs"]["anonymizer"])


def test_plan_says_what_is_missing_and_runs_nothing(workplace: Workplace) -> None:
    suite = workplace.suite(
        "dataset: {folder: {path: nowhere}}\n"
        "anonymizers: [identity, command: {command: mri_nowhere, title: mri_nowhere}]"
    )
    result = workplace.refbench("plan", suite)
    assert result.returncode == 0
    assert "mri_nowhere not found on PATH" in result.stdout
    assert "nowhere" in next(line for line in result.stdout.splitlines() if line.startswith("missing: data"))
    run = workplace.refbench("run", suite)
    assert run.returncode == 2
    assert str(workplace.folder / "nowhere") in run.stderr


def test_a_missing_tool_is_skipped_and_said(workplace: Workplace) -> None:
    result = workplace.refbench("run", workplace.suite("anonymizers: [smear, command: {command: mri_nowhere}]"))
    assert result.returncode == 3
    assert "and 7 more: skipped: mri_nowhere not found on PATH" in result.stderr
    board = json.loads(workplace.refbench("leaderboard", "--format", "json").stdout)["rows"]
    assert [row["rank"] for row in board] == [1, None]


def test_a_file_that_is_no_head_is_named_and_excluded(workplace: Workplace) -> None:
    heads = workplace.folder / "heads"
    heads.mkdir()
    rng = np.random.default_rng(0)
    grid = np.linalg.norm(np.indices((20, 24, 24)) - np.array([10, 12, 12]).reshape(3, 1, 1, 1), axis=0)
    for number in range(3):
        voxels = np.where(grid < 9, 100 + 10 * rng.standard_normal(grid.shape), 0).astype(np.float32)
        nibabel.Nifti1Image(voxels, np.diag([8.0, 8.0, 8.0, 1.0])).to_filename(heads / f"s{number}.nii.gz")
    damaged = heads / "s1.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    suite = workplace.suite(
        "dataset: {folder: {path: heads}}\nanonymizers: [identity]\nattackers: [none]\nregions: [whole]\n"
        "split: {test: 1, validation: 0}"
    )
    result = workplace.refbench("run", suite)
    assert result.returncode == 3
    assert "s1.nii.gz" in result.stderr
    assert "excluded" in (workplace.run_folder() / "subjects.csv").read_text()
    assert "1.000" in result.stdout


def test_a_plugin_file_that_fails_is_a_problem_of_the_suite(workplace: Workplace) -> None:
    Path(workplace.folder / "mine.py").write_text("import nothing_of_that_name\n")
    path = workplace.folder / "suite.yaml"
    path.write_text("plugins: [./mine.py]\ndataset: phantom\nanonymizers: [identity]\nattackers: [none]\n")
    result = workplace.refbench("run", path)
    assert result.returncode == 2
    assert "suite.yaml:1:11" in result.stderr
    assert "nothing_of_that_name" in result.stderr


def test_every_command_is_in_a_panel_and_has_an_example(workplace: Workplace) -> None:
    assert "─ Commands ─" not in workplace.refbench("--help").stdout
    groups = [app, data.app, store.app]
    commands = [
        (command.callback.__name__, command.callback.__doc__) for x in groups for command in x.registered_commands
    ]
    assert [name for name, said in commands if "    refbench " not in said] == []


def test_help_shows_defaults_that_stand_in_brackets(workplace: Workplace) -> None:
    assert "[default: $REFBENCH_STORE, else .refbench]" in workplace.refbench("plot", "--help").stdout
