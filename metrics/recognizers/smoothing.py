"""Reliefs without their noise: a Gaussian that looks at skin alone."""

from __future__ import annotations

import numpy as np

from refbench.metrics.recognizers.base import Relief


def smoothed(relief: Relief, deviation: float) -> Relief:
    """Smooth a relief; what is beside the skin has no weight, and stays NaN.

    Args:
        relief: [rows, columns], mm towards the front, NaN where there is no skin.
        deviation: of the Gaussian, in pixels.
    """
    from scipy import ndimage

    skin = np.isfinite(relief)
    weight = ndimage.gaussian_filter(skin.astype(np.float32), deviation)
    total = ndimage.gaussian_filter(np.where(skin, relief, 0).astype(np.float32), deviation)
    result: Relief = np.divide(total, weight, out=np.full(relief.shape, np.nan, np.float32), where=skin)
    return result
