"""The same head as if it had been scanned once more: the probe of a person of whom there is one scan only."""

from __future__ import annotations

import numpy as np

from refbench.errors import DataError
from refbench.metrics.recognizers.alignment import rigid, rotation
from refbench.metrics.recognizers.skin import Levels, find_levels
from refbench.types import Head


def moved(
    head: Head, rng: np.random.Generator, tilt_deg: float = 5.0, shift_mm: float = 3.0, noise: float = 0.02
) -> Head:
    """Tilt, turn and shift a head, resample it once, and add noise; no voxel keeps its value.

    It turns around each axis by up to `tilt_deg` and shifts along each by up to `shift_mm`, both uniform, about the
    middle of its volume, on a grid that is larger by what could otherwise be cut off. Linear interpolation. The noise
    is Rician, as that of magnitude images, and lies over all of the volume. Neither its strength nor anything else
    depends on the brain.

    Args:
        head: any head; labels and whatever else had been computed of it are left behind.
        rng: where all chance comes from; the same number of draws for heads of one shape.
        tilt_deg: most degrees around each axis.
        shift_mm: most mm along each axis.
        noise: standard deviation of the noise, as a share of the 99.5 percentile of the skin and the air before it.
    """
    from scipy import ndimage

    turn = rotation(np.deg2rad(rng.uniform(-tilt_deg, tilt_deg, 3)))
    shift = rng.uniform(-shift_mm, shift_mm, 3)
    try:
        levels = find_levels(head)
    except DataError:
        levels = Levels(float(head.voxels.flat[0]), 0.0, 0.0)
    shape = np.array(head.voxels.shape)
    reach = np.sin(np.deg2rad(tilt_deg)) * (shape * head.voxel_mm).max() / 2 + shift_mm
    margin = np.ceil(reach / head.voxel_mm).astype(int)
    affine = head.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    middle = head.affine[:3, :3] @ ((shape - 1) / 2) + head.affine[:3, 3]
    from_moved = np.linalg.inv(head.affine) @ np.linalg.inv(rigid(turn, middle, shift)) @ affine
    voxels = ndimage.affine_transform(
        head.voxels, from_moved[:3, :3], from_moved[:3, 3], tuple(shape + 2 * margin), order=1, cval=levels.air
    )
    strength = np.float32(noise * max(levels.brightest - levels.air, 0.0))
    real, imaginary = (strength * rng.standard_normal(voxels.shape, np.float32) for _ in range(2))
    return Head(np.hypot(voxels + real, imaginary), affine, head.subject, head.session, head.site)
