"""Handing tasks in to SLURM, through submitit."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refbench.engines.slurm_options import SlurmOptions, TaskOptions
from refbench.engines.slurm_task import Start
from refbench.errors import EngineError
from refbench.fingerprint import digest
from refbench.store import Store

BUSY = re.compile("unable to contact|timed out|temporarily|try again", re.IGNORECASE)
"""What sbatch says when the controller restarts, or has too much to do."""
PAUSE_SECONDS = 15.0
PATIENCE = 40
"""How often a controller that does not answer is asked again: ten minutes."""


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
    for left in reversed(range(PATIENCE)):
        try:
            with _own_environment():
                return [job.job_id for job in executor.submit_array(list(starts))]
        except (FailedJobError, FailedSubmissionError) as error:
            said = " ".join(str(error).split())
            if not left or not BUSY.search(said):
                raise EngineError(
                    f"SLURM refused the tasks: {said}. Change the options of `engine: slurm` accordingly; "
                    "the same command goes on from there"
                ) from error
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


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


@contextmanager
def _own_environment() -> Iterator[None]:
    """Without what SLURM tells a task of itself: the runner may be one, and its tasks would take it for theirs."""
    from submitit.helpers import clean_env

    kept = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():
        os.environ.update(kept)
        yield
