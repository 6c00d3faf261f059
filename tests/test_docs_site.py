"""The documentation as a site: it builds, fetches nothing, shows formulas, and says what the code says."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from refbench import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_the_reference_of_suites_says_what_the_code_says() -> None:
    page = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
    updated = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["updated"]
    assert updated(page) == page, "type: python docs/make_reference.py"
    assert "| `strength_mm` | number | mm | > 0, ≤ 50 | `4.0` | standard deviation of the Gaussian |" in page
    assert "| `memory_gb` | number | GB | > 0 |  | memory of one job; the machine's own if not given |" in page


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["references"][0]["doi"] in (ROOT / "docs" / "cite.md").read_text(encoding="utf-8")


def test_the_site_builds_without_a_broken_link_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="`make docs` installs what builds the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")}
    assert {"index.html", "suites.html", "plugins.html", "results.html"} <= set(pages)
    for name, page in pages.items():
        assert not re.search(r'<(script|img|iframe)[^>]+src="?(https?:)?//', page), name
        assert not re.search(r'<link[^>]+rel="?(stylesheet|preconnect|preload)[^>]+href="?(https?:)?//', page), name
        assert "arithmatex" not in page, name
    formulas = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").count("$$") // 2
    assert pages["metrics.html"].count('display="block"') == formulas > 0
    assert "<mfrac>" in pages["metrics.html"]
    for style in tmp_path.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8"), style.name
    assert not list(tmp_path.glob("*.py"))
