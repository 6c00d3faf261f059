"""The runner itself as a task of SLURM: it hands in all other tasks, follows them, and collects the tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from refbench.engines.slurm_options import SlurmOptions
from refbench.engines.slurm_queue import log_file
from refbench.engines.slurm_submission import check_commands, folder, hand_in
from refbench.engines.slurm_task import Start
from refbench.job import Retry
from refbench.run_status import announce
from refbench.store import Store
from refbench.suite import Suite


def detach(
    suite: Suite, store: Store, options: SlurmOptions, arguments: Sequence[str], retry: Retry
) -> tuple[str, str]:
    """Hand in `refbench run`.

    A turn that ends leaves its tasks in the queue, where the next turn takes them over. What failed by itself is tried
    again, and what ended well is done again, in the first turn only.

    Args:
        suite: what is run.
        store: where its results lie.
        options: those of the suite's engine.
        arguments: of the command line, without `--detach`.
        retry: which jobs that ended badly these try again.

    Returns:
        The task's number, and the name of the run.

    Raises:
        EngineError: SLURM is not here, or refuses the task.
    """
    check_commands()
    command = (sys.executable, "-m", "refbench", *arguments, "--store", str(store.root))
    again = [word for word in command if word != "--redo"]
    again += ["--retry", Retry.LOST] if retry is Retry.FAILED else []
    (number,) = hand_in([Start(command, tuple(again))], store, options, options.runner, {})
    log = log_file(folder(store), number).relative_to(store.root)
    announced = announce(suite, store, time.time(), f"SLURM job {number}, which writes {log}")
    return number, announced.name
