from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from refbench.anonymizers.blur import Blur, blur_where, soft_edge
from refbench.anonymizers.registration import face_region
from refbench.types import AnonymizedHead, Head


@settings(max_examples=10, deadline=None)
@given(strength_mm=st.floats(2, 6), z_mm=st.floats(0.8, 2.5))
def test_a_point_becomes_a_gaussian_of_the_strength_in_mm(strength_mm: float, z_mm: float) -> None:
    voxel_mm = np.array([1.0, 1.5, z_mm])
    shape = tuple(2 * np.ceil(5 * strength_mm / voxel_mm).astype(int) + 1)
    point = np.zeros(shape, dtype=np.float32)
    centre = tuple(size // 2 for size in shape)
    point[centre] = 1000
    blurred = blur_where(point, np.ones(shape, dtype=np.float32), strength_mm / voxel_mm)
    assert blurred.sum() == pytest.approx(1000, rel=1e-3)
    for axis in range(3):
        along_mm = (np.arange(shape[axis]) - centre[axis]) * voxel_mm[axis]
        profile = blurred.sum(axis=tuple({0, 1, 2} - {axis}))
        assert np.sqrt((profile * along_mm**2).sum() / 1000) == pytest.approx(strength_mm, rel=0.03)


def test_only_the_box_is_filtered_and_nothing_differs_from_filtering_all() -> None:
    voxels = np.random.default_rng(0).uniform(0, 100, (40, 30, 20)).astype(np.float32)
    weight = np.zeros_like(voxels)
    weight[25:35, 20:, 5:9] = 1
    sigma = np.array([1.2, 2.0, 0.7])
    whole = ndimage.gaussian_filter(voxels, sigma.tolist(), mode="nearest")
    result = blur_where(voxels, weight, sigma)
    np.testing.assert_allclose(result[weight > 0], whole[weight > 0], rtol=1e-5)
    np.testing.assert_array_equal(result[weight == 0], voxels[weight == 0])


def test_a_constant_volume_stays_constant_up_to_its_edges() -> None:
    voxels = np.full((12, 14, 10), 50, dtype=np.float32)
    np.testing.assert_allclose(blur_where(voxels, np.ones_like(voxels), np.array([8.0, 8.0, 8.0])), 50, rtol=1e-5)


def test_the_soft_edge_lies_inside_the_region() -> None:
    region = np.zeros((40, 40, 20), dtype=np.float32)
    region[:, 20:] = 1
    weight = soft_edge(region, np.array([1.0, 1.0, 2.0]))
    assert (weight[:, :20] == 0).all()
    assert (weight[:, 24:] == 1).all()
    assert (np.diff(weight[20, 19:25, 10]) > 0).all(), "it fades in over 4 mm"


def test_blur_changes_the_face_alone(template: Head) -> None:
    before = template.voxels.copy()
    released = Blur(strength_mm=6).anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    outside = face_region(template) <= 0.5
    np.testing.assert_array_equal(released.voxels[outside], template.voxels[outside])
    assert (released.voxels != template.voxels).sum() > 0.9 * (~outside).sum()
    np.testing.assert_array_equal(template.voxels, before)
    assert released.voxels.dtype == np.float32


def test_skin_bleeds_into_the_air_in_front_of_it(template: Head) -> None:
    clean = template.with_voxels(np.where(template.voxels > 100, template.voxels, 0))
    released = Blur(strength_mm=4).anonymize(clean, np.random.default_rng(0))
    assert isinstance(released, Head)
    air = (clean.voxels == 0) & (face_region(template) > 0.5)
    assert released.voxels[air].sum() > 0


def test_a_stronger_blur_changes_more(template: Head) -> None:
    change = []
    for strength_mm in (1.0, 2.0, 4.0, 8.0):
        released = Blur(strength_mm=strength_mm).anonymize(template, np.random.default_rng(0))
        assert isinstance(released, Head)
        change.append(float(np.abs(released.voxels - template.voxels).sum()))
    assert change == sorted(change)
    assert change[-1] > 2 * change[0]


def test_blur_is_deterministic(template: Head) -> None:
    one, other = (Blur().anonymize(template, np.random.default_rng(seed)) for seed in (0, 1))
    assert isinstance(one, Head)
    assert isinstance(other, Head)
    np.testing.assert_array_equal(one.voxels, other.voxels)


def test_a_volume_without_a_face_says_so(template: Head) -> None:
    crown = replace(template, voxels=template.voxels[:, :60])
    result = Blur().anonymize(crown, np.random.default_rng(0))
    assert isinstance(result, AnonymizedHead)
    assert result.outcome == "no face found"
    assert not result.changed.any()


@pytest.mark.parametrize("strength_mm", [0, -1, 51])
def test_the_strength_has_bounds(strength_mm: float) -> None:
    with pytest.raises(ValidationError):
        Blur(strength_mm=strength_mm)
