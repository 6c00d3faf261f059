"""Job `look`: the faces of some heads, as whoever holds these heads would see them."""

import numpy as np

from refbench.jobs.candidates import candidates
from refbench.jobs.task import Task
from refbench.metrics.recognizers.base import Faces
from refbench.metrics.recognizers.frame import Frame
from refbench.metrics.recognizers.moved import moved
from refbench.metrics.recognizers.relief import face_of


def run(task: Task) -> None:
    """Write faces.npy, float32 [views, rows, columns], see `Faces`.

    The face of a head that is moved does not know how: chance comes from the seed and the original alone, so that
    every condition moves a person in the same way.
    """
    frame = Frame.load(task.inputs[task.identity["frame"]] / "frame.npz")
    options, total = task.identity["moves"], len(task.identity["views"])
    reliefs = []
    for done, candidate in enumerate(candidates(task)):
        head = candidate.head
        if candidate.view["moved"]:
            rng = np.random.default_rng([task.identity["seed"], int(candidate.view["head"], 16)])
            head = moved(head, rng, options["tilt_deg"], options["shift_mm"], options["noise"])
        reliefs.append(face_of(head, frame))
        task.report(done + 1, total, {})
    np.save(task.out / "faces.npy", Faces.of(reliefs).relief)
