"""The same work on many things, in processes side by side."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from refbench.registry import plugin_module

Item = TypeVar("Item")
Result = TypeVar("Result")

_STARTING = threading.Lock()


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int, plugin_files: Sequence[Path] = ()
) -> Iterator[Result]:
    """Do some work on each of several things; results come in their order, each as soon as it can.

    Args:
        work: can be pickled, as its results can.
        items: at least one.
        jobs: processes; each has one thing at a time.
        plugin_files: what each process loads first, so that what they define can be unpickled.

    Raises:
        BrokenProcessPool: a process died.
    """
    # A fresh server, not a fork: this process may have threads and much memory.
    context = multiprocessing.get_context("forkserver")
    workers = min(jobs, len(items))
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(tuple(plugin_files),)) as pool:
        yield from pool.map(work, items)


def start(process: BaseProcess) -> None:
    """Start a process; any thread may.

    Where the server that processes are forked from has died, `multiprocessing` starts another one with no regard to
    threads that are just then handing the dead one's file descriptors on.

    Raises:
        EOFError, OSError: the server died meanwhile; another process can be started.
    """
    with _STARTING:
        process.start()


def _begin(plugin_files: tuple[Path, ...]) -> None:
    """What each process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for them
    for file in plugin_files:
        plugin_module(file)
