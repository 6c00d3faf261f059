"""The command `job`: what every engine starts somewhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from refbench.commands.common import FAILURES, INTERRUPTED, StoreOption, errors, output
from refbench.store import Store, default_store


def job(
    keys: Annotated[list[str], typer.Argument(help="Jobs by the beginning of their key, in the order to run them")],
    store: StoreOption = None,
    device: Annotated[str, typer.Option(help="cpu, or cards as `cuda:0,1`; auto: the first cards that are there")] = (
        "auto"
    ),
    threads: Annotated[int, typer.Option(min=1, help="Threads of one job")] = 1,
    keep_failures: Annotated[
        bool, typer.Option("--keep-failures", help="Leave jobs alone that have failed already, as a task that goes on.")
    ] = False,
) -> None:
    """Run jobs that a run left open, here and now, one after another. Engines call this; by hand it shows a failure.

    For example:

        refbench job 0c85b910b8 --device cpu
    """
    import importlib
    import multiprocessing
    import signal
    import threading

    from refbench.engines.base import one_thread_each, run_shard
    from refbench.engines.supervisor import Supervisor
    from refbench.errors import StoreError
    from refbench.job_file import read_job
    from refbench.worker import NO_SPACE

    one_thread_each()
    if len(keys) > 1:
        importlib.import_module("refbench.jobs.preload")  # once, for all that are forked from here
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    place = Store(store or default_store())
    ended: list[dict[str, Any]] = []
    for key in keys:
        if place.has(key) or (keep_failures and place.failure(key)):
            continue
        left = read_job(place, key)
        place.forget_failure(left.job.key)
        supervisor = Supervisor(place, left.limits, left.plugin_files, multiprocessing.get_context("fork"), stop)

        def run(one: Any, left: Any = left, supervisor: Supervisor = supervisor) -> dict[str, Any]:
            chosen = _device(device, one)
            return supervisor.run(one, chosen, threads, lambda done, total, losses: None)

        try:
            run_shard([left.job], place, run, lambda one, record: ended.append(record))
        except StoreError as error:  # the disk is full: engines know it by this code
            errors.print(Text(str(error)), soft_wrap=True)
            raise typer.Exit(NO_SPACE) from None
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)
    for record in ended:
        text = f"{record['label']}: {record['status']}" + (f": {record['error']}" if record["error"] else "")
        (output if record["status"] == "ok" else errors).print(Text(text), soft_wrap=True)
        for line in record.get("log", ()):
            errors.print(Text(f"  {line}"), soft_wrap=True)
    if any(record["status"] != "ok" for record in ended):
        raise typer.Exit(FAILURES)


def _device(asked: str, one: Any) -> str:
    """Of `auto`: as many cards as a training wants where there are as many, else the processor."""
    from refbench.provenance import gpus

    if asked != "auto":
        return asked
    wanted = int(one.identity.get("gpus", 1)) if one.kind == "train" else 1
    deep = one.kind in ("train", "reconstruct")
    return f"cuda:{','.join(map(str, range(wanted)))}" if deep and len(gpus()) >= wanted else "cpu"
