"""Job `skin`: the facial skin of an original, which every release of it is checked against."""

from refbench.anonymizers.face_surface import facial_skin
from refbench.jobs.task import Task, load_head, load_labels


def run(task: Task) -> None:
    """Write skin.npz; parts of the face come from the dataset's labels where it has them, else from the template."""
    folder = task.inputs[task.identity["head"]]
    registration = task.identity["registration"]
    head = load_head(folder, registration=task.inputs[registration] if registration else None)
    labels = None if registration else load_labels(folder)
    facial_skin(head, labels).save(task.out / "skin.npz")
