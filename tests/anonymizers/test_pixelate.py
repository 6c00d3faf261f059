from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.anonymizers.pixelate import Pixelate, block_means
from refbench.anonymizers.regions import region_weight
from refbench.types import Head, Voxels


def pixelated(head: Head, block_mm: float = 8.0) -> Voxels:
    released = Pixelate(block_mm=block_mm, region="whole").anonymize(head, np.random.default_rng(0))
    assert isinstance(released, Head)
    return released.voxels


def random_head(shape: tuple[int, int, int], voxel_mm: tuple[float, float, float]) -> Head:
    voxels = np.random.default_rng(0).uniform(-50, 100, shape).astype(np.float32)
    return Head(voxels, np.diag([*voxel_mm, 1.0]))


def test_cubes_of_whole_voxels_become_their_means() -> None:
    head = random_head((12, 8, 16), (2.0, 2.0, 1.0))
    means = head.voxels.reshape(3, 4, 2, 4, 2, 8).mean(axis=(1, 3, 5), keepdims=True)
    expected = np.broadcast_to(means, (3, 4, 2, 4, 2, 8)).reshape(12, 8, 16)
    np.testing.assert_allclose(pixelated(head), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(x=st.floats(0.7, 3), y=st.floats(0.7, 3), z=st.floats(0.7, 3), block_mm=st.floats(1, 20))
def test_blocks_measure_in_mm_on_average_and_keep_the_mean(x: float, y: float, z: float, block_mm: float) -> None:
    head = random_head((21, 17, 13), (x, y, z))
    result = pixelated(head, block_mm)
    assert result.mean() == pytest.approx(head.voxels.mean(), abs=1e-2)
    assert result.min() >= head.voxels.min() - 1e-3
    assert result.max() <= head.voxels.max() + 1e-3
    for axis, edge in enumerate((x, y, z)):
        steps = np.diff(result, axis=axis).any(axis=tuple({0, 1, 2} - {axis})).sum()
        assert steps <= (result.shape[axis] - 1) * edge / block_mm + 1


@given(lengths=st.tuples(*[st.lists(st.integers(1, 4), min_size=1, max_size=4)] * 3), seed=st.integers(0, 9))
def test_pixelating_twice_is_pixelating_once(lengths: tuple[list[int], ...], seed: int) -> None:
    cubes = [np.repeat(np.arange(len(each)) - 2, each) for each in lengths]
    voxels = np.random.default_rng(seed).normal(size=[len(cube) for cube in cubes]).astype(np.float32)
    once = block_means(voxels, cubes)
    np.testing.assert_allclose(block_means(once, cubes), once, rtol=1e-5, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(cut=st.tuples(*[st.integers(0, 9)] * 3), voxel_mm=st.sampled_from([(1.0, 1.5, 3.0), (0.8, 2.0, 1.1)]))
def test_a_cropped_volume_has_the_same_cubes(cut: tuple[int, int, int], voxel_mm: tuple[float, float, float]) -> None:
    head = random_head((40, 40, 40), voxel_mm)
    affine = head.affine.copy()
    affine[:3, 3] = affine[:3, :3] @ cut
    cropped = replace(head, voxels=head.voxels[cut[0] :, cut[1] :, cut[2] :], affine=affine)
    # Cubes that the crop goes through have lost voxels; those beyond voxel 20 have not.
    shifted = tuple(slice(20 - by, 40 - by) for by in cut)
    np.testing.assert_allclose(pixelated(cropped)[shifted], pixelated(head)[20:, 20:, 20:], rtol=1e-4, atol=1e-4)


def test_the_face_becomes_cubes_and_the_box_makes_no_difference(template: Head) -> None:
    released = Pixelate().anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    weight = region_weight(template, "face")
    np.testing.assert_allclose(released.voxels[weight == 1], pixelated(template)[weight == 1], rtol=1e-4)
