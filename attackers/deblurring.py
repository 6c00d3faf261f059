"""Undo a known Gaussian blur inside a region, given everything outside it exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refbench.attackers.point_spread import PointSpread
from refbench.types import Images, Mask

STEPS = 40
"""Of conjugate gradients."""

SOLVED = 1e-10
"""Squares of the residual, relative to those at the start, from which on there is nothing left to solve."""

LAPLACE = np.array([[[0, 1, 0], [1, -4, 1], [0, 1, 0]]], np.float32)

DARK = np.float32(1e-5)
"""Intensity (0-1) that stands for black, as ratios need it."""


def wiener(released: Images, region: Mask, spread: PointSpread, noise: float) -> Images:
    """Wiener's estimate inside a region, given everything outside.

    The linear estimate of least squared error for a signal whose power falls with the square of the frequency. As the
    blur takes only its share of each pixel, no single filter of frequencies gives it: it solves
    (A'A + noise L) x = A' released for the pixels of the region, where A is the blur and L the negative Laplacian
    within slices, by conjugate gradients (Hestenes & Stiefel 1952).

    Args:
        released: float32 [count, h, w], 0-1.
        region: bool of the same shape.
        spread: the blur.
        noise: power of the noise over that of the signal, at a frequency of 1 radian per pixel.

    Returns:
        float32 of the same shape, 0-1; outside the region as released.
    """
    from scipy import ndimage

    forward, backward = _operators(region, spread)

    def normal(images: Images) -> Images:
        rough = ndimage.correlate(images, LAPLACE, mode="nearest")
        image: Images = region * (backward(forward(images)) - np.float32(noise) * rough)
        return image

    # Unknown is only how far the region lies from what was released.
    found = np.zeros_like(released)
    residual: Images = region * backward(released) - normal(released)
    direction, power = residual, float(np.vdot(residual, residual))
    enough = SOLVED * power
    for _ in range(STEPS):
        if power <= enough:
            break
        image = normal(direction)
        step = np.float32(power / float(np.vdot(direction, image)))
        found = found + step * direction
        residual = residual - step * image
        power, before = float(np.vdot(residual, residual)), power
        direction = residual + np.float32(power / before) * direction
    sharp: Images = np.clip(released + found, 0, 1)
    return sharp


def richardson_lucy(released: Images, region: Mask, spread: PointSpread, iterations: int) -> Images:
    """Richardson and Lucy's iteration for a blur that takes only its share of each pixel.

    Args:
        released: float32 [count, h, w], 0-1.
        region: bool of the same shape.
        spread: the blur.
        iterations: more are sharper, and noisier.

    Returns:
        float32 of the same shape, 0-1; outside the region as released.
    """
    forward, backward = _operators(region, spread)
    whole = np.maximum(backward(np.ones_like(released)), DARK)
    sharp = target = np.maximum(released, DARK)
    for _ in range(iterations):
        ratio = np.asarray(target / np.maximum(forward(sharp), DARK), np.float32)
        sharp = np.where(region, np.clip(sharp * backward(ratio) / whole, DARK, 1), sharp)
    return np.where(region, sharp, released)


def _operators(region: Mask, spread: PointSpread) -> tuple[Callable[[Images], Images], Callable[[Images], Images]]:
    """What blurs a region as the anonymizer did, and its adjoint."""
    share, blur = spread.share(region), spread.blur(region.shape)
    back = blur.transpose

    def forward(images: Images) -> Images:
        return images + share * (blur(images) - images)

    def backward(images: Images) -> Images:
        return (1 - share) * images + back(share * images)

    return forward, backward
