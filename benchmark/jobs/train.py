"""Job `train`: teach one attacker on the pairs of one anonymizer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.attackers.options import NetworkAttacker
from refbench.errors import NobodyLeft
from refbench.jobs.score import region_of
from refbench.jobs.task import Task, gather, released_slices
from refbench.metrics.base import Metric
from refbench.smaller_batch import fit_in_memory
from refbench.types import Images, Mask, SlicePairs


def run(task: Task) -> None:
    """Write model/ (whatever the reconstructor saves) and losses.json (the last losses reported)."""
    attacker = task.plugin(task.identity["attacker"])
    assert isinstance(attacker, Attacker)
    last: dict[str, float] = {}

    def report(done: int, total: int, losses: dict[str, float]) -> None:
        last.update(losses)
        task.report(done, total, losses)

    context = TrainingContext(
        seed=task.identity["seed"],
        folder=task.scratch,
        device=task.device,
        report=report,
        judge=_judge(task),
        deterministic=task.identity["deterministic"],
        choices=Path(task.where["choices"]),
        shared=Path(task.where["shared"]),
    )
    train = _pairs(task, "train", first=0)
    if task.identity["wrong_pairs"]:
        train = with_wrong_originals(train, [len(person) for person in task.identity["train"]])
    validation = _pairs(task, "validation", first=len(_scans(task, "train")))
    cards = task.identity["gpus"] if task.device.startswith("cuda") else 1
    reconstructor = fit_in_memory(
        lambda own: _fit(own, train, validation, context, cards), attacker, task.scratch, task.remarks, processes=cards
    )
    model = task.out / "model"
    model.mkdir()
    reconstructor.save(model)
    (task.out / "losses.json").write_text(json.dumps(last))


@dataclass(frozen=True)
class Judge:
    """Says how good reconstructions of training or validation people are, see `TrainingContext.judge`.

    Attributes:
        metric: what is measured. region: where.
        person: int [releases], whose release each is.
        face: of a release, bool [count, h, w] by position.
    """

    metric: Metric
    region: str
    person: NDArray[np.int64]
    face: Callable[[int], Mask]

    def __call__(self, pairs: SlicePairs, images: Images) -> float:
        """Mean over people of the mean over each person's slices, where the metric is defined; NaN where nowhere."""
        if not len(pairs):
            return float("nan")
        release, position = pairs.released.release, pairs.released.position
        face = np.stack([self.face(one)[place] for one, place in zip(release.tolist(), position, strict=True)])
        region = region_of(self.region, {"face": face, "changed": pairs.changed})
        scores = self.metric.score(pairs.original, np.clip(images, 0, 1), region)
        defined = np.isfinite(scores)
        people = self.person[release[defined]]
        total, count = np.bincount(people, scores[defined]), np.bincount(people)
        means = total[count > 0] / count[count > 0]
        return float(means.mean()) if len(means) else float("nan")


def _judge(task: Task) -> Judge:
    metric = task.plugin(task.identity["selection"]["metric"])
    assert isinstance(metric, Metric)
    people = [*task.identity["train"], *task.identity["validation"]]
    scans = [*_scans(task, "train"), *_scans(task, "validation")]

    return Judge(
        metric=metric,
        region=task.identity["selection"]["region"],
        person=np.repeat(np.arange(len(people)), [len(person) for person in people]),
        face=partial(_face, tuple(scans)),  # of functions of the module: other processes are given the judge, too
    )


def _face(scans: tuple[Path, ...], release: int) -> Mask:
    return _loaded(scans[release] / "face.npy")


@cache
def _loaded(file: Path) -> Mask:
    mask: Mask = np.load(file)
    return mask


def _fit(
    attacker: Attacker, train: SlicePairs, validation: SlicePairs, context: TrainingContext, gpus: int
) -> Reconstructor:
    if context.deterministic:
        # Without it cuBLAS is not repeatable, and torch refuses it; read when CUDA is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if gpus == 1 or not context.device.startswith("cuda"):
        return attacker.fit(train, validation, context)
    from refbench.attackers.distributed import fit_on_several

    assert isinstance(attacker, NetworkAttacker)
    return fit_on_several(attacker, train, validation, context, gpus)


def _scans(task: Task, part: str) -> list[Path]:
    """Folders of the slices of a part's people, all sessions of one person together."""
    return [task.inputs[key] for person in task.identity[part] for key in person]


def _pairs(task: Task, part: str, first: int) -> SlicePairs:
    """The pairs of a part; its releases are numbered from `first` on, so that no number stands for two."""
    # A suite may have no validation people; an attacker then gets no pairs, but of the right size.
    folders = _scans(task, part) or _scans(task, "train")[:1]
    released = released_slices(folders, with_changed=True)
    pairs = SlicePairs(replace(released, release=first + released.release), gather(folders, "original"))
    return pairs if task.identity[part] else pairs.take(slice(0, 0))


def with_wrong_originals(pairs: SlicePairs, scans: Sequence[int]) -> SlicePairs:
    """Every release beside the original of another person, slice by slice: who learns from it, learns nobody's face.

    Args:
        pairs: person after person, every scan with the same number of slices.
        scans: how many scans each person has.

    Raises:
        NobodyLeft: there is only one person.
    """
    if len(scans) < 2:
        raise NobodyLeft("one person alone cannot be given another's face: wrong pairs need two training people")
    first = np.cumsum([0, *scans])
    # Whose face: the next person's, so that nobody keeps their own.
    wrong = [
        first[(person + 1) % len(scans)] + scan % scans[(person + 1) % len(scans)]
        for person, count in enumerate(scans)
        for scan in range(count)
    ]
    originals = pairs.original.reshape(int(first[-1]), -1, *pairs.original.shape[1:])
    return SlicePairs(pairs.released, originals[wrong].reshape(pairs.original.shape))
