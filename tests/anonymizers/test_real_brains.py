"""On real people: faces go, brains stay; judged by the harness against regions that are not our own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.blank import Blank
from refbench.anonymizers.blur import Blur
from refbench.anonymizers.coating import Coating
from refbench.anonymizers.face_surface import FacialSkin, facial_skin
from refbench.anonymizers.identity import Identity
from refbench.anonymizers.mask_face import MaskFace
from refbench.anonymizers.mri_deface import MriDeface
from refbench.anonymizers.noise import Noise
from refbench.anonymizers.pixelate import Pixelate
from refbench.anonymizers.pydeface import Pydeface
from refbench.anonymizers.quickshear import Quickshear
from refbench.anonymizers.reface import Reface
from refbench.anonymizers.verdict import Verdict, judge
from refbench.jobs.anonymize import anonymize
from refbench.types import Head

NATIVE: tuple[Anonymizer, ...] = (
    Blur(strength_mm=8),
    Pixelate(),
    Noise(),
    Coating(),
    *(MaskFace(filter=name) for name in ("normfilter", "blur", "coating")),
    MriDeface(backend="native"),
    Pydeface(),
    Quickshear(),
    Reface(),
)


def verdict(anonymizer: Anonymizer, head: Head, skin: FacialSkin) -> Verdict:
    """What the harness says of it, against the brain label where the head has one."""
    released = anonymize(anonymizer, replace(head, labels={}), np.random.default_rng(0), "it")
    assert head.brain is not None
    labelled = "brain" in head.labels
    brain, brain_from = (head.labels["brain"], "dataset") if labelled else (head.brain, "deepbet")
    return judge(head, skin, brain, brain_from, released)


@pytest.mark.slow
def test_no_brain_voxel_of_three_people_changes(ixi_heads: list[Head], prepared: Callable[[Head], Head]) -> None:
    for head in map(prepared, ixi_heads):
        skin = facial_skin(head)
        for anonymizer in NATIVE:
            figures = verdict(anonymizer, head, skin).figures
            assert figures.brain_changed == 0, (head.subject, anonymizer)
            assert figures.changed > 0.01, (head.subject, anonymizer)
        blank = verdict(Blank(), head, skin).figures
        assert blank.brain_changed < 1e-4 * blank.brain_voxels, (
            "a control: it stays at a distance of a template's brain"
        )


@pytest.mark.slow
def test_head_a_keeps_its_brain_and_loses_its_face(
    real_head: Callable[[str], Head], prepared: Callable[[Head], Head]
) -> None:
    head = prepared(real_head("a"))
    skin = facial_skin(head)
    for anonymizer in NATIVE:
        released = anonymizer.anonymize(head, np.random.default_rng(0))
        voxels = released.voxels if isinstance(released, Head) else released.head.voxels
        np.testing.assert_array_equal(voxels[head.brain], head.voxels[head.brain], err_msg=str(anonymizer))
    figures = verdict(MriDeface(backend="native"), head, skin).figures
    assert figures.skin_left is not None
    assert figures.skin_left < 0.05
    assert verdict(Identity(), head, skin).outcome == "face left"
    left = [verdict(Blur(strength_mm=strength), head, skin).figures.skin_left or 0 for strength in (1, 2, 4, 8)]
    assert left == sorted(left, reverse=True), "the face fades by degrees"
