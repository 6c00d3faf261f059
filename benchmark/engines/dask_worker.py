"""What a Dask worker does for a run: it starts `refbench job` in a process of its own and says how that ended.

Dask sends these functions by name, so workers run what their own refbench says. Coroutines take turns in one thread.
"""

from __future__ import annotations

import asyncio
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from refbench.errors import EngineError
from refbench.fingerprint import code_fingerprint, digest

if TYPE_CHECKING:
    from distributed import Worker

GPU = "GPU"
"""The resource that workers with graphics cards offer, one for each card."""

LAST_BYTES = 4000
PATIENCE_SECONDS = 5.0
"""A network file system may show a new file a little later to others than to its maker."""

_running: dict[str, set[asyncio.subprocess.Process]] = {}
_ended: set[str] = set()
_cards_in_use: set[str] = set()


async def run_command(mark: str, code: str, arguments: Sequence[str], cards: int) -> tuple[int, str]:
    """Run Python with these arguments; returns its exit code, negative if a signal ended it, and its last output.

    Args:
        mark: a file in the store's folder that the run keeps there while it lasts; it names the run here.
        code: see `own_code`.
        arguments: for the Python that this worker runs in.
        cards: graphics cards that it may use, of those that this worker offers; 0: what is there.

    Raises:
        EngineError: see `look`.
    """
    if problem := await look(mark, code):
        raise EngineError(problem)
    with TemporaryFile() as output, _own_cards(cards) as environment:
        if mark in _ended:
            return -signal.SIGTERM, ""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        _running.setdefault(mark, set()).add(process)
        try:
            exit_code = await process.wait()
        finally:  # this worker may be closing before its process has ended
            _running[mark].discard(process)
            _signal(process, signal.SIGTERM)
        output.seek(max(0, output.seek(0, os.SEEK_END) - LAST_BYTES))
        return exit_code, output.read().decode(errors="replace")


async def look(mark: str, code: str) -> str:
    """What keeps this worker from working for the run, as one phrase; empty if nothing. `code`: see `own_code`."""
    if problem := await _unseen(mark):
        return problem
    if own_code() != code:
        return "has another refbench than the runner: install the same version there"
    return ""


def end(mark: str, number: int) -> int:
    """Send a signal to all that still runs for this run, and start nothing more for it; returns how many run."""
    _ended.add(mark)
    processes = _running.get(mark, set())
    for process in processes:
        _signal(process, number)
    return len(processes)


@cache
def own_code() -> str:
    """Digest of what jobs do here. Workers whose code is another would put other results under the same keys."""
    import refbench.jobs

    modules = sorted(module.name for module in pkgutil.iter_modules(refbench.jobs.__path__))
    return digest([code_fingerprint(f"refbench.jobs.{name}") for name in modules])


def offered(dask_worker: Worker | None = None) -> int:
    """Graphics cards that a worker offers as a resource; Dask fills in the worker."""
    from distributed import get_worker

    worker = dask_worker or get_worker()
    return int(worker.state.total_resources.get(GPU, 0))


async def _unseen(mark: str) -> str:
    for _ in range(round(PATIENCE_SECONDS)):
        if Path(mark).exists():
            return ""
        await asyncio.sleep(1)
    return f"does not see the store {Path(mark).parents[1]}: it must be the same folder, by the same path, everywhere"


@contextmanager
def _own_cards(wanted: int) -> Iterator[dict[str, str]]:
    """An environment that shows so many of this worker's cards, which no other task of it has meanwhile."""
    if not wanted:
        yield dict(os.environ)
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = visible.split(",") if visible else [str(number) for number in range(offered())]
    own = [card for card in named if card not in _cards_in_use][:wanted]
    _cards_in_use.update(own)
    try:
        yield {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(own)}
    finally:
        _cards_in_use.difference_update(own)


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
