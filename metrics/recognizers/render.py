"""A face as one would see it: a shaded picture of its relief, before black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

LIGHT = (0.73, 0.55, 0.40)
"""Where the light stands, seen from the face: towards the camera, up, and to the person's right."""

AMBIENT = 0.12


def shaded(relief: NDArray[np.floating], pixel_mm: float = 1.0) -> Picture:
    """Draw a relief, lit from above to the left of the camera, as matt skin is (Lambert's cosine).

    The picture knows the relief and nothing else: what lies under the skin cannot be seen in it.

    Args:
        relief: [rows, columns], mm towards the camera, row 0 at the top, column 0 at the person's right; NaN where
            there is no skin.
        pixel_mm: edge length of a pixel.

    Returns:
        float32 [rows, columns], 0-1, with 0 where there is no skin.
    """
    from scipy import ndimage

    skin = np.isfinite(relief)
    if not skin.any():
        return np.zeros(relief.shape, np.float32)
    # Beside the skin it goes on level, so that its rim has a slope.
    nearest = ndimage.distance_transform_edt(~skin, return_distances=False, return_indices=True)
    down, right = np.gradient(relief[tuple(nearest)].astype(np.float32), pixel_mm)
    towards, up, left = np.array(LIGHT, np.float32) / np.linalg.norm(LIGHT).astype(np.float32)
    facing = (towards + up * down + left * right) / np.sqrt(1 + down**2 + right**2)
    picture: Picture = np.where(skin, AMBIENT + (1 - AMBIENT) * np.clip(facing, 0, 1), 0).astype(np.float32)
    return picture
