"""The skin of a head as it is seen from the front. What lies deep in the head has no say in it: no brain moves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.geometry import SKIN_FRACTION, otsu_threshold, skin_threshold
from refbench.types import Affine, Head, Voxels

Points = NDArray[np.float64]

BEFORE_MM, DEEP_MM = 24.0, 7.0
"""Along a ray from the front: so much air before the skin, and so much of the head behind it, tells air from skin."""

COLUMN_MM, POINT_MM, BLOCK_MM = 3.0, 2.0, 4.0
"""How far apart: rays that levels are read from, points of the skin, blocks that the head is told from specks by."""

SMOOTHING_MM = 1.0
"""Standard deviation of the Gaussian that keeps noise from roughening the skin."""

STEP = 2**0.25
"""Levels are tried in steps of this factor, of an absolute scale, so that no voxel of the brain shifts them."""


@dataclass(frozen=True)
class Levels:
    """Intensities of one head: of the air before its face, where its skin starts, and of the brightest of its skin."""

    air: float
    skin: float
    brightest: float


@dataclass(frozen=True)
class FrontSkin:
    """The skin of one head.

    Attributes:
        field: float32 (x, y, z), the head's voxels scaled and smoothed: below 1 in the air, 1 at the skin.
        affine: float64 (4, 4), voxel index to mm.
        points: float64 [n, 3], mm, of the skin first met on rays from the front, every 2 mm sideways and upwards.
    """

    field: Voxels
    affine: Affine
    points: Points


def find_skin(head: Head) -> FrontSkin:
    """The outer skin of the largest piece of tissue.

    Args:
        head: RAS+ order, any scale, any background level.

    Raises:
        DataError: the volume is constant, or too thin to have a surface.
    """
    from scipy import ndimage

    levels = find_levels(head)
    # Beyond 3 a bright vessel behind the skin would pull the smoothed skin outwards.
    field = np.clip((head.voxels - np.float32(levels.air)) / np.float32(levels.skin - levels.air), 0, 3)
    _darken_specks(field, head.voxel_mm)
    # Cut off at 2.5 deviations: at 4, the brain below a thin temple still moves the skin in its eighth decimal.
    smooth = ndimage.gaussian_filter(field, SMOOTHING_MM / head.voxel_mm, truncate=2.5)
    return FrontSkin(smooth, head.affine, _front_points(smooth, head.affine, head.voxel_mm))


def find_levels(head: Head) -> Levels:
    """Tell air from skin by what lies before the first tissue from the front, and shortly behind it.

    The level of the skin is looked for from above: where the level that the rays tell is no longer lower than the one
    that they were stopped by. It is `refbench.geometry.SKIN_FRACTION` of the way from air to Otsu's threshold of these
    voxels.

    Args:
        head: RAS+ order, any scale, any background level.

    Raises:
        DataError: the volume is constant, or too thin to have a surface.
    """
    if min(head.voxels.shape) < 8:
        raise DataError("the volume is thinner than 8 voxels: no face can be seen in it. Leave the scan out.")
    stride = np.maximum(1, np.floor(COLUMN_MM / head.voxel_mm + 1e-3)).astype(int)
    rays = np.ascontiguousarray(head.voxels[:: stride[0], ::-1, :: stride[2]].transpose(0, 2, 1)).reshape(
        -1, head.voxels.shape[1]
    )
    voxel_mm = float(head.voxel_mm[1])
    darkest = float(rays.min())
    start = max(skin_threshold(head.voxels) - darkest, float(np.finfo(np.float32).tiny))
    number = int(np.ceil(np.log(start) / np.log(STEP))) + 2

    def told(number: int) -> Levels:
        return _told(rays, darkest + STEP**number, voxel_mm)

    while told(number).skin > darkest + STEP**number:
        number += 1
    while (levels := told(number)).skin < darkest + STEP**number:
        number -= 1
    for _ in range(3):
        levels = _told(rays, levels.skin, voxel_mm)
    return levels


def _told(rays: Voxels, level: float, voxel_mm: float) -> Levels:
    """Levels of air and skin around the first voxels above `level`; `level` for the skin where there are none."""
    tissue = rays > level
    first = tissue.argmax(axis=1)
    hit = tissue[np.arange(len(rays)), first] & (first > 0)
    before, behind = max(2, round(BEFORE_MM / voxel_mm)), max(2, round(DEEP_MM / voxel_mm))
    places = first[hit, None] + np.arange(-before, behind)
    near = np.take_along_axis(rays[hit], np.clip(places, 0, rays.shape[1] - 1), axis=1)
    if not hit.any() or near.min() == near.max():
        return Levels(float(rays.min()), level, float(rays.max()))
    otsu = otsu_threshold(near)
    air = float(np.median(near[near <= otsu]))
    return Levels(air, air + SKIN_FRACTION * (otsu - air), float(np.percentile(near, 99.5)))


def _darken_specks(field: Voxels, voxel_mm: NDArray[np.float64]) -> None:
    """Bring all that floats apart from the head below the skin's level, in place."""
    from scipy import ndimage
    from skimage.measure import block_reduce

    block = np.maximum(1, np.floor(BLOCK_MM / voxel_mm + 1e-3)).astype(int)
    coarse = block_reduce(field > 1, tuple(block), np.mean) > 0.5  # type: ignore[no-untyped-call]
    labels, count = ndimage.label(coarse)
    if count:
        coarse = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    near = ndimage.binary_dilation(coarse, np.ones((3, 3, 3), bool))
    inside = near[np.ix_(*(np.arange(size) // edge for size, edge in zip(field.shape, block, strict=True)))]
    np.minimum(field, np.float32(0.5), out=field, where=~inside)


def _front_points(field: Voxels, affine: Affine, voxel_mm: NDArray[np.float64]) -> Points:
    """Where rays from the front meet the skin first, between two voxels; not where they start in the head."""
    stride = np.maximum(1, np.floor(POINT_MM / voxel_mm + 1e-3)).astype(int)
    x, z, depth = first_met(field[:: stride[0], ::-1, :: stride[2]].transpose(1, 0, 2))
    y = field.shape[1] - 1 - depth
    points: Points = np.stack([x * stride[0], y, z * stride[2]], axis=1) @ affine[:3, :3].T + affine[:3, 3]
    return points


def first_met(rays: Voxels) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Where rays meet skin first, between two samples; those that start in it, or meet none, are left out.

    Args:
        rays: [samples, rows, columns] of `FrontSkin.field`, each from the front along its first axis.

    Returns:
        row, column, and how many samples from the first; [n] each.
    """
    solid = rays >= 1
    first = solid.argmax(axis=0)
    row, column = np.nonzero(solid.any(axis=0) & (first > 0))
    behind = first[row, column]
    outer, inner = (rays[at, row, column].astype(np.float64) for at in (behind - 1, behind))
    return row, column, behind - 1 + (1 - outer) / (inner - outer)
