"""From slices back to a head: what an attacker changed in the slices of a release is put where they were cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.slicing import AXES, SliceOptions, Window, place
from refbench.types import Head, Images, Voxels


def stacked(released: Head, before: Images, after: Images, white: float, options: SliceOptions) -> Head:
    """The released head with the slices that an attacker made of it in their places.

    Only the difference between what the attacker returned and what it was given is put in: where it changed nothing
    the release stays as it was, to the bit, brighter than white as it may be. Between two slices the difference is
    interpolated; outside of the first and the last, and of their window, there is none.

    Args:
        released: where the slices were cut from.
        before: the slices as the attacker was given them, float32 [count, h, w], 0-1.
        after: what it returned, of the same shape.
        white: the intensity that became 1.
        options: how they were cut.
    """
    columns, window = place(released, options)
    difference = np.asarray(after - before, dtype=np.float32) * np.float32(white)
    if not difference.any():
        return released
    axes = AXES[options.plane]
    turned = released.voxels.transpose(axes)
    planes = uncut(difference, window, turned.shape[1:])
    added = np.zeros(turned.shape, dtype=np.float32)
    columns, last = np.unique(columns, return_index=True)
    planes = planes[last]
    for low, high, here, following in zip(columns, columns[1:], planes, planes[1:], strict=False):
        for column in range(low, high):
            share = np.float32((column - low) / (high - low))
            added[column] = here + share * (following - here)
    added[columns[-1]] = planes[-1]
    voxels: Voxels = np.maximum(released.voxels + added.transpose(np.argsort(axes)), released.voxels.min())
    return released.with_voxels(voxels)


def uncut(images: Images, window: Window, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Undo `Window.cut`: images [n, size, size] as planes [n, *shape] of the volume, 0 where the window does not reach.

    Pixels of another size than the voxels are interpolated.
    """
    from scipy import ndimage

    planes = images[:, ::-1, ::-1].transpose(0, 2, 1)
    zoom = np.array([edge / window.pixel_mm for edge in window.voxel_mm])
    if np.allclose(zoom, 1, atol=0.01):
        zoom = np.ones(2)
    # The centre of voxel i lies at (i + 0.5) x zoom - 0.5 of the pixels, of which the window begins at its start.
    offset = 0.5 * zoom - 0.5 - np.array(window.start)
    out: NDArray[Any] = ndimage.affine_transform(
        planes, np.array([1, *zoom]), np.array([0, *offset]), (len(planes), *shape), order=1, mode="grid-constant"
    )
    return out
