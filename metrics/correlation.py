"""Pearson correlation of two images over a region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.base import Metric
from refbench.types import Images, Mask, Region

IMAGES_AT_ONCE = 32  # float64 copies of this many images are held at a time, never of the whole cohort


class Correlation(Metric):
    """Pearson correlation of original and candidate over the pixels of the region, -1 to 1.

    Indifferent to brightness and contrast of either image. One of the two scores of Abramian & Eklund, "Refacing:
    reconstructing anonymized facial features using GANs" (2019), who take it over the front half of the image.
    """

    def score(self, reference: Images, candidate: Images, region: Region) -> NDArray[np.float64]:
        """Correlate in float64 over the pixels of the mask inside the box.

        Args:
            reference: originals, float32 [n, h, w], 0-1.
            candidate: anonymized or reconstructed images, the same shape.
            region: where to look; its mask has the same shape.

        Returns:
            float64 [n], -1 to 1; NaN where the region has fewer than two pixels or either image is constant in it.
        """
        crop = (slice(None), *region.box)
        x, y, mask = reference[crop], candidate[crop], region.mask[crop]
        scores = np.empty(len(x))
        for start in range(0, len(x), IMAGES_AT_ONCE):
            block = slice(start, start + IMAGES_AT_ONCE)
            scores[block] = _correlate(x[block], y[block], mask[block])
        return scores


def _correlate(x: Images, y: Images, mask: Mask) -> NDArray[np.float64]:
    x_deviation, y_deviation = _deviations(x, mask), _deviations(y, mask)
    covariance = np.einsum("nhw,nhw->n", x_deviation, y_deviation)
    x_norm, y_norm = (np.sqrt(np.einsum("nhw,nhw->n", d, d)) for d in (x_deviation, y_deviation))
    defined = _varies(x, mask) & _varies(y, mask)
    scores = np.full(len(x), np.nan)
    np.divide(covariance, x_norm * y_norm, out=scores, where=defined)
    return np.clip(scores, -1.0, 1.0, out=scores)


def _deviations(images: Images, mask: Mask) -> NDArray[np.float64]:
    """Differences from the mean over the mask; 0 outside it."""
    count = np.maximum(mask.sum(axis=(1, 2)), 1)
    inside = np.where(mask, images, 0.0).astype(np.float64, copy=False)
    mean = inside.sum(axis=(1, 2)) / count
    return np.where(mask, inside - mean[:, None, None], 0.0)


def _varies(images: Images, mask: Mask) -> NDArray[np.bool_]:
    """Whether the mask holds two different values: rounding of the mean must not make a constant look like noise."""
    lowest = np.min(images, axis=(1, 2), where=mask, initial=np.inf)
    highest = np.max(images, axis=(1, 2), where=mask, initial=-np.inf)
    varies: NDArray[np.bool_] = lowest < highest
    return varies
