"""Where suite files are, and what stands in them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from refbench.errors import SuiteError
from refbench.registry import closest


def find_suite(name: str) -> Path:
    """The path of a suite file; a bare name (`demo`) means a suite that comes with refbench.

    Raises:
        SuiteError: there is no such file; the message lists the suites that come with refbench.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.name == name:
        own = Path(str(resources.files("refbench.suites"))) / f"{name.removesuffix('.yaml')}.yaml"
        if own.is_file():
            return own
    shipped = [item.name.removesuffix(".yaml") for item in resources.files("refbench.suites").iterdir()]
    known = [item for item in shipped if not item.startswith("__")]
    raise SuiteError(f"no suite file {name}{closest(name, known)} (these come with refbench)")


def suite_text(path: Path) -> str:
    """What stands in a suite file.

    Raises:
        SuiteError: it cannot be read, or is not UTF-8; the message says where.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        before = error.object[: error.start].split(b"\n")
        raise SuiteError(
            f"{path}:{len(before)}:{len(before[-1]) + 1}: byte {error.object[error.start]:#04x} is not UTF-8; "
            "save the file as UTF-8"
        ) from error
