"""What an engine is, and what all of them do alike with a shard of jobs."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from refbench.job import Job
from refbench.store import Store


@dataclass(frozen=True)
class Place:
    """Where a job runs. `device`: `cpu`, or the numbers of its graphics cards there: `cuda:1`, `cuda:2,3`."""

    host: str
    device: str

    def __str__(self) -> str:
        return f"{self.device} of {self.host}"


class Listener(Protocol):
    """Hears what happens; called from several threads, one at a time."""

    def started(self, job: Job, place: Place) -> None:
        """A job's process is about to start, or was seen running elsewhere."""

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None:
        """A job counts its steps."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """A job ended, well or not; `record` as it stands in the store."""


class Engine(Protocol):
    """Runs shards of jobs somewhere. When it returns, every job has its end in the store."""

    def ready(self, kinds: Container[str], *, deep: bool) -> AbstractContextManager[None]:
        """Around all stages of a run: what starting jobs of these kinds needs; `deep`: some train networks."""

    def run(self, shards: Sequence[Sequence[Job]], *, deep: int = 0) -> None:
        """Run what the store lacks.

        Args:
            shards: independent of each other; jobs within one run in their order.
            deep: how many trainings of this suite want a GPU each, or else share the cores; 0: not these shards. It
                counts finished ones too, so that a resumed run computes with the same number of threads.

        Raises:
            KeyboardInterrupt: the user asked to stop; running jobs are ended first, finished ones are kept.
            StoreError: the disk is full; likewise.
        """


def one_thread_each() -> None:
    """Jobs run side by side: the libraries of processes that are started from here use one thread unless asked."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))


def run_shard(
    shard: Sequence[Job],
    store: Store,
    run: Callable[[Job], dict[str, Any]],
    ended: Callable[[Job, dict[str, Any]], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Run what is open of a shard, in its order; a job without its inputs is recorded as blocked, with the cause."""
    for job in shard:
        if stopped():
            return
        if store.has(job.key) or store.failure(job.key):
            continue
        missing = next((key for key in job.needs if not store.has(key)), None)
        if missing is None:
            record = run(job)
        else:
            cause = store.failure(missing) or {"label": "an input", "error": "it was not made"}
            error = f"{cause['label']}: {cause['error']}"
            record = {"status": "blocked", "label": job.label, "seconds": 0.0, "error": error}
            store.fail(job.key, record)
        ended(job, record)
