"""Bring the skin of a head to a surface of reference: rigidly, whatever is missing of the face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.recognizers.skin import Points
from refbench.types import Affine

PITCHES_DEG, LIFTS_MM = (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0), (-40.0, -20.0, 0.0, 20.0, 40.0)
"""Starts: heads nod more than they turn, and end at the edge of the volume above and below more than at its sides."""

FINALISTS = 4
"""So many of the starts are finished."""

SLIDES_DEG = (-14.0, -7.0, 7.0, 14.0)
"""A forehead is a ball, on which a face can come to rest a few degrees too high or too low: so far off is tried too."""

COARSE_MM, FINE_MM = (20.0, 20.0, 14.0, 10.0, 10.0, 7.0), (6.0, 5.0, 4.0, 3.0, 3.0, 3.0, 3.0, 3.0)
"""How far skin may lie off before it counts for little, step after step."""

COARSE_POINTS, FINE_POINTS, LAST_POINTS = 250, 700, 2000
HEIGHT_MM = 170.0
"""What lies further below the top of the head says nothing about where the face is: neck and shoulders."""

NEAR_MM = 4.0
BALL_MM = 60.0
"""How far behind the skin of the face the middle of the head lies."""


@dataclass(frozen=True)
class Alignment:
    """How a head was brought to the reference.

    Attributes:
        to_reference: float64 (4, 4), rigid, mm of the head to mm of the reference.
        found: 0-1, the share of the reference that the head's skin lies within `NEAR_MM` of.
    """

    to_reference: Affine
    found: float


def align(points: Points, reference: Points, normals: Points) -> Alignment | None:
    """Iterative closest points to planes, weighted by nearness, from many starts; the best are finished.

    The reference looks for its like in the head, so that a neck or a back of the head has no say; what is missing or
    changed in the head lies far off and loses its weight (Geman & McClure's) as the steps go on.

    Chen & Medioni, Object modelling by registration of multiple range images, Image and Vision Computing 10(3), 1992;
    Zhou et al., Fast global registration, ECCV 2016, for the weights.

    Args:
        points: [n, 3], mm, of the head's skin, z upwards, y to the front, within some 20 degrees.
        reference: [m, 3], mm.
        normals: [m, 3], of length 1, of the reference.

    Returns:
        The alignment, or None where there are too few points to align anything.
    """
    from scipy.spatial import cKDTree

    head = points[points[:, 2] > np.quantile(points[:, 2], 0.995) - HEIGHT_MM] if len(points) else points
    if len(head) < COARSE_POINTS or len(reference) < COARSE_POINTS:
        return None
    search = _Search(head, cKDTree(head), reference, normals)
    starts = [
        search.steps(_start(head, reference, pitch, lift), COARSE_MM, COARSE_POINTS)
        for pitch, lift in product(PITCHES_DEG, LIFTS_MM)
    ]
    starts.sort(key=lambda placed: -search.alike(placed, COARSE_MM[-1], COARSE_POINTS))
    best, alike = search.finished(starts[:FINALISTS])
    for _ in range(2):
        behind = np.median(reference, axis=0) - np.array([0, BALL_MM, 0])
        slides = [rotation(np.array([np.deg2rad(slide), 0, 0])) for slide in SLIDES_DEG]
        other, more = search.finished([best @ rigid(slide, behind, np.zeros(3)) for slide in slides])
        if more <= alike:
            break
        best, alike = other, more
    best = search.steps(best, FINE_MM[-1:] * 6, LAST_POINTS)
    found = float((search.distance(best, LAST_POINTS) < NEAR_MM).mean())
    return Alignment(np.linalg.inv(best).astype(np.float64), found)


@dataclass(frozen=True)
class _Search:
    """A head's skin, with its tree, that the reference is moved onto."""

    head: Points
    tree: Any
    reference: Points
    normals: Points

    def steps(self, placed: Affine, scales_mm: Sequence[float], points: int) -> Affine:
        """Some small motions, with that many points of the reference."""
        some = _spread(len(self.reference), points)
        for scale in scales_mm:
            placed = _step(self.tree, self.head, self.reference[some], self.normals[some], placed, scale) @ placed
        return placed

    def distance(self, placed: Affine, points: int) -> NDArray[np.float64]:
        """From points of the reference to the skin, mm."""
        some = _spread(len(self.reference), points)
        distance: NDArray[np.float64] = self.tree.query(_moved(self.reference[some], placed))[0]
        return distance

    def alike(self, placed: Affine, scale_mm: float, points: int) -> float:
        """0-1, how much of the reference lies near the skin."""
        return float((1 / (1 + (self.distance(placed, points) / scale_mm) ** 2)).mean())

    def finished(self, starts: Sequence[Affine]) -> tuple[Affine, float]:
        """The best of several starts once all have been refined, and how good it is."""
        ends = [self.steps(start, FINE_MM, FINE_POINTS) for start in starts]
        alike = [self.alike(end, FINE_MM[-1], FINE_POINTS) for end in ends]
        return ends[int(np.argmax(alike))], max(alike)


def rotation(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (3, 3) that turns around `vector` by its length in radians."""
    from scipy.spatial.transform import Rotation

    matrix: NDArray[np.float64] = Rotation.from_rotvec(vector).as_matrix()
    return matrix


def rigid(turn: NDArray[np.float64], about: NDArray[np.float64], shift: NDArray[np.float64]) -> Affine:
    """The affine (4, 4) that turns by a matrix (3, 3) about a point, and then shifts."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, about - turn @ about + shift
    return affine


def _start(head: Points, reference: Points, pitch_deg: float, lift_mm: float) -> Affine:
    """Reference to head: its middle to the middle sideways and in depth, its top to the top."""
    low, high = head[:, 2].min(), np.quantile(head[:, 2], 0.995)
    top = np.quantile(reference[:, 2], 0.995)
    tall = min(high - low, top - reference[:, 2].min())
    seen, expected = head[head[:, 2] >= high - tall], reference[reference[:, 2] >= top - tall]
    shift = np.median(seen, axis=0) - np.median(expected, axis=0)
    shift[2] = high - top + lift_mm
    return rigid(rotation(np.array([np.deg2rad(pitch_deg), 0, 0])), np.median(expected, axis=0), shift)


def _step(tree: Any, head: Points, reference: Points, normals: Points, placed: Affine, scale_mm: float) -> Affine:
    """One small motion, in mm of the head, that brings the planes at the reference's points nearer to the head's."""
    here, facing = _moved(reference, placed), normals @ placed[:3, :3].T
    distance, nearest = tree.query(here)
    weight = 1 / (1 + (distance / scale_mm) ** 2) ** 2
    middle = here.mean(axis=0)
    design = np.concatenate([np.cross(here - middle, facing), facing], axis=1)
    off = ((head[nearest] - here) * facing).sum(axis=1)
    weighted = design * weight[:, None]
    motion = np.linalg.solve(weighted.T @ design + 1e-9 * np.eye(6), weighted.T @ off)
    return rigid(rotation(motion[:3]), middle, motion[3:])


def _moved(points: Points, affine: Affine) -> Points:
    moved: Points = points @ affine[:3, :3].T + affine[:3, 3]
    return moved


def _spread(total: int, count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, total - 1, count).astype(np.int64))
