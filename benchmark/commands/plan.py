"""Command `refbench plan`."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.text import Text

from refbench.commands.common import StoreOption, SuiteArgument, output
from refbench.errors import DataError
from refbench.store import Store, default_store

if TYPE_CHECKING:
    from refbench.estimate import Estimate

NOT_KNOWN = "not known"
PREPARATION = ("head", "register", "brain", "face", "skin", "anonymize", "check", "slice")
"""What a trial does for one subject."""


def plan(
    suite: SuiteArgument,
    store: StoreOption = None,
    trial: Annotated[
        bool, typer.Option("--trial", help="Prepare one subject first, to measure disk and time; the results are kept.")
    ] = False,
) -> None:
    """Show every job of a suite: what is cached, why each of the others must run, and what they will take.

    Runs nothing, unless a trial is asked for.

    For example:

        refbench plan ixi
        refbench plan my_suite.yaml --trial
    """
    from refbench.estimate import estimate
    from refbench.explain import explain
    from refbench.plan import build_plan
    from refbench.progress import ConsoleProgress
    from refbench.suite import load_suite
    from refbench.trial import prepare_one

    chosen = load_suite(suite)
    place = Store(store or default_store())
    for item in (*chosen.anonymizers, *chosen.attackers, *chosen.metrics):
        if item.plugin.missing():
            output.print(Text(f"missing: {item.kind} {item.label}: {item.plugin.missing()}"), soft_wrap=True)
    try:
        laid_out = build_plan(chosen, place)
    except DataError as error:
        cells = len(chosen.anonymizers) * len(chosen.attackers) * len(chosen.file.seeds)
        output.print(Text(f"missing: data: {error}"), soft_wrap=True)
        output.print(f"{chosen.name} is a valid suite of {cells} cells; its jobs are known once the data is there")
        return
    if trial:
        with ConsoleProgress(output) as progress:
            prepare_one(laid_out, place, progress)
        laid_out = build_plan(chosen, place, laid_out.cohort)
    reasons = explain(laid_out, place)
    lines = [
        f"{reason.state:7}{reason.job.key[:10]}  {reason.job.label}" + (f"  ({reason.why})" if reason.why else "")
        for reason in reasons
    ]
    output.print(Text("\n".join(lines)), soft_wrap=True)
    parts = Counter(item.part for item in laid_out.scans)
    states = Counter(reason.state for reason in reasons)
    split = ", ".join(f"{parts[part]} {part}" for part in ("train", "validation", "test"))
    output.print(f"{len(laid_out.scans)} scans: {split}")
    output.print(
        f"{len(reasons)} jobs: {states['cached']} cached, {states['run']} to run, {states['kept']} kept failures"
    )
    for note in laid_out.notes:
        output.print(Text(f"note: {note}"))
    if states["run"]:
        for line in estimate_lines(estimate(laid_out, place, reasons), suite, os.cpu_count() or 1):
            output.print(Text(line), soft_wrap=True)


def estimate_lines(found: Estimate, suite: str, slots: int) -> list[str]:
    """An estimate as text: a line for each kind of job, then sums and what is not known."""
    width = max(len(item.what) for item in found.expected)
    lines = ["", f"{'to run':{width}}   jobs          disk          time"]
    for item in found.expected:
        disk = NOT_KNOWN if item.disk is None else decimal(round(item.disk))
        time = NOT_KNOWN if item.seconds is None else duration(item.seconds)
        lines.append(f"{item.what:{width}} {item.jobs:6} {disk:>13} {time:>13}")
    partly = any(item.disk is None or item.seconds is None for item in found.expected)
    at_least = "at least " if partly else ""
    enough = "" if found.disk < found.free else ": too little; make room, or choose another place with --store"
    lines.append(f"disk: {at_least}{decimal(round(found.disk))}; free there are {decimal(found.free)}{enough}")
    if found.seconds:
        together = f"{duration(found.seconds / slots)} with {slots} side by side"
        lines.append(f"time: {at_least}{duration(found.seconds)} one job after another, {together}")
    lines.append(f"memory: a training holds up to {decimal(found.training_memory)} of slices")
    if partly:
        lines.append("what is not known is so until such a job has ended")
    if any(item.seconds is None and item.what.split()[0] in PREPARATION for item in found.expected):
        lines.append(f"`refbench plan {suite} --trial` prepares one subject, which tells about all of them")
    return lines


def duration(seconds: float) -> str:
    """Seconds in a unit that fits."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
