"""What the README and the docs say is true: their plug-in runs, their commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from conftest import Workplace

from refbench.suite import load_suite

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_plugin_of_the_readme_runs(workplace: Workplace) -> None:
    (code,) = _blocks("python")
    (workplace.folder / "shave.py").write_text(code)
    suite = workplace.suite("anonymizers: [shave]\nattackers: [none]")
    text = yaml.safe_load(suite.read_text())
    text["plugins"].append("./shave.py")
    suite.write_text(yaml.safe_dump(text))
    result = workplace.refbench("run", suite)
    assert result.returncode == 0, result.stderr
    assert "shave" in result.stdout


def test_the_suite_of_the_readme_is_valid(tmp_path: Path) -> None:
    (text,) = _blocks("yaml")
    (tmp_path / "readme.yaml").write_text(text)
    assert len(load_suite(str(tmp_path / "readme.yaml")).anonymizers) == 6


@pytest.mark.parametrize("line", re.findall(r"^refbench (.*?)(?:\s+#.*)?$", README, flags=re.MULTILINE))
def test_every_command_of_the_readme_is_understood(workplace: Workplace, line: str) -> None:
    command, *_ = line.split()
    options = re.findall(r"--[a-z]+", line)
    shown = workplace.refbench(command, "--help").stdout
    assert shown
    for option in options:
        assert option in shown


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
