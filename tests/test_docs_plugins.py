"""Every block of docs/plugins.md is executed, in its order, in an environment of its own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from clean_environment import CleanEnvironment

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_every_block_is_one_that_is_executed() -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "python", "yaml"}
    assert all(re.match(r"# \S+\.(py|yaml)\n", text) for language, text in BLOCKS if language != "sh")
    assert len(re.findall("^```", PAGE, flags=re.MULTILINE)) == 2 * len(BLOCKS)


@pytest.mark.slow
def test_who_follows_the_page_gets_what_it_promises(tmp_path: Path) -> None:
    here = CleanEnvironment.make(tmp_path)
    printed = {}
    for language, text in BLOCKS:
        if language == "sh":
            for line in text.splitlines():
                printed[line] = _run(here, line)
        else:
            (tmp_path / text.split("\n")[0].removeprefix("# ")).write_text(text)
    assert "dim" in printed["refbench run refbench-dim/suite.yaml"]
    for line, said in printed.items():
        if line.startswith("refbench check"):
            assert "keeps them all" in said
    assert "dim(remaining=0.5)" in printed["refbench run mine.yaml"]
    assert "nearness" in printed["refbench leaderboard --metric nearness"]


def _run(here: CleanEnvironment, line: str) -> str:
    match shlex.split(line):
        case ["refbench", *arguments]:
            return here.refbench(*arguments)
        case ["pip", "install", "-e", package]:
            here.install(here.folder / package, "--editable")
        case ["python", script]:
            assert here.run(script).returncode == 0
        case _:
            raise AssertionError(f"the page says `{line}`, which this test does not run")
    return ""
