"""The jobs of a finished run by their labels: what was run then, whatever code and data files are now."""

from __future__ import annotations

import json
from collections.abc import Mapping

from refbench.errors import PluginError, StoreError
from refbench.registry import Registry
from refbench.results import Run
from refbench.store import Store

WARNING = "faces of real people: for local use only"


def job_keys(run: Run) -> dict[str, str]:
    """Key of every job by its label.

    Raises:
        StoreError: the run's list of jobs cannot be read.
    """
    file = run.folder / "jobs.json"
    try:
        keys: dict[str, str] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read ({error}); run the suite again") from error
    return keys


def shows_real_people(keys: Mapping[str, str], store: Store) -> bool:
    """Whether pictures of a run may show somebody's face.

    They may where no head can be looked up in the store, and where a dataset is not installed here.
    """
    heads = [store.identity(key) for label, key in keys.items() if label.startswith("head ")]
    names = {head["dataset"]["name"] for head in heads if head}
    try:
        datasets = [Registry.discover().find("dataset", name).load() for name in names]
    except PluginError:
        return True
    return not datasets or any(getattr(dataset, "real_people", True) for dataset in datasets)
