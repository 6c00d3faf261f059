"""Shapes as distances in mm (negative inside), and a canvas that paints them without jagged edges.

The shapes are approximate signed distance fields: exact on their surface and to first order near it (I. Quilez,
"Distance functions", 2008-; smooth minimum: "Smooth minimum", 2013). All arrays are float32 of one slab's shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.types import Affine, Voxels

Point = tuple[float, float, float]
Distance = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Canvas:
    """A block of voxels with the person's coordinates at their centres, and the intensities painted so far.

    Attributes:
        x, y, z: float32 (a, b, c), mm in the person's own frame: right, front, up of the anterior commissure.
        image: float32 (a, b, c), painted in place; crops share it.
        edge_mm: width over which a border fades: the voxel's size, so that borders carry partial volume.
        index_of_mm: (4, 4), the person's mm to this block's voxel index.
    """

    x: Voxels
    y: Voxels
    z: Voxels
    image: Voxels
    edge_mm: float
    index_of_mm: Affine

    @classmethod
    def cover(cls, mm_of_index: Affine, start: int, shape: tuple[int, int, int]) -> Canvas:
        """Make an empty canvas of `shape`, whose first voxel has the index (start, 0, 0) of the whole grid."""
        shifted = mm_of_index.copy()
        shifted[:3, 3] += mm_of_index[:3, 0] * start
        i, j, k = (np.arange(n, dtype=np.float32) for n in shape)
        rows = shifted[:3].astype(np.float32)
        x, y, z = (r[0] * i[:, None, None] + r[1] * j[:, None] + (r[2] * k + r[3]) for r in rows)
        edge_mm = float(np.cbrt(abs(np.linalg.det(mm_of_index[:3, :3]))))
        index_of_mm: Affine = np.linalg.inv(shifted).astype(np.float64)
        return cls(x, y, z, np.zeros(shape, np.float32), edge_mm, index_of_mm)

    def window(self, low: Point, high: Point) -> tuple[slice, slice, slice]:
        """The voxels that may lie in a box of the person's frame (mm), with a margin for the fading edge."""
        corners = np.array([[(low, high)[b >> a & 1][a] for a in range(3)] + [1.0] for b in range(8)])
        index = corners @ self.index_of_mm[:3].T
        first = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, self.image.shape)
        last = np.clip(np.ceil(index.max(axis=0)).astype(int) + 2, first, self.image.shape)
        a, b, c = (slice(int(f), int(t)) for f, t in zip(first, last, strict=True))
        return a, b, c

    def crop(self, low: Point, high: Point) -> Canvas | None:
        """The part of the canvas in a box of the person's frame (mm), sharing its image; None where they miss."""
        where = self.window(low, high)
        if any(s.start == s.stop for s in where):
            return None
        moved = self.index_of_mm.copy()
        moved[:3, 3] -= [s.start for s in where]
        x, y, z, image = self.x[where], self.y[where], self.z[where], self.image[where]
        return replace(self, x=x, y=y, z=z, image=image, index_of_mm=moved)

    def around(self, centre: Point, reach: Point) -> Canvas | None:
        """The part of the canvas within `reach` mm of a centre along each axis."""
        low = (centre[0] - reach[0], centre[1] - reach[1], centre[2] - reach[2])
        high = (centre[0] + reach[0], centre[1] + reach[1], centre[2] + reach[2])
        return self.crop(low, high)

    def paint(self, distance: Distance, intensity: float) -> None:
        """Cover what lies inside `distance` < 0 with an intensity, faded over one voxel."""
        share = np.clip(np.float32(0.5) - distance / np.float32(self.edge_mm), 0, 1)
        share *= intensity - self.image
        np.add(self.image, share, out=self.image)

    def blob(self, centre: Point, radii: Point, intensity: float, shrink: float = 0.0) -> None:
        """Paint an ellipsoid, its radii lessened by `shrink` mm."""
        part = self.around(centre, radii)
        if part is not None:
            part.paint(ellipsoid(part, centre, radii) + np.float32(shrink), intensity)

    def block(self, centre: Point, radii: Point, intensity: float, shrink: float = 0.0) -> None:
        """Paint a box with well-rounded edges, its half sides lessened by `shrink` mm."""
        part = self.around(centre, radii)
        if part is not None:
            u, v, w = (
                ((p - np.float32(c)) / np.float32(r)) ** 2
                for p, c, r in zip((part.x, part.y, part.z), centre, radii, strict=True)
            )
            q = np.sqrt(np.sqrt(u * u + v * v + w * w))
            part.paint((q - 1) * np.float32(min(radii)) + np.float32(shrink), intensity)

    def rod(self, start: Point, end: Point, radius: float, intensity: float) -> None:
        """Paint a capsule."""
        low = tuple(min(a, b) - radius for a, b in zip(start, end, strict=True))
        high = tuple(max(a, b) + radius for a, b in zip(start, end, strict=True))
        part = self.crop((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        if part is not None:
            part.paint(capsule(part, start, end, radius), intensity)


def ellipsoid(at: Canvas, centre: Point, radii: Point) -> Voxels:
    """Distance to an ellipsoid along the axes."""
    u, v, w = ((p - np.float32(c)) / np.float32(r) for p, c, r in zip((at.x, at.y, at.z), centre, radii, strict=True))
    return scaled_distance(u, v, w, radii)


def scaled_distance(u: Voxels, v: Voxels, w: Voxels, radii: Point, squareness: float = 0.0) -> Voxels:
    """Distance to the unit sphere of coordinates that were divided by `radii` (mm).

    `squareness` 0 is an ellipsoid, 1 a superellipsoid of the fourth power.
    """
    a, b, c = u * u, v * v, w * w
    total = a + b + c
    if squareness > 0:
        total = np.sqrt(total * total - np.float32(2 * squareness) * (a * b + b * c + c * a))
    q = np.sqrt(total)
    a /= np.float32(radii[0] ** 2)
    b /= np.float32(radii[1] ** 2)
    c /= np.float32(radii[2] ** 2)
    a += b
    a += c
    distance: Voxels = q * (q - 1) / np.sqrt(a + np.float32(1e-9))
    return distance


def capsule(at: Canvas, start: Point, end: Point, radius: float) -> Voxels:
    """Distance to a rod with round ends."""
    axis = np.subtract(end, start).astype(np.float32)
    px, py, pz = at.x - np.float32(start[0]), at.y - np.float32(start[1]), at.z - np.float32(start[2])
    along = np.clip((px * axis[0] + py * axis[1] + pz * axis[2]) / np.float32(axis @ axis), 0, 1)
    px -= along * axis[0]
    py -= along * axis[1]
    pz -= along * axis[2]
    distance: Voxels = np.sqrt(px * px + py * py + pz * pz) - np.float32(radius)
    return distance


def join(a: Distance, b: Distance, blend_mm: float) -> Voxels:
    """Union of two shapes with a fillet of `blend_mm` (polynomial smooth minimum)."""
    h = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0)
    joined: Voxels = np.minimum(a, b) - h * h * np.float32(0.25 / blend_mm)
    return joined


def meet(a: Distance, b: Distance, blend_mm: float) -> Voxels:
    """Intersection of two shapes with a rounded edge of `blend_mm`."""
    h = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0)
    common: Voxels = np.maximum(a, b) + h * h * np.float32(0.25 / blend_mm)
    return common


def ramp(values: Distance, low: float, high: float) -> Voxels:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    smooth: Voxels = t * t * (3 - 2 * t)
    return smooth
