"""Shows what a run is doing: bars on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from refbench.engines.base import Place
from refbench.forecast.outlook import Beat, Outlook, rest
from refbench.job import Job
from refbench.smaller_batch import batch_notes
from refbench.suite import Suite
from refbench.units import duration
from refbench.watch.listeners import Silent

LINE_SECONDS, LINE_SHARE, LINE_MOST = 10.0, 0.1, 300.0
"""Between two plain lines: ten seconds at first, then a tenth of the time so far, five minutes at most."""
BAR = 20
"""Characters."""
ROWS = 8
"""Most jobs with a bar of their own."""
LONG_SECONDS = 3.0
"""Jobs that are no trainings get a bar once they have run for so long."""


@dataclass
class _Running:
    """A job that runs. `first`, `last`: time and steps done when it told first and last."""

    job: Job
    place: Place
    since: float
    first: tuple[float, int] | None = None
    last: tuple[float, int] = (0.0, 0)
    total: int = 0
    losses: dict[str, float] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """Where it runs, and losses."""
        return " ".join([f"on {self.place}", *(f"{name} {value:.3g}" for name, value in self.losses.items())])

    def beat(self, now: float) -> Beat:
        """What it tells of its time."""
        left = None if self.first is None else rest(self.first, self.last, self.total, now)
        return Beat(now - self.since, left)


class ConsoleProgress(Silent):
    """One bar for the stage and one for each training and long job, while the block lasts; failures as they happen.

    Without a terminal it prints a line when a stage begins and when it ends, and now and then in between.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._stage: tuple[str, int, int] = ("", 0, 0)
        self._running: dict[str, _Running] = {}
        self._outlook: Outlook | None = None
        self._begun = self._last_line = time.monotonic()
        self._said: set[tuple[str, str]] = set()
        self._live = Live(console=console, get_renderable=self._table, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def planned(self, suite: Suite, cells: int, total: int, cached: int) -> None:
        """Say how much there is to do."""
        self._print(f"{suite.name} · {suite.data} · {cells} cells · {total} jobs, {cached} cached")

    def stage(self, name: str, jobs: int, outlook: Outlook) -> None:
        """Begin a stage."""
        self._stage, self._outlook = (name, 0, jobs), outlook
        self._line(f"{name}: {jobs} jobs")

    def started(self, job: Job, place: Place) -> None:
        """Remember where it runs."""
        self._running[job.key] = _Running(job, place, time.monotonic())

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None:
        """Remember steps and losses."""
        own = self._running.get(job.key)
        if own is not None:
            own.total, own.losses = total, losses
            if own.first is None or done != own.last[1]:
                own.last = (time.monotonic(), done)
                own.first = own.first or own.last
            self._now_and_then()

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Count a job; print how it ended if it did not end well."""
        name, done, jobs = self._stage
        self._stage = (name, done + 1, jobs)
        self._running.pop(job.key, None)
        if self._outlook:
            self._outlook.ended(job.key, record)
        if done + 1 == jobs:
            self._line(f"  {name}: {jobs}/{jobs}")
        else:
            self._now_and_then()
        for note in batch_notes([(job.label, record)]):
            self._print(f"  ! {note}")
        if record["status"] not in ("ok", "blocked", "cancelled"):
            what = (record["status"], record["error"])
            if what not in self._said:  # the summary at the end counts those that failed alike
                self._said.add(what)
                self._print(f"  ✗ {job.label}: {record['status']}: {record['error']}")

    def _now_and_then(self) -> None:
        now = time.monotonic()
        pause = min(LINE_MOST, max(LINE_SECONDS, LINE_SHARE * (now - self._begun)))
        name, done, jobs = self._stage
        if self._live or not name or now - self._last_line < pause:
            return
        parts = [f"  {name}: {done}/{jobs}"]
        if running := sorted(self._running.values(), key=lambda own: own.since):
            own, more = running[0], len(running) - 1
            count = f" {own.last[1]}/{own.total}" if own.total else ""
            parts.append(f"{own.job.label}{count} {own.told}" + f" and {more} more" * (more > 0))
        self._line("; ".join(parts))

    def _line(self, text: str) -> None:
        """A line where there is no terminal, with the time that is left."""
        if not self._live:
            self._last_line = time.monotonic()
            self._print(", ".join(filter(None, [text, self._left()])))

    def _left(self) -> str:
        if self._outlook is None:
            return ""
        now = time.monotonic()
        return str(self._outlook.left({key: own.beat(now) for key, own in list(self._running.items())}))

    def _table(self) -> Table:
        """What a terminal shows now; called by a thread of its own."""
        now = time.monotonic()
        table = Table.grid(padding=(0, 1), pad_edge=True)
        table.add_column()
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column()
        running = list(self._running.values())
        running.sort(key=lambda own: (own.job.kind != "train", own.since))
        shown = [own for own in running if own.job.kind == "train" or now - own.since > LONG_SECONDS][:ROWS]
        name, done, jobs = self._stage
        if name:
            others = f"{len(running) - len(shown)} more running" if len(running) > len(shown) > 0 else ""
            others = others or (f"{len(running)} running" if running and not shown else "")
            note = ", ".join(filter(None, [self._left(), others]))
            table.add_row(f" {name}", ProgressBar(jobs, done, BAR), f"{done}/{jobs}", _short(note))
        for own in shown:
            bar = ProgressBar(own.total or None, own.last[1], BAR)
            count = f"{own.last[1]}/{own.total}" if own.total else duration(now - own.since)
            table.add_row(_short(f" {own.job.label}"), bar, count, _short(own.told))
        return table

    def _print(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)


def _short(text: str) -> Text:
    """Text that gives way where there is no room for all of it."""
    return Text(text, no_wrap=True, overflow="ellipsis")
