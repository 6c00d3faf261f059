"""Shows how something goes on that is no run, see `refbench.watch` for those: bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

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

if TYPE_CHECKING:
    from refbench.anonymize_head import HeadRecord


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
