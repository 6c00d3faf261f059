from __future__ import annotations

from dataclasses import replace

import numpy as np

from refbench.anonymizers.face_removal import FaceRemoval
from refbench.anonymizers.registration import face_region
from refbench.types import AnonymizedHead, Head


def test_the_face_is_gone_and_nothing_else_changes(template: Head) -> None:
    before = template.voxels.copy()
    released = FaceRemoval().anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    face = face_region(template) > 0.5
    assert (released.voxels[face] == 0).all()
    np.testing.assert_array_equal(released.voxels[~face], template.voxels[~face])
    np.testing.assert_array_equal(template.voxels, before)
    assert released.voxels.dtype == np.float32


def test_the_soft_edge_scales_as_pydeface_does(template: Head) -> None:
    released = FaceRemoval(edge="soft").anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    np.testing.assert_allclose(released.voxels, template.voxels * (1 - face_region(template)), rtol=1e-6)


def test_a_volume_without_a_face_says_so(template: Head) -> None:
    result = FaceRemoval().anonymize(replace(template, voxels=template.voxels[:, :60]), np.random.default_rng(0))
    assert isinstance(result, AnonymizedHead)
    assert result.outcome == "no face found"
