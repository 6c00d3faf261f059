"""What several tests need: real data where it lies, small stores and suites."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


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
