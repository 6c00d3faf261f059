"""Reliefs without their noise: a Gaussian that looks at skin alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.recognizers.base import Relief


def smoothed(relief: Relief, deviation: float, least: float = 0.0) -> NDArray[np.float64]:
    """Smooth one relief or several; what is beside the skin has no weight, and stays NaN.

    Args:
        relief: [..., rows, columns], mm towards the front, NaN where there is no skin.
        deviation: of the Gaussian, in pixels.
        least: where no more than this share of the surroundings, 0-1, is skin, NaN is given.
    """
    from scipy import ndimage

    skin = np.isfinite(relief)
    sigma = (*(0.0 for _ in relief.shape[:-2]), deviation, deviation)
    weight = ndimage.gaussian_filter(skin.astype(np.float64), sigma)
    total = ndimage.gaussian_filter(np.where(skin, relief, 0).astype(np.float64), sigma)
    result = np.full(relief.shape, np.nan)
    np.divide(total, weight, out=result, where=skin & (weight > least))
    return result
