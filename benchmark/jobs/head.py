"""Job `head`: read or make one head, once, whoever needs it."""

from collections.abc import Sequence
from pathlib import Path

from refbench.datasets.base import Dataset, Scan
from refbench.errors import DataError
from refbench.fingerprint import file_digest
from refbench.jobs.task import Task, check_head, save_head


def run(task: Task) -> None:
    """Write voxels.npy, affine.npy and label_*.npz."""
    if "problem" in task.identity:
        raise DataError(task.identity["problem"])
    dataset = task.plugin({**task.identity["dataset"], "params": task.where["params"]})
    assert isinstance(dataset, Dataset)
    files = tuple(Path(path) for path in task.where["files"])
    head = dataset.load(Scan("", "", "", files=files, recipe=task.identity["recipe"]))
    _check_unchanged(files, task.identity["files"])
    save_head(task.out, check_head(head, f"the head that {task.identity['dataset']['name']} gave"))


def _check_unchanged(files: Sequence[Path], digests: Sequence[str]) -> None:
    """What was read is what the key says, or the result would stand for other contents."""
    for path, expected in zip(files, digests, strict=True):
        if file_digest(path) != expected:
            raise DataError(f"{path}: changed while the run went on. Run the suite again once nobody writes to it.")
