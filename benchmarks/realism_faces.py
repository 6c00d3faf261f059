"""Whether a detector made for photographs sees a face in the picture of a head."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from refbench.geometry import skin_threshold
from refbench.surface_view import shaded
from refbench.types import Head, Voxels

VIEWS = ((0, 0), (-10, 0), (10, 0), (0, -10), (0, 10))
"""Degrees by which the head is tilted and turned, in the order in which they are tried."""

GRID_MM = 2.0
"""All heads are brought to one grid, so that none gains by its voxels."""

PIXEL_MM, MARGIN_PIXELS = 0.5, 60
DETECTOR = "mmod_human_face_detector.dat"


def face_confidence(head: Head) -> list[float | None]:
    """The detector's confidence in the best face of each view, tried until one is seen; None where it sees none."""
    found: list[float | None] = []
    for tilt, turn in VIEWS:
        faces = _detector()(np.repeat(picture(head, tilt, turn)[..., None], 3, axis=2), 0)
        found.append(max((float(face.confidence) for face in faces), default=None))
        if found[-1] is not None:
            break
    return found


def picture(head: Head, tilt: float, turn: float) -> NDArray[np.uint8]:
    """The head from the front, lit from above, before black."""
    image = shaded(on_grid(head, tilt, turn), (GRID_MM,) * 3, "front", skin_threshold(head.voxels), PIXEL_MM)
    return np.round(np.pad(image, MARGIN_PIXELS) * 255).astype(np.uint8)


def on_grid(head: Head, tilt: float = 0.0, turn: float = 0.0) -> Voxels:
    """The volume on a grid of `GRID_MM` of the same extent, tilted about x and turned about z (degrees); cubic."""
    (sine_x, sine_z), (cosine_x, cosine_z) = (f(np.deg2rad([tilt, turn])) for f in (np.sin, np.cos))
    tilted = np.array([[1, 0, 0], [0, cosine_x, -sine_x], [0, sine_x, cosine_x]])
    turned = np.array([[cosine_z, -sine_z, 0], [sine_z, cosine_z, 0], [0, 0, 1]])
    shape = np.array(head.voxels.shape)
    size = np.ceil(shape * head.voxel_mm / GRID_MM).astype(int)
    back = tilted @ turned * GRID_MM / head.voxel_mm[:, None]
    start = (shape - 1) / 2 - back @ ((size - 1) / 2)
    moved: Voxels = affine_transform(head.voxels, back, start, tuple(size), order=3)
    return moved


@cache
def _detector() -> Any:
    """The CNN detector of dlib. Of the package with its weights only the folder is used: it imports pkg_resources."""
    package = find_spec("face_recognition_models")
    if package is None or package.origin is None or find_spec("dlib") is None:
        sys.exit("dlib and face_recognition_models are missing: pip install 'refbench[faces]'")
    import dlib

    return dlib.cnn_face_detection_model_v1(str(Path(package.origin).parent / "models" / DETECTOR))
