"""Runs one job in this process, which exists for nothing else, and leaves its record in the store."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from refbench import job_log
from refbench.damage import DamagedInput, check_inputs
from refbench.errors import CardFull, InvalidOutput, NobodyLeft, RefbenchError, Unavailable
from refbench.full_disk import says_full
from refbench.gpu_use import GpuUse, card_is_full
from refbench.guard import guarded
from refbench.job import IN_STORE, Assignment, Job, Status
from refbench.jobs.task import Task
from refbench.plugin import Plugin
from refbench.provenance import hardware, peak_memory_mb, software
from refbench.registry import Registry
from refbench.running import RUNNING_NAME, Running
from refbench.store import Store

REPORT_SECONDS = 0.5
NO_SPACE = 28
"""Exit code of a job that found the disk full: it leaves no record, and is as if it had never begun."""


def work(assignment: Assignment, connection: Connection) -> None:
    """Entry point of a job's process. The other end of `connection` gets ("progress", done, total, losses)."""
    os.setsid()  # a group of its own: Ctrl-C in the terminal reaches the runner alone, and a kill reaches all of us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork has its parent's ways
    threading.Thread(target=_end_with_runner, args=(connection,), daemon=True).start()
    try:
        _work(assignment, connection)
    except OSError as error:  # of the store's own files
        if not says_full(str(error)):
            raise
        sys.exit(NO_SPACE)


def _work(assignment: Assignment, connection: Connection) -> None:
    store, job = Store(assignment.store), assignment.job
    with store.lock(job.key):
        if store.has(job.key):  # another run made it while this one waited
            store.scratch(job.key).rmdir()
            return
        scratch = store.scratch(job.key)
        job_log.write_output_to(scratch / job_log.NAME)
        _limit(assignment)
        started, began, gpu_use = time.time(), time.monotonic(), GpuUse(assignment.device)
        running = Running(scratch / RUNNING_NAME, assignment, started)
        remarks: dict[str, Any] = {}
        status, error = _attempt(assignment, store, scratch, _reporter(connection, running), remarks)
        running.ended()
        if status == "failed" and says_full(error):
            sys.exit(NO_SPACE)
        record = {
            "status": status,
            "error": error,
            "label": job.label,
            "started": started,
            "seconds": time.monotonic() - began,
            "peak_memory_mb": peak_memory_mb(),
            "device": assignment.device,
            "threads": assignment.threads,
            "where": dict(job.where),
            "environment": store.keep_environment(software()),
            "hardware": hardware(),
            **gpu_use.figures(),
            **remarks,
        }
        if status == "ok":
            store.commit(job, scratch / "result", record)
        else:
            store.fail(job.key, {**record, "log": job_log.tail(scratch / job_log.NAME)})


def _attempt(
    assignment: Assignment, store: Store, scratch: Path, report: Any, remarks: dict[str, Any]
) -> tuple[Status, str]:
    try:
        device = _take_device(assignment.device)
        run_job(assignment.job, store, scratch, assignment.plugin_files, device, report, remarks)
    except MemoryError as error:
        limit = assignment.memory_gb
        advice = "" if limit is None else f"; a job may have {limit:g} GB: raise limits.memory_gb in the suite"
        return "out of memory", (f"MemoryError: {error}" if str(error) else "MemoryError") + advice
    except CardFull as error:
        return "out of memory", str(error)
    except InvalidOutput as error:
        return "invalid output", str(error)
    except (NobodyLeft, DamagedInput) as error:
        return "blocked", str(error)
    except Unavailable as error:
        return "skipped", str(error)
    except RefbenchError as error:
        return "failed", str(error)
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        full = card_is_full(error) or "can't allocate memory" in text  # torch's words for main memory
        return ("out of memory" if full else "failed"), text
    return "ok", ""


def run_job(
    job: Job,
    store: Store,
    scratch: Path,
    plugin_files: tuple[Path, ...],
    device: str,
    report: Callable[[int, int, dict[str, float]], None],
    remarks: dict[str, Any] | None = None,
) -> None:
    """Do the work of a job, in this process; its result lies in scratch/result, and `remarks` gets what it notes."""
    result = scratch / "result"
    shutil.rmtree(result, ignore_errors=True)
    result.mkdir()
    check_inputs(store, job.needs)
    with guarded(job, store, scratch, plugin_files):
        registry = Registry.discover(plugin_files)

        def plugin(identity: Mapping[str, Any]) -> Plugin:
            made = registry.find(identity["kind"], identity["name"]).load().model_validate(identity["params"])
            if made.missing():
                raise Unavailable(made.missing())
            return made

        task = Task(
            identity=job.identity,
            where={name: str(store.root / path) if name in IN_STORE else path for name, path in job.where.items()},
            inputs={key: store.folder(key) for key in job.needs},
            out=result,
            scratch=scratch,
            plugin=plugin,
            device=device,
            report=report,
            remarks={} if remarks is None else remarks,
        )
        importlib.import_module(f"refbench.jobs.{job.kind}").run(task)


def _reporter(connection: Connection, running: Running) -> Any:
    last = 0.0

    def report(done: int, total: int, losses: dict[str, float]) -> None:
        nonlocal last
        running.at(done, total, losses)
        if time.monotonic() - last >= REPORT_SECONDS or done == total:
            last = time.monotonic()
            try:
                connection.send(("progress", done, total, losses))
            except OSError:
                os._exit(1)  # the runner is gone

    return report


def _end_with_runner(connection: Connection) -> None:
    parent = os.getppid()
    # The runner never sends: there is something to read when it is gone. A fork of it holds its end open itself.
    while os.getppid() == parent and not connection.poll(1.0):
        pass
    os.killpg(0, signal.SIGKILL)  # and all that this job has started


def _take_device(device: str) -> str:
    """Hide all other cards from this process, so that its own are `cuda`; return `cpu` or `cuda`.

    CUDA looks at its environment when it is first used, which in this process nobody has done.
    """
    kind, _, numbers = device.partition(":")
    if numbers:
        listed = os.environ.get("CUDA_VISIBLE_DEVICES")
        cards = listed.split(",") if listed else None
        own = [cards[int(number)].strip() if cards else number for number in numbers.split(",")]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(own)
    return kind


def _limit(assignment: Assignment) -> None:
    import resource

    if assignment.memory_gb is not None and hasattr(resource, "RLIMIT_DATA"):
        limit = int(assignment.memory_gb * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if assignment.threads > 1:  # one thread is what the environment says already
        import torch

        torch.set_num_threads(assignment.threads)
