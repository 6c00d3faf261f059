"""An environment of its own that sees what this one has, into which packages go by pip, without network."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment in a folder; commands run beside it."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> CleanEnvironment:
        venv.EnvBuilder(with_pip=False).create(folder / "environment")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = folder / "environment" / "lib" / version / "site-packages"
        # torch is large: what is installed here is seen there, pip and setuptools too.
        here = [path for path in sys.path if path.endswith("site-packages")]
        (site / "here.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in here))
        return cls(folder)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments."""
        command = [self.folder / "environment" / "bin" / "python", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | {"COLUMNS": "120", "REFBENCH_STORE": str(self.folder / "store")},
            capture_output=True,
            text=True,
            timeout=600,
        )

    def install(self, package: Path, *options: str) -> None:
        """Install what lies in a folder: nothing is downloaded, neither what it needs nor what builds it."""
        without = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
        done = self.run("-m", "pip", "install", *without, *options, str(package))
        assert done.returncode == 0, done.stderr

    def refbench(self, *arguments: str | Path) -> str:
        """Run the command line, which must end well; returns what it printed."""
        done = self.run("-m", "refbench", *arguments)
        assert done.returncode == 0, f"refbench {arguments}: {done.stdout}{done.stderr}"
        return done.stdout
