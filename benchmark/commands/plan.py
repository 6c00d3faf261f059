"""Command `refbench plan`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.text import Text

from refbench.commands.common import EngineOption, JobsOption, StoreOption, SuiteArgument, output
from refbench.errors import DataError
from refbench.store import Store, default_store
from refbench.units import duration

if TYPE_CHECKING:
    from refbench.forecast.estimate import Estimate

NOT_KNOWN = "not known"
SHOWN = 10
"""Most names in one line."""
PREPARATION = ("head", "register", "brain", "face", "skin", "anonymize", "check", "slice")
"""What a trial does for one subject."""


def plan(
    suite: SuiteArgument,
    store: StoreOption = None,
    jobs: JobsOption = None,
    engine: EngineOption = None,
    trial: Annotated[
        bool, typer.Option("--trial", help="Prepare one subject first, to measure disk and time; the results are kept.")
    ] = False,
) -> None:
    """Show every job of a suite: what is cached, why each of the others must run, and what they will take.

    Runs nothing, unless a trial is asked for. Time and disk are those of jobs like these that the store has records of.

    For example:

        refbench plan ixi
        refbench plan my_suite.yaml --trial
    """
    from refbench.engines.choose import chosen_engine
    from refbench.explain import explain
    from refbench.forecast.estimate import estimate
    from refbench.plan import build_plan
    from refbench.suite import load_suite
    from refbench.trial import prepare_one
    from refbench.watch.console import ConsoleProgress

    chosen = load_suite(suite)
    where = chosen_engine(engine, chosen)
    place = Store(store or default_store())
    for item in (*chosen.anonymizers, *chosen.attackers, *chosen.metrics):
        if item.plugin.missing():
            output.print(Text(f"missing: {item.kind} {item.label}: {item.plugin.missing()}"), soft_wrap=True)
    try:
        laid_out = build_plan(chosen, place)
    except DataError as error:
        output.print(Text(f"missing: data: {error}"), soft_wrap=True)
        output.print(
            f"{chosen.name} is a valid suite of {len(chosen.anonymizers)} anonymizers and {len(chosen.attackers)} "
            "attackers; its jobs are known once the data is there"
        )
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
        for line in estimate_lines(estimate(laid_out, place, reasons, where, jobs), suite):
            output.print(Text(line), soft_wrap=True)


def estimate_lines(found: Estimate, suite: str) -> list[str]:
    """An estimate as text: a line for each kind of job, then sums and what is not known."""
    width = max(len(item.what) for item in found.expected)
    lines = ["", f"{'to run':{width}}   jobs          disk          time  time is from"]
    for item in found.expected:
        disk = NOT_KNOWN if item.disk is None else decimal(round(item.disk))
        time = NOT_KNOWN if item.seconds is None else duration(item.seconds)
        lines.append(f"{item.what:{width}} {item.jobs:6} {disk:>13} {time:>13}  {item.note}".rstrip())
    if found.records:
        lines.append(f"estimated from {found.records} records of such jobs in this store, their medians")
    at_least = "at least " if any(item.disk is None for item in found.expected) else ""
    enough = "" if found.disk < found.free else ": too little; make room, or choose another place with --store"
    lines.append(f"disk: {at_least}{decimal(round(found.disk))}; free there are {decimal(found.free)}{enough}")
    lines += _time_lines(found)
    lines.append(f"memory: a training holds up to {decimal(found.training_memory)} of slices")
    unknown = [item.what for item in found.expected if item.seconds is None]
    if len(unknown) == len(found.expected):
        lines.append("no record yet of any such job in this store")
    elif unknown:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        lines.append(f"no record yet of: {', '.join(unknown[:SHOWN])}{more}")
    if any(what.split()[0] in PREPARATION for what in unknown):
        lines.append(f"`refbench plan {suite} --trial` prepares one subject, which tells about all of them")
    return lines


def _time_lines(found: Estimate) -> list[str]:
    if found.left.seconds is None:
        return []
    at_least = "at least " if found.left.partly else ""
    one_by_one = f"time: {at_least}{duration(found.seconds)} one job after another"
    if found.side_by_side is None:
        lines = [f"{one_by_one}; divide by the jobs that your cluster runs side by side"]
    else:
        queue = ", once tasks do not wait for others'" if found.waits_for_others else ""
        lines = [f"{one_by_one}, {duration(found.left.seconds)} with up to {found.side_by_side} side by side{queue}"]
    if found.gpu_seconds is not None:
        lines.append(f"graphics cards: {at_least}{found.gpu_seconds / 3600:.3g} GPU hours of it")
    return lines
