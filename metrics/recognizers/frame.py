"""The mean face of training people, and heads brought to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from refbench.errors import DataError
from refbench.metrics.recognizers.alignment import align
from refbench.metrics.recognizers.base import Relief
from refbench.metrics.recognizers.grid import BEFORE_MM, BEHIND_MM, COLUMNS, PIXEL_MM, ROWS
from refbench.metrics.recognizers.skin import FrontSkin, Points, find_skin
from refbench.types import Affine, Head

FOUND_AT_LEAST = 0.2
"""A head with less than this share of the mean face near its skin is not placed."""

STARTS = 6
"""So many people are tried as the first reference."""

ROUNDS = 3
SPREAD_MM = 1.5
STEEP = 4.0
"""Where the mean skin falls off by more mm per mm, it has no normal that could be trusted."""

REFERENCE_MM = 2


@dataclass(frozen=True)
class Frame:
    """The mean face: upright, symmetric, its origin at the tip of the nose; x to the right, y to the front, z up, mm.

    Attributes:
        relief: float32 [rows, columns], the mean skin on the grid of `refbench.metrics.recognizers.grid`; NaN beside.
    """

    relief: Relief

    @cached_property
    def surface(self) -> tuple[Points, Points]:
        """Points of the mean skin and its normals, both float64 [n, 3], mm."""
        step = REFERENCE_MM
        depth = self.relief[step // 2 :: step, step // 2 :: step].astype(np.float64)
        x, z = pixel_places()
        down, across = (np.asarray(np.gradient(depth, -step * PIXEL_MM, axis=axis)) for axis in (0, 1))
        row, column = np.nonzero(np.isfinite(depth) & (np.maximum(np.abs(down), np.abs(across)) < STEEP))
        points = np.stack([x[step // 2 :: step][column], depth[row, column], z[step // 2 :: step][row]], axis=1)
        normals = np.stack([-across[row, column], np.ones(len(row)), -down[row, column]], axis=1)
        normals /= np.sqrt((normals**2).sum(axis=1, keepdims=True))
        return points.astype(np.float64), normals.astype(np.float64)

    def save(self, path: Path) -> None:
        """Write one .npz file."""
        with path.open("wb") as file:
            np.savez_compressed(file, relief=self.relief)

    @classmethod
    def load(cls, path: Path) -> Frame:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["relief"])


def pixel_places() -> tuple[Points, Points]:
    """Where the pixels of the grid lie, mm: x of the columns, z of the rows."""
    x, z = ((count / 2 - 0.5 - np.arange(count, dtype=np.float64)) * PIXEL_MM for count in (COLUMNS, ROWS))
    return np.asarray(x, dtype=np.float64), np.asarray(z, dtype=np.float64)


def place_skin(skin: FrontSkin, frame: Frame) -> Affine | None:
    """Bring a head to the mean face, by its skin alone.

    Returns:
        float64 (4, 4), rigid, mm of the head to mm of the frame; None where nothing can be placed.
    """
    placed = align(skin.points, *frame.surface)
    return placed.to_reference if placed is not None and placed.found >= FOUND_AT_LEAST else None


def build_frame(heads: Iterable[Head]) -> Frame:
    """The mean face of training people.

    The most typical of the first few is the first reference. All are aligned to it, the frame is turned so that they
    are upright on average, and the median of their skins and of the mirrored ones is the next reference. Heads that
    cannot be placed, or far worse than others, are left out; of each head only the points of its skin are kept.

    Args:
        heads: originals, one per person.

    Raises:
        DataError: in none of the heads a face was found, or none could be aligned to another.
    """
    skins = [skin for head in heads if len(skin := _points(head))]
    if not skins:
        raise DataError("no face was found in any training head: there is no mean face. Check the volumes.")
    frame = _most_typical(skins[:STARTS])
    for _ in range(ROUNDS):
        aligned = [align(points, *frame.surface) for points in skins]
        found = np.array([-1.0 if one is None else one.found for one in aligned])
        enough = np.median(found) - 3 * np.median(np.abs(found - np.median(found))) - 0.02
        kept = [
            (points, one.to_reference)
            for points, one in zip(skins, aligned, strict=True)
            if one is not None and one.found >= enough
        ]
        if not kept:
            raise DataError(
                f"the faces of {len(skins)} training heads cannot be laid over each other: their skin is too coarse. "
                "Take heads with voxels of 4 mm or less."
            )
        frame = _mean([points for points, _ in kept], [to_frame for _, to_frame in kept])
    return frame


def _points(head: Head) -> Points:
    try:
        return find_skin(head).points
    except DataError:
        return np.zeros((0, 3))


def _most_typical(skins: Sequence[Points]) -> Frame:
    """Of each skin alone a frame; the one that more of the others' skin lies near."""
    frames = [_alone(points) for points in skins]
    found = [
        np.median([one.found if (one := align(points, *frame.surface)) else 0.0 for points in skins])
        for frame in frames
    ]
    return frames[int(np.argmax(found))]


def _alone(points: Points) -> Frame:
    """One skin as it lies; the most forward point of its middle is the tip of the nose."""
    middle = np.abs(points[:, 0] - np.median(points[:, 0])) < 25
    tip = points[middle][points[middle, 1].argmax()] if middle.any() else np.zeros(3)
    to_tip = np.eye(4)
    to_tip[:3, 3] = -tip
    return Frame(splat(points, to_tip))


def _mean(skins: Sequence[Points], to_frame: Sequence[Affine]) -> Frame:
    """The median skin, symmetric, upright as the skins are on average, moved to the tip of its nose."""
    upright = np.eye(4)
    left, _, right = np.linalg.svd(np.mean([affine[:3, :3] for affine in to_frame], axis=0))
    upright[:3, :3] = (left @ right).T
    for _ in range(2):
        mean = _median([splat(points, upright @ affine) for points, affine in zip(skins, to_frame, strict=True)])
        x, z = pixel_places()
        row, column = np.unravel_index(np.nanargmax(np.where(np.abs(x) < 25, mean, np.nan)), mean.shape)
        upright[:3, 3] -= [x[column], mean[row, column], z[row]]
    return Frame(_median([mean, mean[:, ::-1]]))


def _median(reliefs: Sequence[Relief]) -> Relief:
    """Pixel by pixel, where at least half of them have one."""
    stack = np.stack(reliefs)
    known = np.isfinite(stack).sum(axis=0) * 2 >= len(stack)
    median = np.full(stack.shape[1:], np.nan, np.float32)
    median[known] = np.nanmedian(stack[:, known], axis=0)
    return median


def splat(points: Points, to_frame: Affine) -> Relief:
    """Points of a skin on the grid, spread over `SPREAD_MM`; for means, not for comparing people."""
    from scipy import ndimage

    x, y, z = (points @ to_frame[:3, :3].T + to_frame[:3, 3]).T
    row, column = (
        np.round(ROWS / 2 - 0.5 - z / PIXEL_MM).astype(int),
        np.round(COLUMNS / 2 - 0.5 - x / PIXEL_MM).astype(int),
    )
    inside = (row >= 0) & (row < ROWS) & (column >= 0) & (column < COLUMNS) & (y > -BEHIND_MM) & (y < BEFORE_MM)
    total, count = np.zeros((2, ROWS, COLUMNS))
    np.add.at(total, (row[inside], column[inside]), y[inside])
    np.add.at(count, (row[inside], column[inside]), 1)
    total, count = (ndimage.gaussian_filter(values, SPREAD_MM / PIXEL_MM) for values in (total, count))
    known = count > 0.05
    relief = np.full((ROWS, COLUMNS), np.nan, np.float32)
    relief[known] = total[known] / count[known]
    return relief
