"""Job `brain`: find the brain in a head, once for all anonymizers and checks that need it."""

from refbench.anonymizers.brain import deepbet_brain
from refbench.jobs.task import Task, load_head, save_mask


def run(task: Task) -> None:
    """Write brain.npz, deepbet's mask of the brain."""
    head = load_head(task.inputs[task.identity["head"]])
    save_mask(task.out / "brain.npz", deepbet_brain(head))
