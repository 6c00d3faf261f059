"""What can be seen of a face from the front: how far its skin stands out, pixel by pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.metrics.recognizers.base import Relief
from refbench.metrics.recognizers.frame import Frame, pixel_places, place_skin
from refbench.metrics.recognizers.grid import BEFORE_MM, BEHIND_MM, COLUMNS, ROWS
from refbench.metrics.recognizers.skin import FrontSkin, find_skin
from refbench.types import Affine, Head

STEP_MM, FINE_STEP_MM = 4.0, 0.5
"""Skin is looked for at these distances along a ray; between them it is interpolated."""


def face_of(head: Head, frame: Frame) -> Relief:
    """The face of a head, in the frame of the mean face.

    Args:
        head: any head: an original, a release, what an attacker made of it.
        frame: the mean face of training people.

    Returns:
        float32 [rows, columns], mm before the tip of the mean nose, of the first skin that a ray from the front meets;
        NaN where there is none, or the volume begins within the head. NaN throughout where no face can be placed.
    """
    try:
        skin = find_skin(head)
    except DataError:
        return np.full((ROWS, COLUMNS), np.nan, np.float32)
    to_frame = place_skin(skin, frame)
    return np.full((ROWS, COLUMNS), np.nan, np.float32) if to_frame is None else relief_of(skin, to_frame)


def relief_of(skin: FrontSkin, to_frame: Affine) -> Relief:
    """The relief of a skin that has been placed already."""
    from scipy import ndimage

    to_voxels = np.linalg.inv(to_frame @ skin.affine)
    x, z = pixel_places()
    count = round((BEFORE_MM + BEHIND_MM) / STEP_MM)
    # From depth, row and column of the samples to mm of the frame; the rest of the way is the head's own.
    to_mm = np.array([[0, 0, x[1] - x[0], x[0]], [-STEP_MM, 0, 0, BEFORE_MM], [0, z[1] - z[0], 0, z[0]], [0, 0, 0, 1]])
    sampling = to_voxels @ to_mm
    shape = (count, ROWS, COLUMNS)
    rays = ndimage.affine_transform(skin.field, sampling[:3, :3], sampling[:3, 3], shape, order=1)
    solid = rays >= 1
    first = solid.argmax(axis=0)
    row, column = np.nonzero(solid.any(axis=0) & (first > 0))
    start = BEFORE_MM - STEP_MM * (first[row, column] - 1)
    fine = start - np.arange(0, STEP_MM + FINE_STEP_MM / 2, FINE_STEP_MM)[:, None]
    places = np.stack([np.broadcast_to(x[column], fine.shape), fine, np.broadcast_to(z[row], fine.shape)])
    voxels = np.einsum("ij,jkn->ikn", to_voxels[:3, :3], places) + to_voxels[:3, 3, None, None]
    values = ndimage.map_coordinates(skin.field, voxels, order=1)
    depth = _crossing(values, start)
    at = to_voxels[:3, :3] @ np.stack([x[column], depth, z[row]]) + to_voxels[:3, 3:]
    inside = ((at > 1) & (at < np.array(skin.field.shape)[:, None] - 2)).all(axis=0)
    relief = np.full((ROWS, COLUMNS), np.nan, np.float32)
    relief[row[inside], column[inside]] = depth[inside]
    return relief


def _crossing(values: NDArray[np.float32], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the first of the values [k, n], `FINE_STEP_MM` apart, reaches 1; float64 [n], mm to the front."""
    solid = values >= 1
    solid[-1] = True
    first = np.maximum(solid.argmax(axis=0), 1)
    rays = np.arange(values.shape[1])
    outer, inner = values[first - 1, rays].astype(np.float64), values[first, rays].astype(np.float64)
    share = np.clip((1 - outer) / np.maximum(inner - outer, 1e-6), 0, 1)
    depth: NDArray[np.float64] = start - FINE_STEP_MM * (first - 1 + share)
    return depth
