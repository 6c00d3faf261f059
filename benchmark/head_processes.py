"""Anonymizes heads side by side, each in a process of its own: one that crashes takes no other with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from refbench.anonymize_head import HeadRecord, Method, anonymize_file, write_record
from refbench.engines.local import warm_server
from refbench.errors import RefbenchError
from refbench.nifti_tree import HeadFile
from refbench.processes import start
from refbench.registry import plugin_module

_LOOK_SECONDS = 0.1
_DYING_SECONDS = 5.0


def side_by_side(files: Sequence[HeadFile], method: Method, jobs: int) -> Generator[HeadRecord, None, None]:
    """Anonymize heads, `jobs` at a time; records come as the heads end.

    Raises:
        RefbenchError: what no head would fare better with, see `refbench.anonymize_head.anonymize_file`; heads that
            are still at work are ended, as when the batch is interrupted.
    """
    if not files:
        return
    stop = threading.Event()
    with warm_server({"register", "brain"}, deep=False), ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [pool.submit(_in_own_process, file, method, stop) for file in files]
            for future in as_completed(futures):
                yield future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _in_own_process(file: HeadFile, method: Method, stop: threading.Event) -> HeadRecord:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    # Plug-in files must be loaded before what they define can be unpickled.
    arguments = (theirs, method.plugin_files, pickle.dumps((file, method)))
    process = multiprocessing.get_context("forkserver").Process(target=_work, args=arguments)
    start(process)
    theirs.close()
    try:
        while not ours.poll(_LOOK_SECONDS):
            if stop.is_set():
                raise RefbenchError(f"{file.name}: stopped")
        answer = ours.recv()
    except EOFError:
        answer = None
        process.join(_DYING_SECONDS)  # how it died is known when it is dead
    finally:
        _end(process)
        ours.close()
    if isinstance(answer, RefbenchError):
        raise answer
    return answer if isinstance(answer, HeadRecord) else _crashed(file, method, process)


def _work(connection: Connection, plugin_files: Sequence[Path], packed: bytes) -> None:
    """What the process does: one head, whose record or whose error it sends."""
    os.setsid()  # a group of its own: it is ended together with the programs that it runs
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what tools print would run through the progress of the batch
        os.dup2(nowhere, descriptor)
    for path in plugin_files:
        plugin_module(path)
    file, method = pickle.loads(packed)
    try:
        connection.send(anonymize_file(file, method))
    except RefbenchError as error:
        connection.send(error)


def _end(process: BaseProcess) -> None:
    assert process.pid is not None
    process.join(timeout=_LOOK_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # if it has not made its group yet
    process.join()


def _crashed(file: HeadFile, method: Method, process: BaseProcess) -> HeadRecord:
    """Record a head whose process died without a word."""
    why = f"its process ended with exit code {process.exitcode}"
    if process.exitcode == -signal.SIGKILL:
        why = "its process was killed, most likely because memory was full; take fewer jobs"
    record = method.record(file, why)
    write_record(file, record)
    return record
