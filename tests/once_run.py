"""Small suites that are run once, for tests that look at what they left or change a copy of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from conftest import Workplace

from refbench.store import Store

SUITE = "attackers: [none, offset]"


def run_once(folder: Path) -> Path:
    """Run the suite; returns the folder of its workplace."""
    workplace = Workplace(folder)
    result = workplace.refbench("run", workplace.suite(SUITE))
    assert result.returncode == 0, result.stderr
    return folder


def copy_of(folder: Path, target: Path) -> Workplace:
    """A copy that a test may change."""
    return Workplace(Path(shutil.copytree(folder, target)))


def store_of(workplace: Workplace) -> Store:
    return Store(workplace.folder / "store")


def of_kind(store: Store, kind: str) -> list[str]:
    """Keys of results; attackers that learn nothing are left out."""
    return sorted(
        key
        for key in store.keys()  # noqa: SIM118  # a method
        if (identity := store.identity(key))["kind"] == kind and identity.get("attacker", {}).get("name") != "none"
    )


def flip(path: Path) -> None:
    """Flip one bit in the middle: same size, and the end of the file is as it was."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def table(workplace: Workplace) -> bytes:
    return (workplace.run_folder() / "scores.parquet").read_bytes()
