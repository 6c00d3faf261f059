"""Does an anonymizer keep its contract? It is tried on a phantom head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from refbench.anonymizers.average import average_head
from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.face_surface import facial_skin
from refbench.anonymizers.registration import register
from refbench.anonymizers.verdict import judge
from refbench.datasets.phantom_scan import make_head
from refbench.jobs.anonymize import anonymize
from refbench.testing import Attempt, Check
from refbench.types import AnonymizedHead, Head

SCALE = 0.4
"""Of the phantom that is tried: voxels of 2.5 mm keep a check at seconds."""


def check_anonymizer(anonymizer: Anonymizer) -> Iterator[Check]:
    """Try an anonymizer on a phantom head, rule by rule.

    Yields:
        one check per rule, as soon as it is known. When the first fails the others are not tried.

    Raises:
        PluginError, DataError: the phantom cannot be registered; niimath or pydeface is missing.
    """
    head = phantom()
    first = Attempt.at(lambda: _release(anonymizer, head))
    yield Check("runs, and gives a finite float32 head on the same grid", first.problem)
    if first.made is None:
        return
    yield Check("leaves its input alone", _input_modified(anonymizer, head))
    again = Attempt.at(lambda: _release(anonymizer, head))
    yield Check("gives the same for the same generator state", _differs(first, again))
    yield Check("tells the truth about what it changed", _false_mask(anonymizer, head))
    yield Check("keeps the brain", _brain_cut(first.made, head))
    alone = Attempt.at(lambda: _release(anonymizer, replace(head, registration=None, brain=None, average=None)))
    yield Check("works without what the harness computes beforehand", alone.problem)
    thick = Attempt.at(lambda: _release(anonymizer, _thick(head)))
    yield Check("works on thick slices, a background that is not zero, and negative intensities", thick.problem)


def hidden(anonymizer: Anonymizer) -> str:
    """How well it hides the phantom's face, in one sentence: no rule, since a weak anonymizer is an honest one."""
    head = phantom()
    released = _release(anonymizer, head)
    outcome, note, figures = judge(head, facial_skin(head, head.labels), head.labels["brain"], "dataset", released)
    left = "no" if figures.skin_left is None else f"{figures.skin_left:.0%} of the"
    return f"{outcome}: {note or f'{left} facial skin lies within 1 mm of where it was'}"


@lru_cache(maxsize=1)
def phantom() -> Head:
    """The head that is tried: voxels write-protected, with labels, and with all that the harness may hand over."""
    head = make_head({"seed": 0, "person": 1, "session": 1, "site": "Guys", "scale": SCALE})
    head = replace(head, subject="phantom")
    head = replace(head, registration=register(head), brain=head.labels["brain"])
    head.voxels.setflags(write=False)
    return replace(head, average=average_head([]))


def _release(anonymizer: Anonymizer, head: Head) -> AnonymizedHead:
    return anonymize(anonymizer, replace(head, labels={}), np.random.default_rng(0), type(anonymizer).__name__)


def _input_modified(anonymizer: Anonymizer, head: Head) -> str:
    own = head.with_voxels(np.array(head.voxels))
    _release(anonymizer, own)
    changed = int((own.voxels != head.voxels).sum())
    return f"it wrote into {changed} voxels of the head it was given; copy before writing" if changed else ""


def _differs(first: Attempt[AnonymizedHead], again: Attempt[AnonymizedHead]) -> str:
    if first.made is None or again.made is None:
        return again.problem
    changed = int((first.made.head.voxels != again.made.head.voxels).sum())
    return f"{changed} voxels differ between two calls; draw random numbers from `rng` alone" if changed else ""


def _false_mask(anonymizer: Anonymizer, head: Head) -> str:
    returned = anonymizer.anonymize(replace(head, labels={}), np.random.default_rng(0))
    if not isinstance(returned, AnonymizedHead):
        return ""
    wrong = int((returned.changed != (returned.head.voxels != head.voxels)).sum())
    return f"its mask is wrong in {wrong} voxels; use AnonymizedHead.compare" if wrong else ""


def _brain_cut(released: AnonymizedHead, head: Head) -> str:
    cut = int((released.changed & head.labels["brain"]).sum())
    return f"{cut} of {int(head.labels['brain'].sum())} brain voxels changed" if cut else ""


def _thick(head: Head) -> Head:
    """Every second axial slice, on another scale of intensities."""
    affine = head.affine @ np.diag([1.0, 1.0, 2.0, 1.0])
    voxels = head.voxels[:, :, ::2] - np.float32(0.1) * head.voxels.max()
    brain = None if head.brain is None else head.brain[:, :, ::2]
    return replace(head, voxels=voxels, affine=affine, brain=brain)
