"""What goes wrong while k-space is recorded: it ends too early, and people move."""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.ndimage import affine_transform

from refbench.types import Voxels

PHASE_AXIS = 1
"""k-space is recorded plane by plane along y (front to back), as is usual for sagittal volumes."""

MOVES = 3


def moved(image: Voxels, voxel_mm: tuple[float, float, float], amount: float, rng: np.random.Generator) -> Voxels:
    """The image of a head that moved: k-space put together from several rigid poses.

    The planes round the centre of k-space are of the unmoved head, so that labels stay true; further out it has
    another pose every now and then. Its edges ghost along the phase axis and blur.

    Args:
        image: float32 (x, y, z).
        voxel_mm: edges of a voxel.
        amount: standard deviation of the poses, mm along y and z and degrees about x.
        rng: draws when it moves and how.

    Returns:
        float32, the magnitude.
    """
    count = image.shape[PHASE_AXIS]
    centre = count // 2
    from_centre = np.arange(count) - centre
    space = fft.fftshift(fft.fft(image, axis=PHASE_AXIS), axes=PHASE_AXIS)
    # All moves come after the centre or all before it, as time runs along k-space.
    side = 1 if rng.random() < 0.5 else -1
    starts = np.sort(rng.uniform(0.04, 0.45, MOVES)) * count
    for start, (turn, forward, up) in zip(starts, rng.normal(size=(MOVES, 3)) * amount, strict=True):
        pose = fft.fftshift(fft.fft(_posed(image, voxel_mm, turn, forward, up), axis=PHASE_AXIS), axes=PHASE_AXIS)
        planes = side * from_centre >= start
        space[:, planes] = pose[:, planes]
    magnitude: Voxels = np.abs(fft.ifft(fft.ifftshift(space, axes=PHASE_AXIS), axis=PHASE_AXIS))
    return magnitude


def truncated(image: Voxels, share: float) -> Voxels:
    """The image of which only the middle `share` of k-space along each axis was recorded: edges ring (Gibbs).

    Returns:
        float32 (x, y, z) on the same grid, the magnitude.
    """
    for axis, count in enumerate(image.shape):
        space = fft.rfft(image, axis=axis)
        kept = int(np.ceil(share * space.shape[axis]))
        space[(slice(None),) * axis + (slice(kept, None),)] = 0
        image = fft.irfft(space, count, axis=axis)
    magnitude: Voxels = np.abs(image)
    return magnitude


def _posed(
    image: Voxels, voxel_mm: tuple[float, float, float], turn_degrees: float, forward_mm: float, up_mm: float
) -> Voxels:
    """The image turned about the x axis and shifted; linear between voxels, 0 from outside."""
    (sine, cosine), edges = (f(np.deg2rad(turn_degrees)) for f in (np.sin, np.cos)), np.array(voxel_mm)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    back = turn * edges / edges[:, None]
    middle = (np.array(image.shape) - 1) / 2
    shift = np.array([0, forward_mm, up_mm]) / edges
    posed: Voxels = affine_transform(image, back, middle - back @ (middle + shift), order=1, output=np.float32)
    return posed
