"""Structural similarity of two images over a region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.base import Metric
from refbench.plugin import param
from refbench.types import Images, Region

K1, K2 = 0.01, 0.03
TRUNCATE = 3.5  # the window ends at this many standard deviations: 11 x 11 pixels for the usual 1.5
IMAGES_AT_ONCE = 4  # all float64 copies then stay in the processor's cache
ROWS_AT_ONCE = 32


class SSIM(Metric):
    """Structural similarity (SSIM) of original and candidate, mean over the region, -1 to 1.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13(4), 2004, section III-B: Gaussian window of standard deviation 1.5 pixels
    (11 x 11), K1 = 0.01, K2 = 0.03, population variances, data range 1. This is what MATLAB's `ssim` computes on
    images of 0-1, and so what Abramian & Eklund, "Refacing" (2019) report.

    Only pixels whose whole window lies inside the image (after cropping to the region's box) count, as in
    `skimage.metrics.structural_similarity(gaussian_weights=True, use_sample_covariance=False)`, which this equals.
    """

    sigma: float = param(1.5, "standard deviation of the Gaussian window", unit="pixels", gt=0, le=10)
    data_range: float = param(1.0, "difference between the largest and the smallest possible intensity", gt=0)

    def score(self, reference: Images, candidate: Images, region: Region) -> NDArray[np.float64]:
        """Average the SSIM map over the pixels of the mask; computed in float64.

        Args:
            reference: originals, float32 [n, h, w], 0-1.
            candidate: anonymized or reconstructed images, the same shape.
            region: where to look; its mask has the same shape. Images are cropped to its box before windows are laid.

        Returns:
            float64 [n], -1 to 1; NaN where no pixel of the mask is a window's radius or more from the edge of the box.
        """
        crop = (slice(None), *region.box)
        x, y, mask = reference[crop], candidate[crop], region.mask[crop]
        window = gaussian_window(self.sigma)
        margin = (window.shape[1] - window.shape[0]) // 2
        mask = mask[:, margin : mask.shape[1] - margin, margin : mask.shape[2] - margin]
        scores = np.full(len(x), np.nan)
        if 0 in mask.shape:
            return scores
        for start in range(0, len(x), IMAGES_AT_ONCE):
            block = slice(start, start + IMAGES_AT_ONCE)
            originals, candidates = x[block].astype(np.float64), y[block].astype(np.float64)
            similarity = similarity_map(originals, candidates, window, self.data_range)
            total = similarity.sum(axis=(1, 2), where=mask[block])
            count = mask[block].sum(axis=(1, 2))
            np.divide(total, count, out=scores[block], where=count > 0)
        return scores


def gaussian_window(sigma: float) -> NDArray[np.float64]:
    """The window along one axis, laid on every row of a band of ROWS_AT_ONCE rows.

    Returns:
        float64 [rows, rows + 2 r], r the window's radius: times a band of rows and its neighbours within r, this gives
        the band's weighted means. Each row sums to 1.
    """
    radius = int(TRUNCATE * sigma + 0.5)
    offset = np.arange(ROWS_AT_ONCE + 2 * radius) - radius - np.arange(ROWS_AT_ONCE)[:, None]
    weights = np.where(np.abs(offset) <= radius, np.exp(-0.5 * (offset / sigma) ** 2), 0.0)
    normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def similarity_map(
    x: NDArray[np.float64], y: NDArray[np.float64], window: NDArray[np.float64], data_range: float
) -> NDArray[np.float64]:
    """SSIM of every pixel whose window lies inside the image: float64 [n, h - 2 r, w - 2 r], r the window's radius."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    x_mean, y_mean = _windowed(x, window), _windowed(y, window)
    product_of_means = x_mean * y_mean
    squares_of_means = x_mean**2 + y_mean**2
    covariance = _windowed(x * y, window) - product_of_means
    sum_of_variances = _windowed(x**2 + y**2, window) - squares_of_means  # the formula needs no more than their sum
    numerator = (2 * product_of_means + c1) * (2 * covariance + c2)
    return numerator / ((squares_of_means + c1) * (sum_of_variances + c2))


def _windowed(images: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean under the window around every pixel whose window lies inside the image."""
    along_rows = _windowed_rows(images, window)
    return _windowed_rows(along_rows.swapaxes(1, 2), window).swapaxes(1, 2)


def _windowed_rows(images: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slide the window down the rows, as one matrix product per band of rows: thrice the speed of a filter."""
    reach = window.shape[1] - window.shape[0]
    rows = images.shape[1] - reach
    result = np.empty((len(images), rows, images.shape[2]))
    for start in range(0, rows, ROWS_AT_ONCE):
        height = min(ROWS_AT_ONCE, rows - start)
        weights = window[:height, : height + reach]
        np.matmul(weights, images[:, start : start + height + reach], out=result[:, start : start + height])
    return result
