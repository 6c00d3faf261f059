"""Reliefs made comparable: smoothed, of every second pixel, of the face alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.recognizers.base import Relief
from refbench.metrics.recognizers.frame import pixel_places
from refbench.metrics.recognizers.grid import COLUMNS, PIXEL_MM, ROWS
from refbench.metrics.recognizers.smoothing import smoothed

Depths = NDArray[np.float64]

STEP = 2
"""Every second pixel: what people differ by is wider."""

SMOOTHING_MM = 1.5
ABOVE_MM, BELOW_MM, BESIDE_MM = 75.0, 65.0, 55.0
"""How far above, below and beside the tip of the mean nose faces are compared: hair, ears and necks change."""

TURN_MM = 50.0
"""Turns are given in mm at this distance from the tip of the nose, so that all motions are of one size."""

_ROWS = slice(int(ROWS / 2 - ABOVE_MM / PIXEL_MM), int(ROWS / 2 + BELOW_MM / PIXEL_MM), STEP)
_COLUMNS = slice(int(COLUMNS / 2 - BESIDE_MM / PIXEL_MM), int(COLUMNS / 2 + BESIDE_MM / PIXEL_MM), STEP)
_SHAPE = (len(range(*_ROWS.indices(ROWS))), len(range(*_COLUMNS.indices(COLUMNS))))

FACE_PIXELS = _SHAPE[0] * _SHAPE[1]
"""How many depths of a face are compared."""


def face_depths(relief: Relief) -> Depths:
    """The smoothed depths of faces: float64 [n, FACE_PIXELS], mm; NaN where most of the surroundings have none."""
    return _smooth(relief)[:, _ROWS, _COLUMNS].reshape(len(relief), FACE_PIXELS)


def small_motions(relief: Relief) -> NDArray[np.float64]:
    """How the depths of faces change as they move a little: float64 [n, FACE_PIXELS, 6].

    By a mm to the front, to the right and up, and by 1 mm in `TURN_MM` around each axis. NaN beside the face.
    """
    depth = _smooth(relief)
    up, right = (-np.gradient(depth, PIXEL_MM, axis=axis) for axis in (1, 2))
    across, upwards = pixel_places()
    x, y, z = across / TURN_MM, depth / TURN_MM, upwards[:, None] / TURN_MM
    # A turn moves a point by axis x (x, y, z). A ray from the front then sees what its depth grows by, less the slopes
    # times what the point moves sideways and upwards.
    motions = np.stack(
        [np.ones_like(depth), -right, -up, -z - up * y, up * x - right * z, x + right * y], axis=-1, dtype=np.float64
    )
    chosen: NDArray[np.float64] = motions[:, _ROWS, _COLUMNS].reshape(len(relief), FACE_PIXELS, 6)
    return chosen


def _smooth(relief: Relief) -> Depths:
    return smoothed(relief, SMOOTHING_MM / PIXEL_MM, least=0.5)
