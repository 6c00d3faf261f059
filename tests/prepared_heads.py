"""Where the face and the brain of a head are, found once for all tests and processes of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from refbench.anonymizers.brain import deepbet_brain
from refbench.anonymizers.registration import register
from refbench.types import Head


def registered(head: Head, folder: Path) -> Head:
    """The head with its registration; `folder` is that of the session, and the head is known there by its name."""
    return replace(head, registration=_once(folder / f"{head.subject}.registration.npy", lambda: register(head)))


def prepared(head: Head, folder: Path) -> Head:
    """The head with its registration and its brain by deepbet."""
    brain = _once(folder / f"{head.subject}.brain.npy", lambda: deepbet_brain(head))
    return replace(registered(head, folder), brain=brain)


def _once(file: Path, find: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Who comes second waits, and reads what the first one found."""
    with FileLock(f"{file}.lock"):
        if not file.exists():
            np.save(file, find())
        return np.load(file)
