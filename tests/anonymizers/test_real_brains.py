"""On real people: faces go, brains stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.blank import Blank
from refbench.anonymizers.blur import Blur
from refbench.anonymizers.face_removal import FaceRemoval
from refbench.anonymizers.registration import register, scored_face
from refbench.types import AnonymizedHead, Head


@pytest.mark.slow
def test_faces_go_and_brains_stay(ixi_heads: list[Head]) -> None:
    most_brain_lost: dict[Anonymizer, float] = {Blank(): 1e-4, Blur(strength_mm=8): 0, FaceRemoval(): 0}
    for head in ixi_heads:
        # Raised by one, so that air set to 0 counts as changed.
        marked = replace(head, voxels=head.voxels + 1, registration=register(head))
        face, brain = scored_face(marked), head.labels["brain"]
        for anonymizer, most in most_brain_lost.items():
            released = anonymizer.anonymize(marked, np.random.default_rng(0))
            assert not isinstance(released, AnonymizedHead)
            changed = released.voxels != marked.voxels
            assert changed[brain].mean() <= most, (head.subject, anonymizer)
            assert changed[face].mean() > 0.9, (head.subject, anonymizer)
