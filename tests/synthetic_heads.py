"""Heads whose skin is known to a fraction of a millimetre, because it is written down as a distance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from refbench.types import Head, Mask

RADIUS_MM, NOSE_MM, BRAIN_MM = 55.0, 14.0, 38.0
EDGE_MM = 3.0
EXTENT_MM = (144.0, 168.0, 144.0)

Distance = NDArray[np.float64]


def grid(voxel_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (3, x, y, z) in mm of a volume around the origin, and its affine."""
    shape = np.round(np.divide(EXTENT_MM, voxel_mm)).astype(int)
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = -np.array(EXTENT_MM) / 2
    points = np.indices(shape) * np.reshape(voxel_mm, (3, 1, 1, 1)) + affine[:3, 3].reshape(3, 1, 1, 1)
    return points, affine


def distance(points: NDArray[np.float64]) -> Distance:
    """Signed mm to the skin of a ball-shaped head with a ball for a nose: negative inside."""
    nose = np.linalg.norm(points - np.reshape([0, RADIUS_MM, 0], (3, 1, 1, 1)), axis=0) - NOSE_MM
    return np.minimum(np.linalg.norm(points, axis=0) - RADIUS_MM, nose)


def front(points: NDArray[np.float64], margin_mm: float = 0.0) -> Mask:
    """Where the face is, air in front of it included, and a margin around it."""
    across = np.maximum(np.abs(points[0]), np.abs(points[2]))
    return (points[1] > 30 - margin_mm) & (across < 30 + margin_mm) & (distance(points) > -14)


def picture(sdf: Distance, air: float = 0.0, tissue: float = 100.0) -> NDArray[np.float32]:
    """Intensities across an edge of `EDGE_MM`, as a scanner blurs it."""
    return (air + (tissue - air) * np.clip(0.5 - sdf / EDGE_MM, 0, 1)).astype(np.float32)


def synthetic_head(
    voxel_mm: tuple[float, float, float] = (2.0, 2.0, 2.0),
    air: float = 0.0,
    tissue: float = 100.0,
    change: Callable[[NDArray[np.float64], Distance], Distance] = lambda points, sdf: sdf,
) -> Head:
    """A head with the labels `face` (6 mm deep), `nose` (of it, what stands out) and `brain`."""
    points, affine = grid(voxel_mm)
    sdf = distance(points)
    face = front(points) & (sdf < 0) & (sdf > -6)
    radius = np.linalg.norm(points, axis=0)
    labels = {"face": face, "nose": face & (radius > RADIUS_MM + 2), "brain": radius < BRAIN_MM}
    return Head(picture(change(points, sdf), air, tissue), affine, "synthetic", labels=labels)
