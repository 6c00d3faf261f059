"""The command that is told of the end of a run: `--notify`, else `$REFBENCH_NOTIFY`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refbench.errors import SuiteError
from refbench.watch.events import ending
from refbench.watch.listeners import Ending, Tally

VARIABLE = "REFBENCH_NOTIFY"
LIMIT_SECONDS = 60.0
MOST_FAILURES = 10
FORMAT = 1

Warn = Callable[[str], object]


@dataclass
class Notice:
    """What there is to tell.

    Attributes:
        run, suite: names. folder: of the run. store: where it lies.
        tally: what was counted.
        status: how the run ended. error: why it could not go on.
        failures: records of jobs that ended badly.
    """

    run: str
    suite: str
    folder: Path
    store: Path
    tally: Tally
    status: Ending = "done"
    error: str = ""
    failures: list[dict[str, Any]] = field(default_factory=list)

    def summary(self, seconds: float) -> dict[str, Any]:
        """What the command reads, as JSON values."""
        own = [one for one in self.failures if one["status"] != "blocked"]
        shown = [{name: one[name] for name in ("label", "status", "error")} for one in own[:MOST_FAILURES]]
        return {
            "format": FORMAT,
            "run": self.run,
            "suite": self.suite,
            "status": self.status,
            "error": self.error,
            "seconds": round(seconds, 3),
            "jobs": self.tally.jobs,
            "cached": self.tally.cached,
            "ended": dict(self.tally.ended_as),
            "failures": len(self.failures),
            "failed": shown,
            "host": socket.gethostname(),
            "folder": str(self.folder),
            "store": str(self.store),
        }


def parse(command: str | None) -> list[str]:
    """The words of a command; none if there is no command. No shell ever sees them.

    Raises:
        SuiteError: it cannot be read.
    """
    try:
        return shlex.split(command or "")
    except ValueError as error:
        raise SuiteError(f"--notify {command!r} cannot be read ({error}); write it as one command, quoted") from error


@contextmanager
def notifying(words: list[str], notice: Notice, warn: Warn) -> Iterator[Notice]:
    """Run a command at the end of the block, however that ends.

    Args:
        words: the command; nothing is done if there are none.
        notice: what it is told; the block completes it.
        warn: hears what goes wrong with it, which changes nothing else.
    """
    if words and shutil.which(words[0]) is None:
        warn(f"--notify: there is no program {words[0]} here")
    started = time.monotonic()
    try:
        yield notice
    except BaseException as error:
        notice.status = ending(error)
        notice.error = str(error) if notice.status == "error" else ""
        raise
    finally:
        if words:
            _run(words, notice.summary(time.monotonic() - started), warn)


def _run(words: list[str], summary: dict[str, Any], warn: Warn) -> None:
    named = {f"REFBENCH_{name.upper()}": str(summary[name]) for name in ("run", "status", "folder", "store", "seconds")}
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | named
    try:
        # Its output goes where ours tells what went wrong: standard output is for results.
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=2, env=environment, start_new_session=True)
    except OSError as error:
        warn(f"--notify: {words[0]} cannot be started: {error.strerror}")
        return
    try:
        process.communicate(json.dumps(summary).encode(), timeout=LIMIT_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        why = "stopped by the user" if isinstance(error, KeyboardInterrupt) else f"ended after {LIMIT_SECONDS:g} s"
        warn(f"--notify: {words[0]} was {why}")
        return
    if process.returncode:
        warn(f"--notify: {words[0]} failed with exit code {process.returncode}")
