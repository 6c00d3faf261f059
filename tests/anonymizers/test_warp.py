"""Warping a region looks at a part of the grid only; the result is that of looking everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from refbench.anonymizers.registration import warp
from refbench.anonymizers.template import Atlas, template_brain, template_face, template_face_mask
from refbench.types import Affine, Head


def warped_everywhere(atlas: Atlas, head: Head) -> NDArray[np.float32]:
    to_atlas = np.linalg.inv(head.registration @ atlas.affine) @ head.affine
    warped: NDArray[np.float32] = ndimage.affine_transform(
        atlas.voxels,
        to_atlas[:3, :3],
        to_atlas[:3, 3],
        output_shape=head.voxels.shape,
        output=np.float32,
        order=1,
        mode="nearest",
    )
    return warped


def placed(
    angles: tuple[float, float, float], edges: tuple[float, float, float], centre: NDArray[np.float64]
) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * edges
    affine[:3, 3] = centre
    return affine


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_box_on_any_grid(data: st.DataObject) -> None:
    sizes = st.tuples(*[st.integers(2, 40)] * 3)
    angles = st.tuples(*[st.floats(-180, 180)] * 3)
    edges = st.tuples(*[st.floats(0.5, 3)] * 3)
    shape = data.draw(sizes, "region's shape")
    low = [data.draw(st.integers(0, size - 1)) for size in shape]
    high = [data.draw(st.integers(start + 1, size)) for start, size in zip(low, shape, strict=True)]
    region = np.zeros(shape, dtype=np.float32)
    region[tuple(map(slice, low, high))] = 1
    centre = np.array(data.draw(st.tuples(*[st.floats(-60, 60)] * 3), "grid's corner"))
    head = Head(
        np.zeros(data.draw(sizes, "grid's shape"), dtype=np.float32),
        placed(data.draw(angles), data.draw(edges), centre),
        registration=placed(data.draw(angles), (1, 1, 1), np.zeros(3)),
    )
    atlas = Atlas(region, np.eye(4))
    np.testing.assert_allclose(warp(atlas, head), warped_everywhere(atlas, head), atol=1e-5)


@pytest.mark.parametrize("region", [template_face, template_face_mask, template_brain])
@pytest.mark.parametrize("angle", [0.0, 25.0])
def test_regions_of_the_template(template: Head, region: object, angle: float) -> None:
    assert callable(region)
    turned = placed((angle, 0, -angle / 2), (1, 1, 1), np.array([3.0, -2.0, 5.0]))
    head = Head(template.voxels, template.affine, registration=turned)
    expected = warped_everywhere(region(), head)
    assert expected.any()
    np.testing.assert_allclose(warp(region(), head), expected, atol=1e-5)


def test_a_region_outside_the_volume_and_an_empty_one(template: Head) -> None:
    far = np.eye(4)
    far[:3, 3] = 1e4
    away = Head(template.voxels, template.affine, registration=far)
    inside = np.zeros((20, 20, 20), dtype=np.float32)
    assert not warp(Atlas(inside, np.eye(4)), template).any()
    inside[5:9, 5:9, 5:9] = 1
    assert not warp(Atlas(inside, np.eye(4)), away).any()
    assert warp(Atlas(np.ones_like(inside), np.eye(4)), away).all(), "its outermost voxels go on"
