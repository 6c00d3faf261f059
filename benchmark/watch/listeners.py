"""Who hears of a run: what it is told, several that listen together, and one that only counts."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, Protocol

from refbench.engines.base import Listener, Place
from refbench.forecast.outlook import Outlook
from refbench.job import Job
from refbench.suite import Suite

Ending = Literal["done", "failures", "stopped", "error"]
"""How a run ended: all went well; some jobs did not; its user stopped it; it could not go on."""


class Progress(Listener, Protocol):
    """A listener that also hears of the plan, its stages, and what is found damaged."""

    def planned(self, suite: Suite, cells: int, total: int, cached: int) -> None:
        """The whole plan is known."""

    def stage(self, name: str, jobs: int, outlook: Outlook) -> None:
        """A stage with so many jobs to run begins. Who uses the outlook of what is left tells it of every end."""

    def damaged(self, label: str, what: str) -> None:
        """A result was found damaged, and is set aside."""


class Silent:
    """Hears everything and does nothing."""

    def planned(self, suite: Suite, cells: int, total: int, cached: int) -> None:
        """See `Progress.planned`."""

    def stage(self, name: str, jobs: int, outlook: Outlook) -> None:
        """See `Progress.stage`."""

    def damaged(self, label: str, what: str) -> None:
        """See `Progress.damaged`."""

    def started(self, job: Job, place: Place) -> None:
        """See `Listener.started`."""

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None:
        """See `Listener.progressed`."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """See `Listener.ended`."""


class Tally(Silent):
    """Counts.

    Attributes:
        jobs, cached: how many the plan has, and how many of them were there before.
        ended_as: how many jobs ended during this run, by status.
    """

    def __init__(self) -> None:
        self.jobs = 0
        self.cached = 0
        self.ended_as: Counter[str] = Counter()

    def planned(self, suite: Suite, cells: int, total: int, cached: int) -> None:
        """See `Progress.planned`."""
        self.jobs, self.cached = total, cached

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """See `Listener.ended`."""
        self.ended_as[record["status"]] += 1


class Together:
    """Several that hear the same, in this order."""

    def __init__(self, *listeners: Progress) -> None:
        self._listeners = listeners

    def planned(self, suite: Suite, cells: int, total: int, cached: int) -> None:
        """See `Progress.planned`."""
        for one in self._listeners:
            one.planned(suite, cells, total, cached)

    def stage(self, name: str, jobs: int, outlook: Outlook) -> None:
        """See `Progress.stage`."""
        for one in self._listeners:
            one.stage(name, jobs, outlook)

    def damaged(self, label: str, what: str) -> None:
        """See `Progress.damaged`."""
        for one in self._listeners:
            one.damaged(label, what)

    def started(self, job: Job, place: Place) -> None:
        """See `Listener.started`."""
        for one in self._listeners:
            one.started(job, place)

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None:
        """See `Listener.progressed`."""
        for one in self._listeners:
            one.progressed(job, done, total, losses)

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """See `Listener.ended`."""
        for one in self._listeners:
            one.ended(job, record)
