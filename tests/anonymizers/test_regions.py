from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from refbench.anonymizers.blur import Blur
from refbench.anonymizers.noise import Noise
from refbench.anonymizers.pixelate import Pixelate
from refbench.anonymizers.regions import RegionFilter, mix, region_weight, soft_edge, surface_layer
from refbench.anonymizers.registration import face_region, warp
from refbench.anonymizers.template import template_brain
from refbench.errors import DataError
from refbench.geometry import head_mask
from refbench.types import AnonymizedHead, Head

UNIT = st.floats(0, 1, width=32)


@given(weight=arrays.arrays(np.float32, (4, 3, 2), elements=UNIT), seed=st.integers(0, 9))
def test_mixing_keeps_bits_at_0_takes_the_filtered_at_1_and_stays_between(weight: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    voxels, filtered = rng.normal(0, 1e4, (2, 4, 3, 2)).astype(np.float32)
    weight[0, 0], weight[1, 0] = 0, 1
    mixed = mix(voxels, filtered, weight)
    np.testing.assert_array_equal(mixed[weight == 0], voxels[weight == 0])
    np.testing.assert_array_equal(mixed[weight == 1], filtered[weight == 1])
    assert mixed.dtype == np.float32
    low, high = np.minimum(voxels, filtered), np.maximum(voxels, filtered)
    assert ((mixed >= low - 1e-2) & (mixed <= high + 1e-2)).all()


def test_mixing_with_weight_0_passes_over_what_is_not_finite_in_the_filtered() -> None:
    voxels = np.ones((2, 2, 2), dtype=np.float32)
    np.testing.assert_array_equal(mix(voxels, np.full_like(voxels, np.nan), np.zeros_like(voxels)), voxels)


def test_the_soft_edge_lies_inside_the_region() -> None:
    region = np.zeros((40, 40, 20), dtype=np.float32)
    region[:, 20:] = 1
    weight = soft_edge(region, np.array([1.0, 1.0, 2.0]))
    assert (weight[:, :20] == 0).all()
    assert (weight[:, 24:] == 1).all()
    assert (np.diff(weight[20, 19:25, 10]) > 0).all(), "it fades in over 4 mm"


def test_the_face_has_weight_in_the_face_alone_and_far_from_the_brain(template: Head) -> None:
    weight = region_weight(template, "face")
    assert (weight[face_region(template) <= 0.5] == 0).all()
    from_brain_mm = ndimage.distance_transform_edt(template_brain().voxels < 0.5, sampling=template.voxel_mm)
    assert from_brain_mm[weight > 0].min() > 2
    assert weight.max() == 1


def test_everything_is_whole_and_needs_no_registration(template: Head) -> None:
    alone = replace(template, registration=None)
    assert (region_weight(alone, "whole") == 1).all()
    for anonymizer in (Blur(region="whole"), Pixelate(region="whole"), Noise(region="whole")):
        assert anonymizer.needs() == frozenset()
        assert anonymizer.tool_versions() == {}
        released = anonymizer.anonymize(alone, np.random.default_rng(0))
        assert isinstance(released, Head)
        assert (released.voxels != alone.voxels).mean() > 0.9


def ball(voxel_mm: tuple[float, float, float], hollow: bool = False) -> Head:
    """A head of 160 mm in a field of view of 220 mm; its registration puts the template's brain far away."""
    grid = [(np.arange(round(220 / edge)) + 0.5) * edge - 110 for edge in voxel_mm]
    radius = np.sqrt(grid[0][:, None, None] ** 2 + grid[1][:, None] ** 2 + grid[2] ** 2)
    voxels = np.where((radius < 80) & ~(hollow & (radius < 40)), np.float32(100), np.float32(0))
    away = np.eye(4)
    away[:3, 3] = 1000
    return Head(voxels + np.float32(7), np.diag([*voxel_mm, 1.0]), registration=away)


@pytest.mark.parametrize("voxel_mm", [(2.0, 2.0, 2.0), (1.3, 1.3, 3.0), (3.0, 3.0, 3.0)])
def test_the_surface_layer_is_6_mm_of_skin_and_6_mm_of_air(voxel_mm: tuple[float, float, float]) -> None:
    head = ball(voxel_mm)
    weight = surface_layer(head)
    grid = np.indices(weight.shape).astype(float)
    centred = [(index + 0.5) * edge - 110 for index, edge in zip(grid, voxel_mm, strict=True)]
    from_skin = np.abs(np.sqrt(sum(along**2 for along in centred)) - 80)
    # It is interpolated from a grid of 2 to 3 mm.
    assert (weight[from_skin > 6 + np.sqrt(3) * max(voxel_mm)] == 0).all()
    assert weight[from_skin < 0.5].mean() > 0.8
    # 1 up to 2 mm from the skin, then fading to 0 at 6 mm: as good as 4 mm on either side.
    thick = weight.sum() * np.prod(voxel_mm) / (4 * np.pi * 80**2)
    assert thick == pytest.approx(8, rel=0.15)


def test_a_hollow_inside_has_no_skin() -> None:
    np.testing.assert_array_equal(surface_layer(ball((2.0, 2.0, 2.0), True)), surface_layer(ball((2.0, 2.0, 2.0))))


def test_the_layer_keeps_away_from_the_brain(template: Head) -> None:
    # Half as large, the template's brain lies within a skull that is everywhere thinner than the layer.
    thin = template.with_voxels(np.where(ndimage.binary_dilation(warp(template_brain(), template) > 0.5), 100, 0))
    thin = thin.with_voxels(thin.voxels.astype(np.float32))
    weight = surface_layer(thin)
    from_brain_mm = ndimage.distance_transform_edt(template_brain().voxels < 0.5, sampling=template.voxel_mm)
    assert weight.any()
    assert from_brain_mm[weight > 0].min() > 4


def test_the_layer_goes_all_round_the_head(template: Head) -> None:
    weight = surface_layer(template)
    head = head_mask(template.voxels, template.voxel_mm)
    skin = head & ~ndimage.binary_erosion(head, border_value=1)
    skin[:, :, :60] = False
    where, points = weight[skin], np.argwhere(skin)
    for axis, end in ((0, "left"), (0, "right"), (1, "back"), (1, "front"), (2, "top")):
        along = points[:, axis] if end in ("left", "back") else -points[:, axis]
        assert (where[along < along.min() + 8] > 0.5).mean() > 0.6, end


def test_a_constant_volume_has_no_skin_to_be_found(template: Head) -> None:
    with pytest.raises(DataError, match="constant"):
        region_weight(template.with_voxels(np.ones_like(template.voxels)), "head_surface")


FILTERS: list[RegionFilter] = [Blur(strength_mm=3), Pixelate(), Noise()]


@pytest.mark.parametrize("anonymizer", FILTERS, ids=lambda one: type(one).__name__)
def test_filters_share_these_habits(anonymizer: RegionFilter, template: Head) -> None:
    before = template.voxels.copy()
    template.voxels.setflags(write=False)
    first, second = (anonymizer.anonymize(template, np.random.default_rng(3)) for _ in range(2))
    assert isinstance(first, Head)
    assert isinstance(second, Head)
    np.testing.assert_array_equal(first.voxels, second.voxels)
    np.testing.assert_array_equal(template.voxels, before)
    assert first.voxels.dtype == np.float32
    assert first.affine is template.affine
    assert np.isfinite(first.voxels).all()
    weight = region_weight(template, "face")
    np.testing.assert_array_equal(first.voxels[weight == 0], before[weight == 0])
    assert (first.voxels != before)[weight > 0.1].mean() > 0.9
    assert anonymizer.needs() == {"registration"}
    assert set(anonymizer.tool_versions()) == {"niimath", "pydeface"}


@pytest.mark.parametrize("anonymizer", FILTERS, ids=lambda one: type(one).__name__)
def test_a_volume_without_a_face_says_so(anonymizer: RegionFilter, template: Head) -> None:
    result = anonymizer.anonymize(replace(template, voxels=template.voxels[:, :60]), np.random.default_rng(0))
    assert isinstance(result, AnonymizedHead)
    assert result.outcome == "no face found"
    assert not result.changed.any()


@pytest.mark.slow
def test_neither_face_nor_skin_of_real_people_reaches_their_brain(
    ixi_heads: list[Head], registered: Callable[[Head], Head]
) -> None:
    for head in map(registered, ixi_heads):
        for where in ("face", "head_surface"):
            weight = region_weight(head, where)
            assert not (weight > 0)[head.labels["brain"]].any(), (head.subject, where)
