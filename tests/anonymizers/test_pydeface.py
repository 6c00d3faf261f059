from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refbench.anonymizers.pydeface import Pydeface
from refbench.anonymizers.registration import warp
from refbench.anonymizers.template import template_face, template_face_mask
from refbench.types import AnonymizedHead, Head


def test_the_face_is_gone_and_nothing_else_changes(template: Head) -> None:
    before = template.voxels.copy()
    template.voxels.setflags(write=False)
    released = Pydeface().anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    face = warp(template_face_mask(), template) > 0.5
    assert (released.voxels[face] == 0).all()
    np.testing.assert_array_equal(released.voxels[~face], before[~face])
    np.testing.assert_array_equal(template.voxels, before)
    assert released.voxels.dtype == np.float32


def test_it_uses_the_mask_of_the_package_which_spares_the_eyes(template: Head) -> None:
    released = Pydeface().anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    eyes = (warp(template_face(), template) > 0.5) & (warp(template_face_mask(), template) <= 0.5)
    assert eyes.any()
    np.testing.assert_array_equal(released.voxels[eyes], template.voxels[eyes])


@pytest.mark.parametrize("level", [0, -300])
def test_the_soft_edge_scales_as_pydeface_does(level: float, template: Head) -> None:
    head = template.with_voxels(template.voxels + np.float32(level))
    released = Pydeface(edge="soft").anonymize(head, np.random.default_rng(0))
    assert isinstance(released, Head)
    face = warp(template_face_mask(), head)
    np.testing.assert_allclose(released.voxels, head.voxels * (1 - face), rtol=1e-6)
    np.testing.assert_array_equal(released.voxels[face == 0], head.voxels[face == 0])


def test_a_volume_without_a_face_says_so(template: Head) -> None:
    result = Pydeface().anonymize(replace(template, voxels=template.voxels[:, :60]), np.random.default_rng(0))
    assert isinstance(result, AnonymizedHead)
    assert result.outcome == "no face found"


def test_it_needs_the_registration_and_names_its_tools() -> None:
    assert Pydeface().needs() == {"registration"}
    assert set(Pydeface().tool_versions()) == {"niimath", "pydeface"}
