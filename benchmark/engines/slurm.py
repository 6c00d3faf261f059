"""Runs jobs on a SLURM cluster: an array of tasks per stage, handed in through submitit, each `refbench job KEY...`.

STORE/slurm/12_3_0_log.out   what the fourth task of array 12 said
STORE/slurm/12_3.exit        its exit code, once it has ended by itself
STORE/slurm/12.json          which jobs each task of array 12 runs
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from refbench.engines.local import MOST_THREADS
from refbench.engines.remote import RemoteEngine, Task
from refbench.engines.slurm_options import SlurmOptions
from refbench.engines.slurm_queue import Queue, SlurmTask, cancel
from refbench.engines.slurm_submission import check_commands, folder, hand_in, task_name
from refbench.engines.slurm_task import Start
from refbench.job import Job
from refbench.store import write_atomically


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
        command = super()._command(jobs, deep=deep and self.options.use_gpus)  # which says whose cards it may take
        threads = min(self.options.trainings.cpus, MOST_THREADS) if deep else 1
        where = command.index("job") + 1
        return [*command[:where], "--threads", str(threads), *command[where:]]


def _keys(command: Sequence[str]) -> list[str]:
    return [word for word in command if len(word) == 40 and set(word) <= set("0123456789abcdef")]
