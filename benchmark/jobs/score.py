"""Job `score`: compare the test slices of one cell, or of a release without attack, with their originals."""

import numpy as np

from refbench.errors import InvalidOutput
from refbench.jobs.task import Task, gather
from refbench.metrics.base import Metric
from refbench.types import Mask, Region


def run(task: Task) -> None:
    """Write scores.npy: float64 [regions, n], in the orders of the key's `regions` and `test`."""
    metric = task.plugin(task.identity["metric"])
    assert isinstance(metric, Metric)
    folders = [task.inputs[key] for key in task.identity["test"]]
    original = gather(folders, "original")
    reconstruction = task.identity["reconstructed"]
    if reconstruction is None:
        candidate = gather(folders, "anonymized")
    else:
        candidate = np.load(task.inputs[reconstruction] / "reconstructed.npy")
    masks = {"face": gather(folders, "face"), "changed": gather(folders, "changed")}
    scores = [metric.score(original, candidate, region_of(name, masks)) for name in task.identity["regions"]]
    for name, values in zip(task.identity["regions"], scores, strict=True):
        if np.shape(values) != (len(original),) or np.isinf(values).any():
            raise InvalidOutput(
                f"{task.identity['metric']['name']} in {name} must give {len(original)} finite values or NaN, "
                f"not {np.shape(values)}"
            )
    np.save(task.out / "scores.npy", np.asarray(scores, dtype=np.float64))


def region_of(name: str, masks: dict[str, Mask]) -> Region:
    """The region of that name on images with these masks (bool [n, h, w]); column 0 is in front of the face."""
    shape = masks["face"].shape
    if name in masks:
        return Region(name, masks[name])
    everything = np.ones(shape, dtype=bool)
    if name == "whole":
        return Region(name, everything)
    front = slice(0, shape[2] // 2)
    everything[:, :, front.stop :] = False
    return Region(name, everything, (slice(None), front))
