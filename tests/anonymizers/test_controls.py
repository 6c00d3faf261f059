from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refbench.anonymizers.blank import Blank
from refbench.anonymizers.identity import Identity
from refbench.anonymizers.registration import face_region
from refbench.anonymizers.template import template_brain
from refbench.errors import DataError
from refbench.geometry import air_level
from refbench.types import Head


def test_identity_changes_nothing(template: Head) -> None:
    assert Identity().anonymize(template, np.random.default_rng(0)) is template


def test_blank_keeps_the_brain_and_leaves_no_face(template: Head) -> None:
    before = template.voxels.copy()
    released = Blank().anonymize(template, np.random.default_rng(0))
    brain = template_brain().voxels > 0.5
    np.testing.assert_array_equal(released.voxels[brain], template.voxels[brain])
    assert (released.voxels[face_region(template) > 0.5] == np.float32(air_level(template.voxels))).all()
    np.testing.assert_array_equal(template.voxels, before)
    assert released.voxels.dtype == np.float32


def test_blank_cuts_every_row_from_some_depth_to_the_front(template: Head) -> None:
    noise = np.random.default_rng(1).uniform(1, 2, template.voxels.shape)  # no voxel has the level of air by chance
    marked = template.with_voxels(template.voxels + noise.astype(np.float32))
    changed = Blank().anonymize(marked, np.random.default_rng(0)).voxels != marked.voxels
    assert (np.diff(changed.astype(int), axis=1) >= 0).all()
    assert changed[:, -1].all(), "the front of the volume is always cut"


def test_blank_keeps_more_with_a_larger_margin(template: Head) -> None:
    kept = []
    for margin_mm in (0.0, 10.0):
        released = Blank(margin_mm=margin_mm).anonymize(template, np.random.default_rng(0))
        kept.append(released.voxels == template.voxels)
    assert kept[1].sum() > kept[0].sum()


def test_template_brain_is_as_large_as_a_brain() -> None:
    brain = template_brain()
    litres = brain.voxels.sum() * abs(np.linalg.det(brain.affine[:3, :3])) / 1e6
    assert 1.2 < litres < 1.6


def test_blank_refuses_a_volume_without_the_brain(template: Head) -> None:
    far = np.eye(4)
    far[:3, 3] = 1000
    with pytest.raises(DataError, match="outside the volume of template"):
        Blank().anonymize(replace(template, registration=far), np.random.default_rng(0))
