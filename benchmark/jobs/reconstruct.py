"""Job `reconstruct`: let a trained attacker loose on the released slices of the test subjects."""

import numpy as np

from refbench.attackers.base import Attacker
from refbench.jobs.task import Task, check_images, released_slices


def run(task: Task) -> None:
    """Write reconstructed.npy, float32 [n, h, w], 0-1, slices of the test scans in the order of the key's list."""
    attacker = task.plugin(task.identity["attacker"])
    assert isinstance(attacker, Attacker)
    folders = [task.inputs[key] for key in task.identity["test"]]
    # The true mask of what was changed reaches an attacker only where its row says so (`region: known`).
    released = released_slices(folders, with_changed=getattr(attacker, "region", None) == "known")
    reconstructor = attacker.load(task.inputs[task.identity["trained"]] / "model", task.device)
    images = reconstructor.reconstruct(released)
    name = task.identity["attacker"]["name"]
    np.save(task.out / "reconstructed.npy", check_images(images, released.images.shape, f"what {name} returned"))
