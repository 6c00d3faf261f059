"""Job `register`: find the face template in a head, once for all anonymizers that need it."""

import numpy as np

from refbench.anonymizers.registration import register
from refbench.jobs.task import Task, load_head


def run(task: Task) -> None:
    """Write registration.npy: float64 (4, 4), millimetres of the template to millimetres of the head."""
    head = load_head(task.inputs[task.identity["head"]])
    np.save(task.out / "registration.npy", register(head))
