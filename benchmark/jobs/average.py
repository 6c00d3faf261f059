"""Job `average`: the average head of the training subjects, for anonymizers that put it in a face's place."""

import numpy as np

from refbench.anonymizers.average import average_head
from refbench.errors import NobodyLeft
from refbench.jobs.task import Task, load_head


def run(task: Task) -> None:
    """Write average.npy, see `refbench.anonymizers.average.average_head`."""
    pairs = list(zip(task.identity["heads"], task.identity["registrations"], strict=True))
    if not pairs:
        raise NobodyLeft("nobody is left to average: the preparation of every training subject failed")
    heads = (load_head(task.inputs[head], registration=task.inputs[registration]) for head, registration in pairs)
    np.save(task.out / "average.npy", average_head(heads))
