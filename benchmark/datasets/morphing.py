"""Making other people from one head: smooth, invertible, random deformations of its face.

All geometry is in millimetres along the axes of the head's grid (right, front, up), so that neither a tilt in the
affine nor the size of the voxels changes what a person looks like. Deformations are the flow along a stationary
velocity field, which can be undone by flowing back (Arsigny et al., "A log-Euclidean framework for statistics on
diffeomorphisms", MICCAI 2006). They pull intensities: the new head at p shows the source at p + displacement(p).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from refbench.geometry import head_mask, mid_sagittal
from refbench.types import Affine, Head, Voxels

Field = NDArray[np.float64]
"""Millimetres to the right, to the front and up, (3, ...): points, displacements or velocities."""

LATTICE_MM = 6.0
LATTICE_SHAPE = (37, 35, 47)
LATTICE_START = np.array(
    [-108.0, -48.0, -216.0]
)  # from the middle of the cranium; covers the face and the air before it

COARSE_MM, FINE_MM = 20.0, 10.0  # standard deviations of the two sizes of bumps: cheeks and jaw, nose and lips
COARSE_SHARE, FINE_SHARE = 0.66, 0.48  # of `strength_mm`; what is left comes from the scales
SCALE_PER_MM = 0.009  # standard deviation of the logarithm of width, depth and length per mm of strength
ASYMMETRY = 0.1  # share of bumps that the other side of the face does not have
FLOW_DOUBLINGS = 6

CRANIUM_MM = 75.0  # from the top of the head down to where it is widest and longest
BEHIND_FACE_MM = -5.0  # from the middle of the cranium: the ears' level
FACE_ROOT = np.array([0.0, 20.0, -20.0])  # from there: what stays in place when a face grows

TOP_MM2 = 500.0  # the head begins where its cross section is larger

ROOM_IN_FRONT_MM = 12.0
TURN_DEGREES, SHIFT_MM = 1.5, 1.5  # standard deviations about and along each axis of a session's pose
NOISE = 0.01  # standard deviation of a session's noise over the head's 99.5 percentile


@dataclass(frozen=True)
class Landmarks:
    """Where things are in a head, in mm from the first voxel's centre.

    Attributes:
        centre: middle of the cranium, the ellipsoid of the skull's upper part, which holds the brain; (3,).
        half_axes: of that ellipsoid, to the right, to the front and up; (3,).
        front: how far to the front the head reaches (the tip of the nose, as a rule).
    """

    centre: Field
    half_axes: Field
    front: float

    @classmethod
    def of(cls, head: Head) -> Landmarks:
        """Measure the outline of the head, whose top must be in the volume.

        Raises:
            DataError: the volume is constant.
        """
        mask, edges = head_mask(head.voxels, head.voxel_mm), head.voxel_mm
        levels = np.flatnonzero(mask.sum(axis=(0, 1)) * edges[0] * edges[1] > TOP_MM2)
        top = int(levels[-1]) if len(levels) else mask.shape[2] - 1
        upper = mask[:, :, max(0, top - round(CRANIUM_MM / edges[2])) : top + 1]
        width = _extent(upper.sum(axis=(1, 2))) * edges[0]
        length = _extent(upper.sum(axis=(0, 2))) * edges[1]
        front = float(np.flatnonzero(mask.any(axis=(0, 2)))[-1] * edges[1])
        centre = np.array([mid_sagittal(mask, edges) * edges[0], length.mean(), top * edges[2] - CRANIUM_MM])
        return cls(centre, np.array([np.ptp(width) / 2, np.ptp(length) / 2, CRANIUM_MM]), front)


@dataclass(frozen=True)
class Face:
    """How one person's face differs from the source's.

    Attributes:
        displacement: mm, (3, *LATTICE_SHAPE), at the lattice's points around the middle of the cranium.
    """

    displacement: Field

    @classmethod
    def random(cls, landmarks: Landmarks, strength_mm: float, rng: np.random.Generator) -> Face:
        """Draw a person.

        Args:
            landmarks: of the source head.
            strength_mm: standard deviation, over people, of how far a point of the face moves along each axis.
            rng: the person; the same numbers are drawn whatever the strength.
        """
        return cls(flow(_velocity(landmarks, strength_mm, rng)))

    @cached_property
    def _spline(self) -> Field:
        return np.stack([ndimage.spline_filter(part, order=2, mode="nearest") for part in self.displacement])

    def at(self, points: Field) -> Field:
        """Displacement of points in mm from the middle of the cranium, both (3, n); smooth, 0 behind the face."""
        displacement: Field = np.zeros(points.shape)
        in_front = points[1] > BEHIND_FACE_MM
        index = (points[:, in_front] - LATTICE_START[:, None]) / LATTICE_MM
        displacement[:, in_front] = _sample(self._spline, index, order=2)
        return displacement


def morph(head: Head, face: Face, landmarks: Landmarks, session: np.random.Generator, voxel_mm: float | None) -> Head:
    """Show a head with another face, in a pose and with noise of its own.

    Args:
        head: the source.
        face: of the person.
        landmarks: of the source.
        session: what differs between two sessions of one person: a turn, a shift and Rician noise, drawn in this order.
        voxel_mm: edge length of the result's voxels; the source's own if None.

    Returns:
        a head of the source's names and scale, on the source's grid or another over the same space, longer to the front
        where a larger nose would not fit. What lies outside the source is air.
    """
    turn = Rotation.from_rotvec(np.radians(session.normal(0, TURN_DEGREES, 3))).as_matrix()
    shift = session.normal(0, SHIFT_MM, 3)
    shape, affine, edges, first = _grid(head, landmarks.front + ROOM_IN_FRONT_MM, voxel_mm)
    blur = 0.5 * np.sqrt(np.maximum((edges / head.voxel_mm) ** 2 - 1, 0))  # larger voxels average what they cover
    source = ndimage.gaussian_filter(head.voxels, blur) if blur.any() else head.voxels
    air, brightest = float(source.min()), float(source.max())
    spline = ndimage.spline_filter(source, order=3, output=np.float64)
    voxels = np.empty(shape, np.float32)
    to_centre = (first - landmarks.centre)[:, None]
    step = np.array([[edges[0]], [0.0], [0.0]])
    plane = np.indices((1, *shape[1:])).reshape(3, -1) * edges[:, None] + to_centre
    for x in range(shape[0]):  # plane by plane, as points take many times the memory of voxels
        points = turn @ (plane + x * step) + shift[:, None]
        index = (points + face.at(points) + landmarks.centre[:, None]) / head.voxel_mm[:, None]
        values = ndimage.map_coordinates(spline, index, order=3, mode="constant", cval=air, prefilter=False)
        voxels[x] = values.reshape(shape[1:])
    np.clip(voxels, air, brightest, out=voxels)  # splines overshoot at edges
    deviation = np.float32(NOISE * (np.percentile(head.voxels, 99.5) - air))
    real, imaginary = (deviation * session.standard_normal(shape, np.float32) for _ in range(2))
    noisy: Voxels = np.hypot(voxels - air + real, imaginary) + np.float32(air)
    return Head(noisy, affine, subject=head.subject, session=head.session, site=head.site)


def flow(velocity: Field) -> Field:
    """Displacement after following a velocity for a unit of time, by scaling and squaring; (3, *LATTICE_SHAPE), mm."""
    points = np.indices(LATTICE_SHAPE).astype(np.float64)
    displacement = velocity / float(2**FLOW_DOUBLINGS)
    for _ in range(FLOW_DOUBLINGS):
        displacement = displacement + _sample(displacement, points + displacement / LATTICE_MM, order=1)
    return displacement


def mobility(points: Field, landmarks: Landmarks) -> NDArray[np.float64]:
    """How freely points move, 0-1: 1 in the face and the air before it, 0 in brain, back, top and neck.

    Args:
        points: mm from the middle of the cranium, (3, n).
        landmarks: of the source head.

    Returns:
        (n,), smooth in place.
    """
    from_brain: NDArray[np.float64] = np.sqrt(((points / landmarks.half_axes[:, None]) ** 2).sum(axis=0))
    _, front, up = points
    in_face_and_air = _rise(front, BEHIND_FACE_MM, 45) * _rise(up, -200, -155) * _rise(-up, -60, -10)
    return _rise(from_brain, 0.9, 1.3) * in_face_and_air


def _velocity(landmarks: Landmarks, strength_mm: float, rng: np.random.Generator) -> Field:
    points = np.indices(LATTICE_SHAPE).reshape(3, -1) * LATTICE_MM + LATTICE_START[:, None]
    scales = rng.normal(0, SCALE_PER_MM, (3, 1)) * (points - FACE_ROOT[:, None])
    bumps = COARSE_SHARE * _bumps(COARSE_MM, rng) + FINE_SHARE * _bumps(FINE_MM, rng)
    velocity: Field = scales.reshape(bumps.shape) + bumps
    return strength_mm * mobility(points, landmarks).reshape(LATTICE_SHAPE) * velocity


def _bumps(size_mm: float, rng: np.random.Generator) -> Field:
    """Smooth random field (3, *LATTICE_SHAPE) of standard deviation 1, for the most part with mirrored sides."""
    sigma = size_mm / LATTICE_MM
    white = rng.standard_normal((3, *LATTICE_SHAPE))
    smooth = ndimage.gaussian_filter(white, (0, sigma, sigma, sigma), mode="wrap")
    smooth *= (2 * np.sqrt(np.pi) * sigma) ** 1.5  # a Gaussian filter takes this much from white noise
    mirrored = smooth[:, ::-1] * np.array([-1.0, 1, 1])[:, None, None, None]
    both: Field = np.sqrt((1 - ASYMMETRY) / 2) * (smooth + mirrored) + np.sqrt(ASYMMETRY / 2) * (smooth - mirrored)
    return both


def _sample(field: Field, index: Field, order: Literal[1, 2]) -> Field:
    """Values of a field on the lattice at (3, ...) indices; beyond its edge those of the edge; no spline filter."""
    values: Field = np.empty(index.shape)
    for part, value in zip(field, values, strict=True):
        ndimage.map_coordinates(part, index, output=value, order=order, mode="nearest", prefilter=False)
    return values


def _rise(x: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    """0 below start, 1 above end, and a smooth step between."""
    t = np.clip((x - start) / (end - start), 0, 1)
    step: NDArray[np.float64] = t * t * (3 - 2 * t)
    return step


def _extent(profile: NDArray[np.int_]) -> NDArray[np.float64]:
    """First and last index of a profile that is worth counting: a few stray voxels are no part of the head."""
    return np.flatnonzero(profile > 0.02 * profile.max())[[0, -1]].astype(np.float64)


def _grid(head: Head, front: float, voxel_mm: float | None) -> tuple[tuple[int, ...], Affine, Field, Field]:
    """A grid over the space of the head that reaches to `front`, mm from the head's first voxel's centre.

    Returns:
        shape, affine, edges of voxels in mm, place of the first voxel's centre in mm from the head's first.
    """
    edges = head.voxel_mm if voxel_mm is None else np.full(3, voxel_mm)
    size = np.array(head.voxels.shape) * head.voxel_mm
    shape = np.round(size / edges).astype(int)
    first = (size - shape * edges + edges - head.voxel_mm) / 2
    shape[1] = max(shape[1], int(np.ceil((front - first[1]) / edges[1])) + 1)
    to_head = np.eye(4)
    to_head[:3] = np.column_stack([np.diag(edges / head.voxel_mm), first / head.voxel_mm])
    return tuple(shape.tolist()), head.affine @ to_head, edges, first
