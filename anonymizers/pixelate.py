"""Pixelation: the mosaic of television, in three dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.regions import Box, RegionFilter
from refbench.plugin import param
from refbench.types import Head, Voxels


class Pixelate(RegionFilter):
    """Replaces cubes of the face by their means.

    The cubes lie along the grid's axes and have a corner at the origin of the head's millimetres. A volume that is
    cropped or shifted with its affine has the same cubes; a head that moved in its scanner, or lies on a turned grid,
    has others.
    """

    block_mm: float = param(8.0, "edge of a cube", unit="mm", gt=0, le=50)

    def reach_mm(self) -> float:
        """A whole cube, so that those at the region's edge are complete."""
        return self.block_mm

    def filtered(self, head: Head, weight: NDArray[np.float32], box: Box, rng: np.random.Generator) -> Voxels:
        """The means of the cubes; a voxel belongs to the cube that holds its centre."""
        origin = np.linalg.inv(head.affine)[:3, 3]
        cubes = []
        for axis, (edge, part) in enumerate(zip(head.voxel_mm, box, strict=True)):
            index = np.arange(head.voxels.shape[axis])[part]
            # A hair is added, as rounding in the affine must not move a centre that lies on a face.
            cubes.append(np.floor((index - origin[axis]) * edge / self.block_mm + 1e-3).astype(int))
        return block_means(head.voxels[box], cubes)


def block_means(voxels: Voxels, cubes: list[NDArray[np.int_]]) -> Voxels:
    """The mean of each block, at all of its voxels.

    Args:
        voxels: float32 (x, y, z).
        cubes: for each axis the ascending number of the block that an index belongs to.
    """
    means = voxels.astype(np.float64)
    lengths = []
    for axis, cube in enumerate(cubes):
        starts = np.flatnonzero(np.diff(cube, prepend=cube[0] - 1))
        length = np.diff(starts, append=len(cube))
        along = np.expand_dims(length, tuple({0, 1, 2} - {axis}))
        means = np.add.reduceat(means, starts, axis=axis) / along
        lengths.append(length)
    spread = means.astype(np.float32)
    for axis, length in enumerate(lengths):
        spread = spread.repeat(length, axis=axis)
    return spread
