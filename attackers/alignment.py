"""Bring heads that were scanned in different poses onto one another, from their released slices alone.

The slices of one release are taken as a small volume (position, row, column) and matched to the average release of the
training people by an affine map. Where an anonymizer leaves a visible edge, that edge helps: it follows the head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.types import Affine, Images, ReleasedSlices

SIDE = 64
"""Pixels along a side that are enough to align: larger images are halved until they are no larger."""

POSING = 24
"""People whose average decides the reference's pose; more change nothing but the time it takes."""

DAMPING = 1e-3
"""Of a Gauss-Newton step, relative to what each parameter could explain on its own."""

SMALLEST_STEP = 0.5
"""No single step may more than double a volume: images that have nothing in common would be torn apart."""

Steps = Sequence[tuple[int, int]]
"""How often the side is halved further and how many steps are made there, from coarse to fine."""

COARSE: Steps = ((2, 8), (1, 8))
FINE: Steps = ((2, 8), (1, 6), (0, 3))


@dataclass(frozen=True)
class Stack:
    """The slices of one release as a volume.

    Attributes:
        members: int [k], which slices of the release's arrays these are.
        planes: int [k], their positions.
        count: planes of the volume; planes that are missing are filled by the nearest one.
    """

    members: NDArray[np.int64]
    planes: NDArray[np.int64]
    count: int

    def volume(self, slices: NDArray[Any]) -> Images:
        """Stand the slices [n, h, w] of this release up as float32 [count, h, w]."""
        nearest = np.abs(np.arange(self.count)[:, None] - self.planes[None]).argmin(axis=1)
        volume: Images = slices[self.members[nearest]].astype(np.float32)
        return volume


def stacks(released: ReleasedSlices) -> Iterator[Stack]:
    """Every release of `released` as a stack, in order of the release's number."""
    for number in np.unique(released.release):
        members = np.flatnonzero(released.release == number)
        planes = released.position[members]
        yield Stack(members, planes, int(planes.max()) + 1)


@dataclass(frozen=True)
class Reference:
    """The average release of training people, in a pose in the middle of theirs.

    Attributes:
        volume: float32 [count, r, c], 0-1: the reference's grid, pixels of 2^halvings of the images' own.
        size: (h, w) of the images.
    """

    volume: Images
    size: tuple[int, int]

    @property
    def grid(self) -> tuple[int, ...]:
        """(count, r, c): planes, rows and columns of the reference's grid."""
        return tuple(self.volume.shape)

    def align(self, volume: Images) -> Affine:
        """Find where the reference's voxels lie in a stack.

        Gauss-Newton on the squared difference, inverse compositional (Baker & Matthews, "Lucas-Kanade 20 years on",
        IJCV 2004, section 3.2), coarse to fine, 12 parameters. A direction without contrast stays as it is.

        Args:
            volume: float32 [any count, h, w], 0-1.

        Returns:
            float64 (4, 4): index (position, row, column) in the reference's grid to index in the stack.

        Raises:
            DataError: the images have another size than those of the training.
        """
        if volume.shape[1:] != self.size:
            raise DataError(
                f"released slices of {volume.shape[1:]} pixels, but the attacker was trained on {self.size}; "
                "cut them to the same size"
            )
        halvings = _halvings(self.size)
        return _blocks(halvings) @ _search(self.volume, halve(volume, halvings), np.eye(4), FINE)


def average(released: ReleasedSlices, rounds: int = 2) -> tuple[Reference, list[Affine]]:
    """Align all releases with one another.

    Args:
        released: the training people's slices.
        rounds: how often average and alignment take turns.

    Returns:
        The average release, and for each of `stacks(released)` the map of `Reference.align`.
    """
    everyone = list(stacks(released))
    height, width = released.images.shape[1:]
    halvings = _halvings((height, width))
    posing = everyone[:: -(-len(everyone) // POSING)]
    volumes = [halve(stack.volume(released.images), halvings) for stack in posing]
    poses: list[Affine] = [np.eye(4) for _ in volumes]
    grid = (max(stack.count for stack in everyone), *volumes[0].shape[1:])
    mean = _mean(volumes, poses, grid)
    for _ in range(rounds):
        poses = [_search(mean, volume, pose, COARSE) for volume, pose in zip(volumes, poses, strict=True)]
        # The mean of all maps stays the identity, or the average would drift away.
        back = np.linalg.inv(np.mean(poses, axis=0))
        poses = [pose @ back for pose in poses]
        mean = _mean(volumes, poses, grid)
    reference = Reference(mean, (height, width))
    return reference, [reference.align(stack.volume(released.images)) for stack in everyone]


def mean_in_reference(
    slices: NDArray[Any], released: ReleasedSlices, transforms: Sequence[Affine], reference: Reference
) -> Images:
    """Average something of all releases in the reference's pose.

    Args:
        slices: [n, h, w], what to average.
        released: says which release each slice is of.
        transforms: of `average`, one for each release.
        reference: of `average`.

    Returns:
        float32, the reference's grid.
    """
    halvings = _halvings(reference.size)
    volumes = [halve(stack.volume(slices), halvings) for stack in stacks(released)]
    return _mean(volumes, [np.linalg.inv(_blocks(halvings)) @ t for t in transforms], reference.grid)


def from_reference(volume: Images, transform: Affine, stack: Stack, size: tuple[int, int]) -> Images:
    """Resample a volume of the reference's grid where the slices of one release lie: float32 [k, h, w]."""
    back = np.linalg.inv(transform)
    resampled: Images = _resample(volume, back, (stack.count, *size))[stack.planes]
    return resampled


def coordinates(
    transform: Affine, stack: Stack, pixels: tuple[NDArray[np.int64], ...], grid: tuple[int, ...]
) -> NDArray[np.float32]:
    """Where pixels of a release lie in the reference: float32 [pixels, 3], -1 .. 1 from edge to edge of its grid.

    Args:
        transform: of `Reference.align`.
        stack: the release.
        pixels: slice, row and column of each, as `np.nonzero` gives them.
        grid: shape of the reference's grid.
    """
    back = np.linalg.inv(transform)
    points = np.stack([stack.planes[pixels[0]], pixels[1], pixels[2]]).astype(np.float64)
    mapped = (back[:3, :3] @ points + back[:3, 3:]).T
    half = np.maximum((np.array(grid) - 1) / 2, 0.5)
    return (mapped / half - 1).astype(np.float32)


def halve(volume: Images, halvings: int) -> Images:
    """Average blocks of 2^halvings pixels of every slice; what does not fill a block is cut off."""
    block = 2**halvings
    count, height, width = volume.shape
    height, width = height // block, width // block
    cut = volume[:, : height * block, : width * block]
    halved: Images = cut.reshape(count, height, block, width, block).mean(axis=(2, 4), dtype=np.float32)
    return halved


def _halvings(size: tuple[int, int]) -> int:
    """How often images of this size are halved before they are aligned."""
    return max(0, math.ceil(math.log2(min(size) / SIDE)))


def _blocks(halvings: int) -> Affine:
    """The map from index in a halved stack to index in the stack; a block's index is its centre."""
    block = 2.0**halvings
    centres = np.diag([1.0, block, block, 1.0])
    centres[1:3, 3] = (block - 1) / 2
    return centres


def _resample(volume: Images, transform: NDArray[np.floating], grid: tuple[int, ...]) -> Images:
    """The volume's values at `transform` of every index of a grid: linear, beyond its border the border goes on."""
    from scipy import ndimage

    out: Images = ndimage.affine_transform(
        volume, transform[:3, :3], transform[:3, 3], output_shape=grid, order=1, mode="nearest"
    )
    return out


def _mean(volumes: list[Images], poses: list[Affine], grid: tuple[int, ...]) -> Images:
    """The average of all stacks on the grid of the reference."""
    total = np.zeros(grid, np.float32)
    for volume, pose in zip(volumes, poses, strict=True):
        total += _resample(volume, pose, grid)
    return total / np.float32(len(volumes))


def _search(fixed: Images, moving: Images, transform: Affine, levels: Steps) -> Affine:
    """Improve a map from `fixed` to `moving`, from coarse to fine."""
    for halvings, steps in levels:
        if min(fixed.shape[1:]) >> halvings < 2:
            continue
        blocks = _blocks(halvings)
        coarse = np.linalg.inv(blocks) @ transform @ blocks
        coarse = _descend(halve(fixed, halvings), halve(moving, halvings), coarse, steps)
        transform = blocks @ coarse @ np.linalg.inv(blocks)
    return transform


def _descend(fixed: Images, moving: Images, transform: Affine, steps: int) -> Affine:
    """Gauss-Newton steps at one resolution, for as long as they help."""
    centre = (np.array(fixed.shape) - 1) / 2
    to_centre = np.eye(4)
    to_centre[:3, 3] = -centre
    gradients = [np.gradient(fixed, axis=axis) if n > 1 else np.zeros_like(fixed) for axis, n in enumerate(fixed.shape)]
    points = [*np.indices(fixed.shape, np.float32) - centre.astype(np.float32)[:, None, None, None], np.float32(1)]
    steepest = np.stack([gradient * point for gradient in gradients for point in points]).reshape(12, -1)
    hessian = (steepest @ steepest.T).astype(np.float64)
    # Damped relative to each parameter's own contrast, so that one without any (a single slice's depth) stays put.
    scale = np.sqrt(np.diag(hessian)) + 1e-6 * np.sqrt(np.trace(hessian)) + 1e-12
    solve = np.linalg.inv(hessian / np.outer(scale, scale) + DAMPING * np.eye(12)) / np.outer(scale, scale)
    best, least = transform, np.inf
    for _ in range(steps):
        warped = _resample(moving, transform, fixed.shape)
        gain = float((warped * fixed).sum()) / max(float((warped * warped).sum()), 1e-9)
        difference = (gain * warped - fixed).ravel()
        error = float(difference @ difference)
        if not error < least:
            break
        best, least = transform, error
        update = np.eye(4)
        update[:3] += (solve @ (steepest @ difference)).reshape(3, 4)
        if np.linalg.det(update) < SMALLEST_STEP:
            break
        transform = transform @ np.linalg.inv(np.linalg.inv(to_centre) @ update @ to_centre)
    return best
