"""Job `identify`: hold the faces of one condition against the gallery of originals."""

import json

import numpy as np

from refbench.jobs.recognize import compared, load_faces
from refbench.jobs.task import Task
from refbench.metrics.recognizers.base import Faces, Recognizer


def run(task: Task) -> None:
    """Write similarity.npy: float64 [probes, gallery], natural log likelihood ratios, NaN where nothing is compared."""
    recognizer = task.plugin(task.identity["recognizer"])
    assert isinstance(recognizer, Recognizer)
    trained = task.inputs[task.identity["trained"]]
    probes = load_faces([task.inputs[task.identity["probes"]]])
    # Of an original the first face is the one as it lies.
    gallery = Faces.joined([load_faces([task.inputs[key]]).take(slice(0, 1)) for key in task.identity["gallery"]])
    matcher, name = recognizer.load(trained / "model"), task.identity["recognizer"]["name"]
    found = compared(matcher, name, probes, gallery, task.identity["gallery"])
    meaning = json.loads((trained / "calibration.json").read_text())
    np.save(task.out / "similarity.npy", meaning["slope"] * found + meaning["offset"])
