"""Job `train`: teach one attacker on the pairs of one anonymizer."""

import json

from refbench.attackers.base import Attacker, TrainingContext
from refbench.jobs.task import Task, gather, released_slices
from refbench.types import SlicePairs


def run(task: Task) -> None:
    """Write model/ (whatever the reconstructor saves) and losses.json (the last losses reported)."""
    attacker = task.plugin(task.identity["attacker"])
    assert isinstance(attacker, Attacker)
    last: dict[str, float] = {}

    def report(done: int, total: int, losses: dict[str, float]) -> None:
        last.update(losses)
        task.report(done, total, losses)

    context = TrainingContext(task.identity["seed"], task.scratch, task.device, report)
    reconstructor = attacker.fit(_pairs(task, "train"), _pairs(task, "validation"), context)
    model = task.out / "model"
    model.mkdir()
    reconstructor.save(model)
    (task.out / "losses.json").write_text(json.dumps(last))


def _pairs(task: Task, part: str) -> SlicePairs:
    # A suite may have no validation people; an attacker then gets no pairs, but of the right size.
    folders = [task.inputs[key] for key in task.identity[part] or task.identity["train"][:1]]
    pairs = SlicePairs(released_slices(folders, with_changed=True), gather(folders, "original"))
    return pairs if task.identity[part] else pairs.take(slice(0, 0))
