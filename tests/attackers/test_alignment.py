from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refbench.attackers.alignment import (
    Reference,
    average,
    coordinates,
    from_reference,
    halve,
    mean_in_reference,
    stacks,
)
from refbench.errors import DataError
from refbench.types import Affine, Images, ReleasedSlices, SlicePairs

HeadInPose = Callable[[Affine], Images]


def slices(images: Images, release: list[int], position: list[int]) -> ReleasedSlices:
    return ReleasedSlices(images.astype(np.float32), np.array(release), np.array(position))


def farthest(found: Affine, true: Affine, shape: tuple[int, ...]) -> float:
    """How far two maps part in the middle half of the rows and columns, in pixels of the stack."""
    corners = np.array([[0.5, r, c] for r in (0.25, 0.75) for c in (0.25, 0.75)]) * (np.array(shape) - 1)
    points = np.c_[corners, np.ones(4)].T
    return float(np.abs((found @ points - true @ points)[1:3]).max())


def test_stacks_keep_releases_apart_and_fill_missing_planes() -> None:
    images = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    first, second = stacks(slices(images, [7, 7, 3, 3, 3], [0, 3, 0, 1, 2]))
    assert first.members.tolist() == [2, 3, 4]
    assert first.volume(images)[:, 0, 0].tolist() == [2, 3, 4]
    assert second.volume(images)[:, 0, 0].tolist() == [0, 0, 1, 1]


def test_halving_averages_blocks() -> None:
    volume = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    np.testing.assert_array_equal(halve(volume, 1)[0], [[3, 5], [13, 15]])
    np.testing.assert_array_equal(halve(volume, 0), volume)


@pytest.mark.parametrize("seed", range(4))
def test_finds_a_known_pose(head_in_pose: HeadInPose, random_pose: Callable[..., Affine], seed: int) -> None:
    pose = random_pose(np.random.default_rng(seed))
    reference = head_in_pose(np.eye(4))
    found = Reference(reference, reference.shape[1:]).align(head_in_pose(pose))
    assert farthest(found, np.eye(4), reference.shape) > 0.8  # there was something to find
    assert farthest(found, pose, reference.shape) < 0.4


def test_brightness_does_not_matter(head_in_pose: HeadInPose, random_pose: Callable[..., Affine]) -> None:
    head = head_in_pose(random_pose(np.random.default_rng(1)))
    fixed = head_in_pose(np.eye(4))
    reference = Reference(fixed, fixed.shape[1:])
    np.testing.assert_allclose(reference.align(head), reference.align(0.5 * head), atol=1e-3)


def test_large_images_are_aligned_halved(head_in_pose: HeadInPose, random_pose: Callable[..., Affine]) -> None:
    pose = random_pose(np.random.default_rng(2))
    fixed, moving = (np.kron(head_in_pose(p), np.ones((1, 4, 4), np.float32)) for p in (np.eye(4), pose))
    reference, _ = average(slices(fixed, [0] * len(fixed), list(range(len(fixed)))))
    assert reference.grid == (5, 40, 40)
    found = reference.align(moving)
    blocks = np.diag([1, 4, 4, 1.0])
    blocks[1:3, 3] = 1.5
    assert farthest(found, blocks @ pose, reference.grid) < 4 * 0.4


@pytest.mark.parametrize("planes", [1, 5])
def test_without_contrast_nothing_moves(planes: int) -> None:
    flat = np.full((planes, 40, 30), 0.5, np.float32)
    np.testing.assert_allclose(Reference(flat, (40, 30)).align(flat), np.eye(4), atol=1e-6)


def test_a_single_slice_moves_in_its_plane_only(head_in_pose: HeadInPose) -> None:
    shifted = np.eye(4)
    shifted[1:3, 3] = 2, -1
    middle = head_in_pose(np.eye(4))[2:3]
    found = Reference(middle, middle.shape[1:]).align(head_in_pose(shifted)[2:3])
    assert farthest(found, shifted, middle.shape) < 0.2
    np.testing.assert_allclose(found[0], [1, 0, 0, 0], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 70))
def test_images_with_nothing_in_common_are_not_torn_apart(seed: int, planes: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    fixed, moving = rng.random((2, planes, side, side), np.float32)
    reference, _ = average(slices(fixed, [0] * planes, list(range(planes))))
    found = reference.align(moving)
    assert np.isfinite(found).all()
    assert np.linalg.det(found) > 0.01


def test_other_image_size_is_refused() -> None:
    reference = Reference(np.zeros((3, 8, 8), np.float32), (8, 8))
    with pytest.raises(DataError, match="same size"):
        reference.align(np.zeros((3, 8, 9), np.float32))


def test_people_agree_once_aligned(cohort: Callable[..., SlicePairs]) -> None:
    pairs = cohort("removal")
    reference, transforms = average(pairs.released)

    def sharpness(maps: list[Affine]) -> float:
        return float(mean_in_reference(pairs.original, pairs.released, maps, reference)[2].var())

    assert sharpness(transforms) > 1.15 * sharpness([np.eye(4)] * len(transforms))
    again = average(pairs.released)
    np.testing.assert_array_equal(again[0].volume, reference.volume)
    np.testing.assert_array_equal(again[1], transforms)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_coordinates_say_where_the_reference_is_read(seed: int) -> None:
    """A volume that holds its own coordinates, brought to a release, holds `coordinates` there."""
    rng = np.random.default_rng(seed)
    grid, size = (4, 9, 7), (9, 7)
    transform = np.eye(4)
    transform[:3] += rng.normal(0, 0.05, (3, 4))
    (stack,) = stacks(slices(np.zeros((3, *size), np.float32), [0, 0, 0], [0, 1, 3]))
    ramps: NDArray[np.float32] = np.stack(
        np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in grid), indexing="ij")
    )
    pixels = np.nonzero(np.ones((3, *size), bool))
    place = coordinates(transform, stack, pixels, grid).reshape(3, *size, 3)
    inside = (np.abs(place) < 1).all(axis=-1)
    for axis in range(3):
        brought = from_reference(ramps[axis], transform, stack, size)
        np.testing.assert_allclose(brought[inside], place[inside][:, axis], atol=1e-5)
