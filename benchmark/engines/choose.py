"""Makes the engine that a suite, or the user, names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from refbench.engines.base import Engine, Listener
from refbench.engines.local import LocalEngine
from refbench.engines.options import EngineOptions
from refbench.errors import SuiteError
from refbench.machine import jobs_side_by_side
from refbench.store import Store
from refbench.suite import Suite
from refbench.yaml_source import YamlSource


def chosen_engine(text: str | None, suite: Suite) -> EngineOptions:
    """The suite's engine, or the one that the user names instead.

    Args:
        text: as in a suite, `dask` or `dask: {bundle: 4}`; a name alone keeps the options that the suite gives to an
            engine of that name.
        suite: whose engine it is.

    Raises:
        SuiteError: there is no such engine, or its options are wrong.
    """
    of_suite = suite.file.engine
    if text is None or text.strip() == of_suite.name:
        return of_suite
    source = YamlSource(f"{{{text}}}" if ":" in text else text, Path(text))
    if source.problems:
        raise SuiteError(f"--engine {text!r}: {source.problems[0].message}")
    try:
        return EngineOptions.model_validate(source.data)
    except ValidationError as error:
        raise SuiteError(f"--engine {text!r}: {'; '.join(map(_said, error.errors(include_url=False)))}") from error


def make_engine(
    options: EngineOptions, suite: Suite, store: Store, listener: Listener, *, slots: int | None = None
) -> Engine:
    """The engine for a suite's jobs. `slots`: jobs side by side on this machine; as many as have room if not given.

    Raises:
        SuiteError: its package is not installed, or a training wants more graphics cards than there are.
    """
    limits, files, cards = suite.file.limits, suite.plugin_files, suite.file.training.gpus
    if options.name == "dask":
        needs("distributed", options.name)
        from refbench.engines.dask import DaskEngine

        return DaskEngine(store, limits, files, listener, options=options.dask, gpus=cards, folder=suite.path.parent)
    if options.name == "slurm":
        needs("submitit", options.name)
        from refbench.engines.slurm import SlurmEngine

        return SlurmEngine(store, limits, files, listener, options.slurm, cards)
    return LocalEngine(store, limits, files, listener, slots or jobs_side_by_side(limits.memory_gb), cards)


def _said(wrong: ErrorDetails) -> str:
    what = "unknown option" if wrong["type"] == "extra_forbidden" else wrong["msg"].removeprefix("Value error, ")
    return ": ".join([*map(str, wrong["loc"]), what])


def needs(package: str, engine: str) -> None:
    """Look for what an engine is made of.

    Raises:
        SuiteError: it is not installed.
    """
    if find_spec(package) is None:
        raise SuiteError(
            f"the engine {engine} needs the package {package}, which is not installed: "
            f"pip install 'refbench[{engine}]', or choose another with --engine"
        )
