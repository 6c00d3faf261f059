"""Job `face`: where the face of a head is, for scoring; the same for every anonymizer."""

from refbench.anonymizers.registration import scored_face
from refbench.jobs.task import Task, load_head, load_mask, save_mask


def run(task: Task) -> None:
    """Write face.npz: the dataset's own label where it has one, else the template's face near the skin."""
    folder = task.inputs[task.identity["head"]]
    label = folder / "label_face.npz"
    if label.exists():
        save_mask(task.out / "face.npz", load_mask(label))
        return
    head = load_head(folder, registration=task.inputs[task.identity["registration"]])
    save_mask(task.out / "face.npz", scored_face(head))
