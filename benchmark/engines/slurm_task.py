"""What SLURM starts on a node: a command of refbench, in as many turns as it needs."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from refbench.store import write_atomically

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission


@dataclass(frozen=True)
class Start:
    """Runs a command and leaves its exit code in the store's folder `slurm/`.

    submitit pickles what it is given, in that folder: this class by its name, and its two lists of words. Nothing else
    is pickled, and nothing is read back: results and records lie in the store.

    Attributes:
        command: what is run. again: what is run in the next turn, after a time limit or where others had precedence.
    """

    command: tuple[str, ...]
    again: tuple[str, ...]

    def __call__(self) -> int:
        """Run it to its end; a signal that ends this process ends the command, too."""
        from submitit import JobEnvironment

        environment = JobEnvironment()
        process = _start(self.command)
        try:
            code = process.wait()
        finally:
            process.terminate()
            process.wait()
        write_atomically(exit_file(environment.paths.folder, environment.job_id), str(code))
        return code

    def checkpoint(self) -> DelayedSubmission:
        """What submitit hands in again when this turn's time is over; the store knows what is done."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(Start(self.again, self.again))


def exit_file(folder: Path, task: str) -> Path:
    """Where the exit code of a task lies once its command has ended by itself."""
    return folder / f"{task}.exit"


def _start(command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    from submitit import JobEnvironment

    # SLURM's notice of the time limit reaches every process of a task; it would end all that do not expect it. What is
    # blocked here stays blocked in the command; a notice that comes meanwhile is handed over afterwards.
    notice = {JobEnvironment._usr_sig()}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, notice)
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
