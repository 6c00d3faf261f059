"""Runs jobs on a Dask cluster: a task starts `refbench job` on a worker. Only keys and exit codes go through Dask."""

from __future__ import annotations

import importlib
import logging
import shutil
import signal
import threading
import time
import uuid
import warnings
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refbench.engines import dask_worker
from refbench.engines.dask_options import DaskOptions
from refbench.engines.remote import RemoteEngine, Task
from refbench.engines.supervisor import GRACE_SECONDS
from refbench.errors import EngineError, SuiteError

if TYPE_CHECKING:
    from distributed import Client, Future

ANSWER_SECONDS = 30.0


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that are started meanwhile are ended by the run, not by the terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass
class DaskTask:
    """One task of the cluster."""

    future: Future
    _ended: tuple[int, str] | None = None

    def exit_code(self) -> int | None:
        """See `Task.exit_code`."""
        if self._ended is None:
            self._ended = self._outcome()
        return None if self._ended is None else self._ended[0]

    def said(self) -> str:
        """See `Task.said`."""
        return "" if self._ended is None else self._ended[1]

    def cancel(self) -> None:
        """Take it from the queue; what runs is ended by the engine."""
        with suppress(Exception):  # the scheduler is gone, and its queue with it
            self.future.cancel()

    def _outcome(self) -> tuple[int, str] | None:
        if self.future.status == "finished":
            with suppress(TimeoutError):  # the worker that knew has just gone: another will say it
                code, said = self.future.result(timeout=ANSWER_SECONDS)
                return code, said
        if self.future.status == "error":
            error = self.future.exception(timeout=ANSWER_SECONDS)
            if isinstance(error, EngineError):
                raise EngineError(f"a worker of the cluster {error}")
            return -1, f"{type(error).__name__}: {error}"
        return (-1, "the scheduler has lost it") if self.future.status in ("cancelled", "lost") else None


@dataclass
class DaskEngine(RemoteEngine):
    """See `RemoteEngine`.

    Attributes:
        gpus: graphics cards of one deep training. folder: where a relative path of the scheduler's file starts.

    Raises:
        EngineError: there is no such cluster, no worker comes, or a worker cannot work for this run.
        SuiteError: a training wants more graphics cards than any worker offers.
    """

    options: DaskOptions = field(default_factory=DaskOptions)
    gpus: int = 1
    folder: Path = Path()
    _client: Client = field(init=False)
    _name: str = field(init=False)

    def __post_init__(self) -> None:
        self.bundle = self.options.bundle
        self._name = f"dask-{uuid.uuid4().hex}"

    @contextmanager
    def ready(self, kinds: Container[str], *, deep: bool) -> Iterator[None]:
        """A connection to the cluster, whose workers can all work for this run."""
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters to the user is said by ourselves
        warnings.filterwarnings(
            "ignore", "Port .* is already in use", UserWarning
        )  # of a dashboard that nobody asked for
        with self._cluster() as address, self._connected(address) as self._client, self._mark():
            try:
                self._check_workers(deep=deep)
                yield
            finally:
                self._end_what_runs()

    def submit(self, commands: Sequence[Sequence[str]], *, deep: bool) -> list[Task]:
        """See `RemoteEngine.submit`; workers have a Python of their own."""
        cards = self.gpus if deep and self._offered() else 0
        try:
            futures = self._client.map(
                partial(dask_worker.run_command, *self._known(), cards=cards),
                [list(command[1:]) for command in commands],
                key=f"refbench-{uuid.uuid4().hex}",
                pure=False,
                resources={dask_worker.GPU: cards} if cards else None,
            )
        except Exception as error:
            raise EngineError(
                f"the Dask scheduler is gone ({error}); what finished is kept, and the same command goes on from there"
            ) from error
        return [DaskTask(future) for future in futures]

    @contextmanager
    def _mark(self) -> Iterator[None]:
        """A locked file in the store, by which workers know it; runs that were killed have left theirs."""
        for left in (self.store.root / "scratch").glob("dask-*.lock"):
            if not self.store.held(left.stem):
                self._unmark(left.stem)
        with self.store.lock(self._name):
            try:
                yield
            finally:
                self._unmark(self._name)

    def _unmark(self, name: str) -> None:
        shutil.rmtree(self.store.scratch(name), ignore_errors=True)
        Path(f"{self.store.scratch(name)}.lock").unlink(missing_ok=True)

    def _known(self) -> tuple[str, str]:
        """The file by which workers know the store, and the digest of the code that they should have."""
        return f"{self.store.scratch(self._name)}.lock", dask_worker.own_code()

    def _cluster(self) -> Any:
        """What a client connects to: a scheduler's address or file, or a cluster that ends with the run."""
        scheduler = self.options.scheduler
        if scheduler is None:
            return self._made_cluster()
        if ":" in scheduler:
            return nullcontext(scheduler)
        file = (self.folder / scheduler).absolute()
        if not file.is_file():
            raise EngineError(
                f"{file}: there is no such file of a scheduler; start one with `dask scheduler --scheduler-file FILE`, "
                "or give its address as `scheduler`"
            )
        return nullcontext(file)

    def _made_cluster(self) -> Any:
        from distributed.deploy import Cluster, LocalCluster

        module, _, name = self.options.cluster.rpartition(".")
        try:
            made = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise EngineError(
                f"cluster {self.options.cluster} cannot be imported ({error}); is it installed?"
            ) from error
        if not (isinstance(made, type) and issubclass(made, Cluster)):
            raise EngineError(f"{self.options.cluster} is no class of Dask clusters, as {DaskOptions().cluster} is")
        try:
            with _deaf_to_ctrl_c() if issubclass(made, LocalCluster) else nullcontext():
                cluster = made(**self.options.cluster_options)
            if self.options.workers is not None:
                cluster.scale(self.options.workers)
        except Exception as error:  # each class has errors of its own
            raise EngineError(f"{self.options.cluster} made no cluster: {type(error).__name__}: {error}") from error
        return cluster

    def _connected(self, where: Any) -> Client:
        from distributed import Client
        from distributed.comm import backends, parse_address

        how = {"scheduler_file": str(where)} if isinstance(where, Path) else {"address": where}
        try:
            if isinstance(where, str) and (scheme := parse_address(where)[0]) not in backends:
                raise ValueError(f"{scheme} is none of {', '.join(backends)}")
            return Client(**how, name="refbench", set_as_default=False)
        except (OSError, ValueError) as error:
            shown = where if isinstance(where, (str, Path)) else self.options.cluster
            raise EngineError(
                f"no Dask scheduler answers at {shown} ({' '.join(str(error).split())}); "
                "start one with `dask scheduler`, or choose another engine with --engine"
            ) from error

    def _check_workers(self, *, deep: bool) -> None:
        try:
            self._client.wait_for_workers(1, timeout=60 * self.options.wait_minutes)
        except TimeoutError:
            raise EngineError(
                f"no worker has come to the Dask scheduler within {self.options.wait_minutes:g} minutes; "
                "start some with `dask worker`, ask for them with `workers`, or raise `wait_minutes`"
            ) from None
        found = self._client.run(dask_worker.look, *self._known(), on_error="return")
        for worker, problem in found.items():
            if isinstance(problem, ImportError):
                problem = f"cannot import refbench ({problem}): install it there, as here"
            if problem:
                raise EngineError(f"worker {worker} {problem}")
        offered = self._offered()
        if deep and 0 < offered < self.gpus:
            raise SuiteError(
                f"training.gpus: one training wants {self.gpus} graphics cards, and no worker offers more than "
                f"{offered}; lower training.gpus in the suite to {offered} or less"
            )

    def _offered(self) -> int:
        """Graphics cards of the worker that offers most of them."""
        return max(self._client.run(dask_worker.offered, on_error="ignore").values(), default=0)

    def _end_what_runs(self) -> None:
        """After Ctrl-C, or an error of our own: asks processes to end, then ends them, and waits until they have."""
        started = time.monotonic()
        while (waited := time.monotonic() - started) < 3 * GRACE_SECONDS:
            number = signal.SIGTERM if waited < 2 * GRACE_SECONDS else signal.SIGKILL
            try:
                left = self._client.run(dask_worker.end, self._known()[0], int(number), on_error="ignore")
            except Exception:  # the cluster is gone, and what ran there with it
                return
            if not any(left.values()):
                return
            time.sleep(0.5)
