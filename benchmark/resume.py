"""What a run does about jobs that have ended before, which ones it does at all, and when it gives up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from refbench.engines.base import Listener, Place
from refbench.errors import StoreError
from refbench.job import LASTING, LOST, Job, Retry, Status
from refbench.only import ALL, Only
from refbench.plan import Plan, open_jobs
from refbench.store import Store

FAILURES: tuple[Status, ...] = ("failed", "crashed", "out of memory", "timed out", "invalid output")
"""Ends that `fail_fast` stops at."""


@dataclass(frozen=True)
class Resume:
    """How a run takes up what is in the store.

    Attributes:
        retry: which jobs that ended badly are tried again; of those that failed by themselves, if they are chosen.
        redo: do jobs again that ended well; what hangs on them is done again only if it is chosen, too.
        whole: make again what was dropped from the store, whether or not it is needed.
        only: the jobs that are chosen; what they need is done for them, and the rest is left as it is.
        fail_fast: stop at the first job that fails.
    """

    retry: Retry = Retry.LOST
    redo: bool = False
    whole: bool = False
    only: Only = ALL
    fail_fast: bool = False

    def prepare(self, plan: Plan, store: Store) -> bool:
        """Open the jobs that are to be done again; whether there are any, so that the plan is another one now.

        Raises:
            SuiteError: `only` names what is not there.
            StoreError: jobs that ended well are to be done again, and the store cannot be written.
        """
        self.only.check(plan)
        if not store.writable:
            if self.redo:
                raise StoreError(
                    f"{store.root} cannot be written, and --redo writes; choose another store with --store"
                )
            return False
        chosen, needed, changed = self.only.fitting(plan), self.only.needed(plan), False
        kept = (*LASTING, *LOST) if self.retry is Retry.NONE else LASTING
        failed = store.failed()
        for job in plan.jobs():
            record = store.failure(job.key) if job.key in failed else None
            asked = (self.retry is Retry.FAILED and job.key in needed) or (self.redo and job.key in chosen)
            if record and store.replacing(job.key) and not asked:
                store.keep(job.key)  # doing it again has failed: what it should have replaced stands
                changed = True
            elif record and (asked or record["status"] not in kept):
                store.forget_failure(job.key)
                changed = True
            if self.redo and job.key in chosen and store.has(job.key):
                store.replace(job.key)
                changed = True
        return changed

    def waiting(self, plan: Plan, store: Store) -> frozenset[str]:
        """Keys of the jobs that are to be run."""
        return self.only.needed(plan) & open_jobs(plan, store, whole=self.whole)


def forget_failures(plan: Plan, store: Store, which: Collection[Status]) -> None:
    """Let jobs be tried again that ended so."""
    for key in store.failed().intersection(job.key for job in plan.jobs()):
        record = store.failure(key)
        if record and record["status"] in which:
            store.forget_failure(key)


GO_ON = Resume()
"""All of it, from where the last run ended."""


class FirstFailure(Exception):  # noqa: N818  (nothing is wrong with the run: it was asked to stop here)
    """A job has failed in a run that stops then."""


@dataclass(frozen=True)
class FailFast:
    """Passes on what happens, and stops the run at the first job that fails."""

    listener: Listener

    def started(self, job: Job, place: Place) -> None:
        """See `Listener.started`."""
        self.listener.started(job, place)

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None:
        """See `Listener.progressed`."""
        self.listener.progressed(job, done, total, losses)

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """See `Listener.ended`.

        Raises:
            FirstFailure: it failed.
        """
        self.listener.ended(job, record)
        if record["status"] in FAILURES:
            raise FirstFailure(job.label)
