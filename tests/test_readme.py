"""The README's plug-in runs, and no link of the docs is broken; their commands: test_docs_commands.py."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from conftest import Workplace

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_plugin_of_the_readme_runs(workplace: Workplace) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (workplace.folder / "shave.py").write_text(code)
    suite = workplace.suite("anonymizers: [shave]\nattackers: [none]")
    text = yaml.safe_load(suite.read_text())
    text["plugins"].append("./shave.py")
    suite.write_text(yaml.safe_dump(text))
    result = workplace.refbench("run", suite)
    assert result.returncode == 0, result.stderr
    assert "shave" in result.stdout


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
