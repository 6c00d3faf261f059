"""Processes of several threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import forkserver

from refbench.processes import start

SECONDS = 4


def test_threads_start_processes_while_their_server_is_killed() -> None:
    """Starts may fail, as the death of a server makes them, but never because of another thread's start."""
    over = threading.Event()
    context = multiprocessing.get_context("forkserver")

    def starts() -> int:
        started = 0
        while not over.is_set():
            process = context.Process(target=os.getpid)
            with suppress(EOFError, OSError):
                start(process)
                started += 1
                process.join()
        return started

    with ThreadPoolExecutor(6) as threads:
        futures = [threads.submit(starts) for _ in range(6)]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.1)
            server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
            if server is not None:
                with suppress(ProcessLookupError):
                    os.kill(server, signal.SIGKILL)
        over.set()
    assert sum(future.result() for future in futures) > 0
