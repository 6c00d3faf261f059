"""Shows what a run is doing: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from refbench.job import Job
from refbench.smaller_batch import batch_notes
from refbench.suite import Suite

if TYPE_CHECKING:
    from refbench.anonymize_head import HeadRecord

LINE_SECONDS = 10.0


class _OnTerminal:
    """Bars on a terminal while the block lasts; none elsewhere."""

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self.bars = Bars(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            *columns,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()


class ConsoleProgress(_OnTerminal):
    """One bar per stage, one for each training; failures are printed as they happen.

    Without a terminal it prints a line per stage, one per training, and one every ten seconds in between.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console, MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self.console = console
        self.finished = 0
        self._stage: tuple[str, int, int] = ("", 0, 0)
        self._stage_bar: TaskID | None = None
        self._job_bars: dict[str, TaskID] = {}
        self._last_line = 0.0
        self._said: set[tuple[str, str]] = set()

    def planned(self, suite: Suite, total: int, cached: int) -> None:
        """Say how much there is to do."""
        cells = len(suite.anonymizers) * len(suite.attackers) * len(suite.file.seeds)
        self._print(f"[bold]{suite.name}[/] · {suite.dataset.label} · {cells} cells · {total} jobs, {cached} cached")

    def stage(self, name: str, jobs: int) -> None:
        """Begin a stage."""
        self._stage = (name, 0, jobs)
        self._last_line = time.monotonic()
        if self.console.is_terminal:
            self._stage_bar = self.bars.add_task(name, total=jobs, note="")
        else:
            self._print(f"{name}: {jobs} jobs")

    def started(self, job: Job) -> None:
        """Show a training."""
        if job.kind == "train" and self.console.is_terminal:
            self._job_bars[job.key] = self.bars.add_task(job.label, total=None, note="")

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None:
        """Show steps and losses of a training."""
        note = " ".join(f"{name} {value:.3g}" for name, value in losses.items())
        if job.key in self._job_bars:
            self.bars.update(self._job_bars[job.key], completed=done, total=total, note=note)
        elif not self.console.is_terminal and time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            self._print(f"  {job.label}: {done}/{total} {note}")

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Count a job; print how it ended if it did not end well."""
        name, done, jobs = self._stage
        self._stage = (name, done + 1, jobs)
        self.finished += record["status"] == "ok"
        if self._stage_bar is not None and self.console.is_terminal:
            self.bars.update(self._stage_bar, completed=done + 1)
            if job.key in self._job_bars:
                self.bars.remove_task(self._job_bars.pop(job.key))
        elif time.monotonic() - self._last_line > LINE_SECONDS or done + 1 == jobs:
            self._last_line = time.monotonic()
            self._print(f"  {name}: {done + 1}/{jobs}")
        for note in batch_notes([(job.label, record)]):
            self.console.print(f"  ! {note}", markup=False, highlight=False, soft_wrap=True)
        if record["status"] not in ("ok", "blocked", "cancelled"):
            what = (record["status"], record["error"])
            if what not in self._said:  # the summary at the end counts those that failed alike
                self._said.add(what)
                text = f"  ✗ {job.label}: {record['status']}: {record['error']}"
                self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


class Counting(_OnTerminal):
    """One bar for so many of so many; nothing where there is no terminal."""

    def __init__(self, console: Console, what: str) -> None:
        super().__init__(console, MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = self.bars.add_task(what, total=None)

    def at(self, done: int, total: int) -> None:
        """So many are done."""
        self.bars.update(self._bar, completed=done, total=total)


class DownloadProgress(_OnTerminal):
    """Shows a download and an unpacking; see `refbench.download_ixi.Listener`. Lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())

    def downloading(self, name: str) -> Callable[[int, int | None], object]:
        """A line and a bar of bytes, once any come."""
        bar: TaskID | None = None

        def told(done: int, total: int | None) -> None:
            nonlocal bar
            if bar is None:
                self.bars.console.print(f"downloading {name}")
                bar = self.bars.add_task(name)
            self.bars.update(bar, completed=done, total=total)

        return told

    def unpacking(self, name: str) -> Callable[[int, int], object]:
        """A line; it takes seconds."""
        self.bars.console.print(f"unpacking {name}")
        return lambda done, total: None

    def remark(self, text: str) -> None:
        """A line."""
        self.bars.console.print(Text(f"note: {text}"), soft_wrap=True)


class HeadProgress(Counting):
    """Shows how a batch of heads goes on; see `refbench.anonymize_files.Listener`."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, "anonymize")

    def planned(self, heads: int, done: int) -> None:
        """So many there are, and so many were done before."""
        self.at(done, heads)

    def ended(self, record: HeadRecord) -> None:
        """One more."""
        self.bars.advance(self._bar)
