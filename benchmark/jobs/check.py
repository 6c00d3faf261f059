"""Job `check`: did the anonymization work, whatever the tool says?"""

import json

from refbench.anonymizers.face_surface import FacialSkin
from refbench.anonymizers.verdict import judge
from refbench.jobs.anonymize import load_anonymized
from refbench.jobs.task import Task, load_head, load_mask


def run(task: Task) -> None:
    """Write check.json: outcome, note, and the figures of `refbench.anonymizers.verdict`."""
    folder = task.inputs[task.identity["head"]]
    head = load_head(folder)
    released = load_anonymized(head, task.inputs[task.identity["anonymized"]])
    skin = FacialSkin.load(task.inputs[task.identity["skin"]] / "skin.npz")
    estimate = task.identity["brain"]
    place = task.inputs[estimate] / "brain.npz" if estimate else folder / "label_brain.npz"
    outcome, note, figures = judge(head, skin, load_mask(place), "deepbet" if estimate else "dataset", released)
    (task.out / "check.json").write_text(json.dumps({"outcome": outcome, "note": note, **figures.as_dict()}))
