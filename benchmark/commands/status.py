"""The command `status`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from refbench.commands.common import RunArgument, StoreOption, output
from refbench.store import Store, default_store

if TYPE_CHECKING:
    from refbench.run_status import JobState, RunStatus

SHOWN = 20
"""Most lines of one kind."""


def status(
    run: RunArgument = None,
    store: StoreOption = None,
) -> None:
    """Show where a run stands: what is done, what runs where since when, what waits, what failed and why.

    For example:

        refbench status
        refbench status demo
    """
    from refbench.results import find_runs
    from refbench.run_status import run_status

    place = Store(store or default_store())
    (folder,) = find_runs(place.root, [run] if run else [], finished=False)
    for line in status_lines(run_status(folder, place), time.time()):
        output.print(Text(line), soft_wrap=True)


def status_lines(found: RunStatus, now: float) -> list[str]:
    """A run's status as text."""
    from refbench.run_status import STATES
    from refbench.units import duration

    lines = [f"{found.name}: {_headline(found)}"]
    if not found.jobs:
        return lines
    cells = Counter(cell.state for cell in found.cells)
    lines.append("cells: " + ", ".join(f"{cells[state]} {state}" for state in STATES if cells[state]))
    kinds = list(dict.fromkeys(job.kind for job in found.jobs))
    counts = Counter((job.kind, job.state) for job in found.jobs)
    lines.append(f"{'jobs':12}" + "".join(f"{state:>9}" for state in STATES))
    lines += [f"{kind:12}" + "".join(f"{counts[kind, state] or '':>9}" for state in STATES) for kind in kinds]
    active = [job for job in found.jobs if job.state == "running"]
    since = {job.key: max(0.0, now - job.note.get("started", now)) for job in active}  # clocks are set, too
    lines += _listed("running:", [f"  {job.label}: {_progress(job)}, {duration(since[job.key])}" for job in active])
    bad = [job for job in found.jobs if job.state == "failed" and job.note["status"] != "blocked"]
    lines += _listed("failed:", _grouped((job.label, f"{job.note['status']}: {job.note['error']}") for job in bad))
    lost = (cell for cell in found.cells if cell.state == "failed")
    lines += _listed("failed cells:", _grouped((cell.name, cell.why) for cell in lost))
    if (left := str(found.left)) and not found.finished:
        lines.append(f"time: {left}{'' if found.attended else ', once somebody goes on'}")
    if found.finished:
        lines.append(f"next: refbench leaderboard {found.name}")
    return lines


def _headline(found: RunStatus) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.started))
    if found.finished:
        return f"finished, begun {when}"
    if found.attended:
        return f"under way since {when}: {found.runner}"
    if not found.jobs:
        return f"its runner has not begun yet: {found.runner}, {when}"
    return f"nobody works on it; last begun {when}: {found.runner}. The same command goes on from there"


def _progress(job: JobState) -> str:
    note = job.note
    counted = [f"{note['done']} of {note['total']}"] if note.get("total") else []
    losses = [f"{name} {value:.3g}" for name, value in note.get("losses", {}).items()]
    where = [f"{note['device']} of {note['host']}"] if "host" in note else []
    return " ".join([*counted, *losses, *(["on"] if where else []), *where]) or "begins"


def _grouped(failed: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each reason, with the first that it hit; what failed alike is counted."""
    alike: dict[str, list[str]] = {}
    for name, why in failed:
        alike.setdefault(why, []).append(name)
    return [f"  {names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}: {why}" for why, names in alike.items()]


def _listed(title: str, lines: list[str]) -> list[str]:
    more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [title, *lines[:SHOWN], *more] if lines else []
