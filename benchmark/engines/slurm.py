"""Runs jobs on a SLURM cluster: an array of tasks per stage, handed in through submitit, each `refbench job KEY...`.

STORE/slurm/12_3_0_log.out   what the fourth task of array 12 said
STORE/slurm/12_3.exit        its exit code, once it has ended by itself
STORE/slurm/12.json          which jobs each task of array 12 runs
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refbench.engines.local import MOST_THREADS
from refbench.engines.remote import RemoteEngine, Task
from refbench.engines.slurm_options import SlurmOptions, TaskOptions
from refbench.engines.slurm_queue import Queue, SlurmTask, cancel
from refbench.engines.slurm_task import Start
from refbench.errors import EngineError
from refbench.fingerprint import digest
from refbench.job import Job
from refbench.store import Store, write_atomically


@dataclass
class SlurmEngine(RemoteEngine):
    """See the module's docstring.

    A runner that ended without its user's wish leaves its tasks in the queue; the next one takes them over, and hands
    in only what none of them does.

    Attributes:
        gpus: graphics cards of one training.

    Raises:
        EngineError: SLURM's commands are not here, or it refuses the tasks.
    """

    options: SlurmOptions
    gpus: int = 1
    _queue: Queue = field(init=False)

    def __post_init__(self) -> None:
        self.bundle = self.options.bundle
        self._queue = Queue(task_name(self.store))
        check_commands()

    def submit(self, commands: Sequence[Sequence[str]], *, deep: bool) -> list[Task]:
        """See `RemoteEngine.submit`."""
        there = self._in_queue()
        tasks: dict[str, None] = {}
        left = []
        for command in commands:
            running = {there.get(key) for key in _keys(command)}
            if None in running:
                left.append(command)
            else:
                tasks |= dict.fromkeys(filter(None, running))
        if left:
            tasks |= dict.fromkeys(self._hand_in(left, deep=deep))
        return [SlurmTask(number, folder(self.store), self._queue) for number in tasks]

    def _in_queue(self) -> dict[str, str]:
        """The task of every job that another runner has handed in, and that waits or runs."""
        found: dict[str, str] = {}
        states = self._queue.states(now=True)
        for array in {number.partition("_")[0] for number in states}:
            try:
                listed = json.loads((folder(self.store) / f"{array}.json").read_text())
            except (OSError, ValueError):
                continue  # the runner itself, or an array that was only just handed in
            for number, keys in listed.items():
                if states.get(number, "COMPLETING") != "COMPLETING":
                    found |= dict.fromkeys(keys, number)
        return found

    def _hand_in(self, commands: Sequence[Sequence[str]], *, deep: bool) -> list[str]:
        options = self.options.trainings if deep else self.options.tasks
        own: dict[str, Any] = {"array_parallelism": self.options.parallel}
        if deep and self.options.use_gpus:
            own["gpus_per_node"] = self.gpus
        starts = [Start(tuple(command), tuple(command)) for command in commands]
        numbers = hand_in(starts, self.store, self.options, options, own)
        self._queue.handed_in(numbers)
        jobs = {number: _keys(command) for number, command in zip(numbers, commands, strict=True)}
        write_atomically(folder(self.store) / f"{numbers[0].partition('_')[0]}.json", json.dumps(jobs))
        return numbers

    def _size(self, shards: int, *, deep: bool) -> int:
        return max(super()._size(shards, deep=deep), -(-shards // self.options.max_array))

    def _cancel(self, tasks: Sequence[Task]) -> None:
        cancel([task.number for task in tasks if isinstance(task, SlurmTask)])

    def _command(self, jobs: Sequence[Job], *, deep: bool) -> list[str]:
        command = super()._command(jobs, deep=deep)
        threads = min(self.options.trainings.cpus, MOST_THREADS) if deep else 1
        where = command.index("job") + 1
        return [*command[:where], "--threads", str(threads), *command[where:]]


def hand_in(
    starts: Sequence[Start], store: Store, slurm: SlurmOptions, options: TaskOptions, own: Mapping[str, Any]
) -> list[str]:
    """Hand in one array; returns the numbers of its tasks.

    Raises:
        EngineError: SLURM refuses it.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    parameters: dict[str, Any] = {
        "job_name": task_name(store),
        "time": options.minutes,
        "cpus_per_task": options.cpus,
        "srun_args": [f"--cpus-per-task={options.cpus}"],  # which srun no longer takes over from sbatch
        "signal_delay_s": slurm.notice_seconds,
        "setup": slurm.setup,
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True, **slurm.sbatch, **options.sbatch},
        **own,
    }
    if options.partition is not None:
        parameters["partition"] = options.partition
    if slurm.account is not None:
        parameters["account"] = slurm.account
    if options.memory_gb is not None:
        parameters["mem"] = f"{round(options.memory_gb * 1000)}M"
    folder(store).mkdir(exist_ok=True)
    executor = SlurmExecutor(folder(store), max_num_timeout=slurm.turns)
    executor.update_parameters(**parameters)
    try:
        with _own_environment():
            return [job.job_id for job in executor.submit_array(list(starts))]
    except (FailedJobError, FailedSubmissionError) as error:
        said = " ".join(str(error).split())
        raise EngineError(
            f"SLURM refused the tasks: {said}. Change the options of `engine: slurm` accordingly"
        ) from error


def check_commands() -> None:
    """Look for SLURM's commands.

    Raises:
        EngineError: they are not here.
    """
    lacking = [name for name in ("sbatch", "squeue", "scancel", "srun") if shutil.which(name) is None]
    if lacking:
        raise EngineError(
            f"the engine slurm needs SLURM's {', '.join(lacking)} here; "
            "run this on the cluster's login node, or choose another with --engine"
        )


def task_name(store: Store) -> str:
    """What SLURM calls every task of a store: `scancel --name` of it ends them all."""
    return f"refbench-{digest(str(store.root))[:8]}"


def folder(store: Store) -> Path:
    """Where submitit's files and the engine's own lie."""
    return store.root / "slurm"


def _keys(command: Sequence[str]) -> list[str]:
    return [word for word in command if len(word) == 40 and set(word) <= set("0123456789abcdef")]


@contextmanager
def _own_environment() -> Iterator[None]:
    """Without what SLURM tells a task of itself: the runner may be one, and its tasks would take it for theirs."""
    from submitit.helpers import clean_env

    kept = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():
        os.environ.update(kept)
        yield
