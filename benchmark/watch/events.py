"""What happens in a run, as JSON lines in `runs/NAME/events.jsonl`: for tools outside of refbench. It decides nothing.

Each line is one object; runners of one run may append at the same time. All have

    event    its kind, see below            time    UTC, as 2026-11-27T08:15:30.123Z
    run      the run's name                 runner  HOST:PROCESS of the command that wrote it

    run_planned      format (1), suite, engine, cells, jobs, cached
    stage_begun      stage, jobs: how many of it are to run; left_seconds: for all that is left, if that is known
    job_started      key, kind, label, host, device. Of jobs elsewhere: once they are seen; short ones may never be
    job_progress     key, label, done, total, losses. Of each job at most twice a minute
    job_ended        key, kind, label, status, seconds; error unless it is ok
    result_damaged   label, what
    run_ended        status: done, failures, stopped or error; seconds, jobs, cached, ended: jobs of this runner by
                     status, failures: of the whole run; error if there is one

A runner that is killed leaves no `run_ended`. New keys and events may come; those above stay what they are.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from refbench.engines.base import Place
from refbench.forecast.outlook import Outlook
from refbench.job import Job
from refbench.results import EVENTS
from refbench.suite import Suite
from refbench.watch.listeners import Ending, Tally

FORMAT = 1
PROGRESS_SECONDS = 30.0


class EventLog(Tally):
    """Appends what it hears; see the module's docstring. The block around a run ends with `run_ended`.

    Attributes:
        failures: jobs of the whole run that ended badly, once they are known.
    """

    def __init__(self, folder: Path, engine: str, *, silent: bool) -> None:
        """Begin.

        Args:
            folder: of the run.
            engine: where its jobs run.
            silent: write nothing, where nothing can be written.
        """
        super().__init__()
        self.failures = 0
        self._file = None if silent else folder / EVENTS
        self._engine = engine
        self._always = {"run": folder.name, "runner": f"{socket.gethostname()}:{os.getpid()}"}
        self._started = time.monotonic()
        self._last: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = ending(error) if error else "failures" if self.failures else "done"
        told = {"error": str(error)} if status == "error" else {}
        self._write(
            "run_ended",
            status=status,
            seconds=round(time.monotonic() - self._started, 3),
            jobs=self.jobs,
            cached=self.cached,
            ended=dict(self.ended_as),
            failures=self.failures,
            **told,
        )

    def planned(self, suite: Suite, cells: int, total: int, cached: int) -> None:
        """See `Progress.planned`."""
        super().planned(suite, cells, total, cached)
        about = {"format": FORMAT, "suite": suite.name, "engine": self._engine}
        self._write("run_planned", **about, cells=cells, jobs=total, cached=cached)

    def stage(self, name: str, jobs: int, outlook: Outlook) -> None:
        """See `Progress.stage`."""
        left = outlook.left({})
        known = {} if left.seconds is None or left.partly else {"left_seconds": round(left.seconds, 1)}
        self._write("stage_begun", stage=name, jobs=jobs, **known)

    def damaged(self, label: str, what: str) -> None:
        """See `Progress.damaged`."""
        self._write("result_damaged", label=label, what=what)

    def started(self, job: Job, place: Place) -> None:
        """See `Listener.started`."""
        self._write("job_started", **_about(job), host=place.host, device=place.device)

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None:
        """See `Listener.progressed`."""
        now = time.monotonic()
        if now - self._last.get(job.key, float("-inf")) >= PROGRESS_SECONDS:
            self._last[job.key] = now
            finite = {name: value if abs(value) < float("inf") else None for name, value in losses.items()}
            self._write("job_progress", key=job.key, label=job.label, done=done, total=total, losses=finite)

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """See `Listener.ended`."""
        super().ended(job, record)
        self._last.pop(job.key, None)
        told = {} if record["status"] == "ok" else {"error": record["error"]}
        self._write("job_ended", **_about(job), status=record["status"], seconds=round(record["seconds"], 3), **told)

    def _write(self, event: str, **facts: Any) -> None:
        if self._file is not None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            append_line(self._file, {"event": event, "time": now, **self._always, **facts})


def ending(error: BaseException) -> Ending:
    """How a run ended that was left by an exception."""
    return "stopped" if isinstance(error, KeyboardInterrupt) else "error"


def append_line(file: Path, content: Mapping[str, Any]) -> None:
    """Append one whole line, or nothing: a run does not stand or fall with its events."""
    line = json.dumps(content, ensure_ascii=False, allow_nan=False).encode(errors="replace") + b"\n"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # O_APPEND alone is not enough on a disk in the network
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, line) < len(line):  # the disk is full
                os.ftruncate(descriptor, before)
        finally:
            os.close(descriptor)


def _about(job: Job) -> dict[str, Any]:
    return {"key": job.key, "kind": job.kind, "label": job.label}
