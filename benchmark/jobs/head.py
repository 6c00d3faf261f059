"""Job `head`: read or make one head, once, whoever needs it."""

from pathlib import Path

from refbench.datasets.base import Dataset, Scan
from refbench.jobs.task import Task, check_head, save_head


def run(task: Task) -> None:
    """Write voxels.npy, affine.npy and label_*.npz."""
    dataset = task.plugin({**task.identity["dataset"], "params": task.where["params"]})
    assert isinstance(dataset, Dataset)
    files = tuple(Path(path) for path in task.where["files"])
    head = dataset.load(Scan("", "", "", files=files, recipe=task.identity["recipe"]))
    save_head(task.out, check_head(head, f"the head that {task.identity['dataset']['name']} gave"))
