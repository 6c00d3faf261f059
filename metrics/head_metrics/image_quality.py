"""How good an image is, after MRIQC's definitions: EFC, FBER, CNR, CJV and SNR.

MRIQC (Esteban et al., PLoS ONE 12, 2017; `mriqc/qc/anatomical.py` of version 24) defines them so, and so are they here,
with this package's own masks of head, brain and tissues. Blocks of zeros, which a scanner, a rotation or an anonymizer
wrote, count neither as noise nor as signal (MRIQC's `RotationMask`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.head_metrics.tissue import GREY, WHITE, Tissues
from refbench.types import Mask, Voxels

FEWEST_EMPTY = 500
"""Fewer empty voxels than this are chance."""


@dataclass(frozen=True)
class Quality:
    """Figures of one head; NaN where one is undefined.

    Attributes:
        efc: entropy focus criterion, 0-1, the lower the less ghosting and blur.
        fber: foreground-background energy ratio, the higher the better; NaN without any signal outside the head.
        cnr: contrast-to-noise ratio of white and grey matter, the higher the better.
        cjv: coefficient of joint variation of white and grey matter, the lower the better.
        snr_grey: signal-to-noise ratio within grey matter, the higher the better.
    """

    efc: float
    fber: float
    cnr: float
    cjv: float
    snr_grey: float


def image_quality(voxels: Voxels, head: Mask, hat: Mask, tissues: Tissues) -> Quality:
    """Compute all five.

    Args:
        voxels: float32 (x, y, z), any scale; below 0 counts as 0.
        head: bool of the same shape, the head with all inside it.
        hat: bool of the same shape: where noise of the air is measured for the CNR, away from the face.
        tissues: of the brain, evened.
    """
    image = np.maximum(voxels, 0).astype(np.float64)
    empty = empty_blocks(voxels)
    grey, white = tissues.of(GREY), tissues.of(WHITE)
    noise = image[hat & ~head & ~empty]
    contrast = abs(_median(white) - _median(grey))
    spread = float(np.sqrt(_variance(noise) + _variance(white) + _variance(grey)))
    deviation = float(np.sqrt(_variance(grey) * len(grey) / max(len(grey) - 1, 1)))
    return Quality(
        efc=entropy_focus(image[~empty]),
        fber=_ratio(_median(image[head] ** 2), _median(image[~head & ~empty] ** 2)),
        cnr=_ratio(contrast, spread),
        cjv=_ratio(_absolute_deviation(white) + _absolute_deviation(grey), contrast),
        snr_grey=_ratio(_median(grey), deviation),
    )


def entropy_focus(values: NDArray[np.float64]) -> float:
    """Shannon entropy of intensities (0 and above, any shape), as a share of the largest that so many can have: 0-1.

    Source: Atkinson et al., Automatic correction of motion artifacts in magnetic resonance images using an entropy
    focus criterion, IEEE Trans. Medical Imaging 16, 1997; normalised as in MRIQC.
    """
    from scipy.special import xlogy

    energy = float(np.sqrt((values**2).sum()))
    if energy == 0 or values.size < 2:
        return float("nan")
    share = values / energy
    root = np.sqrt(values.size)
    return float(-xlogy(share, share).sum() / (root * np.log(root)))


def empty_blocks(voxels: Voxels) -> Mask:
    """Voxels of 0 and below in blocks of 3 x 3 x 3 without corners, the volume's outside counted with them."""
    from scipy import ndimage

    zero = np.pad(voxels <= 0, 1, constant_values=True)
    opened = ndimage.binary_opening(zero, structure=ndimage.generate_binary_structure(3, 2))
    empty: Mask = opened[1:-1, 1:-1, 1:-1]
    return empty if np.count_nonzero(empty) >= FEWEST_EMPTY else np.zeros_like(empty)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _variance(values: NDArray[np.float64]) -> float:
    """Of the air 0 where there is none but empty blocks: then it adds no noise."""
    return float(values.var()) if values.size else 0.0


def _absolute_deviation(values: NDArray[np.float64]) -> float:
    """Median distance from the median, scaled to the standard deviation of a Gaussian."""
    from scipy.stats import median_abs_deviation

    return float(median_abs_deviation(values, scale="normal")) if values.size else float("nan")


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")
