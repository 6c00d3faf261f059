from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from refbench.anonymizers.blur import Blur, gaussian
from refbench.anonymizers.regions import region_weight
from refbench.anonymizers.registration import face_region
from refbench.types import Head


@settings(max_examples=10, deadline=None)
@given(strength_mm=st.floats(2, 6), z_mm=st.floats(0.8, 2.5))
def test_a_point_becomes_a_gaussian_of_the_strength_in_mm(strength_mm: float, z_mm: float) -> None:
    voxel_mm = np.array([1.0, 1.5, z_mm])
    shape = tuple(2 * np.ceil(5 * strength_mm / voxel_mm).astype(int) + 1)
    point = np.zeros(shape, dtype=np.float32)
    centre = tuple(size // 2 for size in shape)
    point[centre] = 1000
    head = Head(point, np.diag([*voxel_mm, 1.0]))
    released = Blur(strength_mm=strength_mm, region="whole").anonymize(head, np.random.default_rng(0))
    assert isinstance(released, Head)
    assert released.voxels.sum() == pytest.approx(1000, rel=1e-3)
    for axis in range(3):
        along_mm = (np.arange(shape[axis]) - centre[axis]) * voxel_mm[axis]
        profile = released.voxels.sum(axis=tuple({0, 1, 2} - {axis}))
        assert np.sqrt((profile * along_mm**2).sum() / 1000) == pytest.approx(strength_mm, rel=0.03)


def test_only_a_box_is_filtered_and_nothing_differs_from_filtering_all(template: Head) -> None:
    sigma = (3 / template.voxel_mm).tolist()
    whole = ndimage.gaussian_filter(template.voxels, sigma, mode="nearest")
    weight = region_weight(template, "face")
    released = Blur(strength_mm=3).anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    np.testing.assert_allclose(released.voxels[weight == 1], whole[weight == 1], rtol=1e-4, atol=1e-3)


@given(level=st.floats(-1e4, 1e4, width=32), sigma=st.floats(0.2, 8))
def test_a_constant_volume_stays_constant_up_to_its_edges(level: float, sigma: float) -> None:
    voxels = np.full((12, 14, 10), level, dtype=np.float32)
    np.testing.assert_allclose(gaussian(voxels, np.array([sigma] * 3)), level, rtol=1e-5)


def test_blur_changes_the_face_alone(template: Head) -> None:
    released = Blur(strength_mm=6).anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    outside = face_region(template) <= 0.5
    np.testing.assert_array_equal(released.voxels[outside], template.voxels[outside])
    assert (released.voxels != template.voxels).sum() > 0.9 * (~outside).sum()


@pytest.mark.parametrize("region", ["face", "head_surface"])
def test_skin_bleeds_into_the_air_in_front_of_it(region: str, template: Head) -> None:
    clean = template.with_voxels(np.where(template.voxels > 100, template.voxels, 0))
    released = Blur(strength_mm=4, region=region).anonymize(clean, np.random.default_rng(0))
    assert isinstance(released, Head)
    air = (clean.voxels == 0) & (region_weight(clean, region) > 0)  # type: ignore[arg-type]
    assert released.voxels[air].mean() > 1


def test_a_stronger_blur_changes_more(template: Head) -> None:
    change = []
    for strength_mm in (1.0, 2.0, 4.0, 8.0):
        released = Blur(strength_mm=strength_mm).anonymize(template, np.random.default_rng(0))
        assert isinstance(released, Head)
        change.append(float(np.abs(released.voxels - template.voxels).sum()))
    assert change == sorted(change)
    assert change[-1] > 2 * change[0]


@pytest.mark.parametrize("wrong", [{"strength_mm": 0}, {"strength_mm": -1}, {"strength_mm": 51}, {"region": "ear"}])
def test_parameters_have_bounds(wrong: dict[str, float | str]) -> None:
    with pytest.raises(ValidationError):
        Blur.model_validate(wrong)
