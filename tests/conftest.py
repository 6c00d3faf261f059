"""What several tests need: real data where it lies, small stores and suites."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Tests run side by side, and on arrays so small that the threads of a matrix product only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import yaml

from refbench import registry
from refbench.holding import holding

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Stored measurements are committed: they say what processor it was, not whose machine."""
    for name in ("node", "release"):
        machine_info.pop(name, None)
    machine_info["cpu"].pop("flags", None)


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, SHARED / name)).resolve()
    if not folder.is_dir():
        pytest.skip(f"real data not found: {folder} (set {variable} to its folder)")
    return folder


@pytest.fixture(scope="session")
def ixi_folder() -> Path:
    """120 real people of IXI at 2 mm."""
    return _folder("REFBENCH_IXI", "ixi_hh_2mm")


@pytest.fixture(scope="session")
def heads_folder() -> Path:
    """Three real heads."""
    return _folder("REFBENCH_HEADS", "heads")


@dataclass(frozen=True)
class Workplace:
    """A folder with a store, tiny plug-ins and a log of what they did."""

    folder: Path

    def suite(self, text: str, name: str = "tiny") -> Path:
        """Write a suite around `text`, which may override any of the usual keys."""
        given = yaml.safe_load(text) or {}
        usual = {
            "plugins": [str(Path(__file__).with_name("tiny_plugins.py"))],
            "dataset": "tiny_heads",
            "slices": {"count": 3, "size": 24, "spacing_mm": 8},
            "split": {"test": 2, "validation": 1},
            "anonymizers": ["smear"],
            "attackers": ["offset"],
            "metrics": ["correlation"],
            "controls": False,
        }
        if "datasets" in given:
            del usual["dataset"]
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(usual | given))
        return path

    def environment(self) -> dict[str, str]:
        (self.folder / "log").mkdir(exist_ok=True)
        return os.environ | {
            "REFBENCH_STORE": str(self.folder / "store"),
            "TINY_LOG": str(self.folder / "log"),
            "COLUMNS": "120",
        }

    def refbench(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user would."""
        command = [sys.executable, "-m", "refbench", *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=300
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start the command line and leave it running."""
        command = [sys.executable, "-m", "refbench", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def count(self, what: str) -> int:
        """How often a tiny plug-in did `load`, `anonymize` or `fit`."""
        return len(list((self.folder / "log").glob(f"{what}-*")))

    def run_folder(self) -> Path:
        """The folder of the only run."""
        (folder,) = (self.folder / "store" / "runs").iterdir()
        return folder


@pytest.fixture(autouse=True)
def fresh_registry() -> None:
    """Tests install and remove distributions within one process."""
    registry._installed.cache_clear()


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Fills a folder of some name once for all processes; who comes second waits. It is there to be read."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with holding(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Where a tiny suite was run, for tests that only read; its description names a folder and a person."""
    made = Workplace(tmp_path_factory.mktemp("tiny"))
    told = f"made of {made.folder}/heads by T03"
    suite = made.suite(f"{{attackers: [none, offset], metrics: [correlation, ssim], description: '{told}'}}")
    done = made.refbench("run", suite)
    assert done.returncode == 0, done.stderr
    return made


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER_OPTIONS = ["--no-sandbox", "--enable-unsafe-swiftshader"]
"""Containers have no sandbox and no graphics card."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium. Without one its tests are skipped; with REFBENCH_NEEDS_BROWSER set they fail instead."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, BROWSERS)), None) or playwright.chromium.executable_path
        if not Path(found).exists():
            why = f"no Chromium: none of {', '.join(BROWSERS)} on the PATH, and none of playwright's own"
            (pytest.fail if "REFBENCH_NEEDS_BROWSER" in os.environ else pytest.skip)(why)
        browser = playwright.chromium.launch(executable_path=found, args=BROWSER_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def once_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a workplace where a small suite was run; tests change copies of it, see `once_run.copy_of`."""
    from once_run import run_once

    return run_once(tmp_path_factory.mktemp("once_run"))
