"""Spine, cord, airway and muscles of the neck."""

from __future__ import annotations

import numpy as np

from refbench.datasets.phantom_shapes import Canvas, capsule
from refbench.datasets.phantom_tissue import Contrast


def paint_neck(contrast: Contrast, at: Canvas) -> None:
    """Paint what lies below the skull base and behind the mouth."""
    _paint_muscles(contrast, at)
    for level in range(6):
        z = -68.0 - 17.0 * level
        y = -14.0 + 0.5 * level
        at.block((0, y, z), (11.5, 9, 8.0), contrast.bone)
        at.block((0, y, z), (11.5, 9, 8.0), contrast.marrow, shrink=1.3)
        at.block((0, y, z - 8.5), (10.5, 8.5, 2.2), 0.8 * contrast.muscle)
        at.rod((0, y - 36, z), (0, y - 50, z - 9), 3.5, contrast.bone)
        at.rod((0, y - 36, z), (0, y - 50, z - 9), 1.8, contrast.marrow)
    at.rod((0, -34, -60), (0, -36, -180), 8.5, contrast.fluid)
    at.rod((0, -34, -60), (0, -36, -180), 4.8, 0.92 * contrast.white)
    at.rod((0, 20, -48), (0, 12, -84), 6.5, 0.0)
    at.rod((0, 12, -84), (0, 14, -180), 7.5, 0.0)
    at.rod((0, 20, -100), (0, 16, -112), 2.2, 0.8 * contrast.muscle)  # epiglottis


def _paint_muscles(contrast: Contrast, at: Canvas) -> None:
    """Bundles parted by thin seams of fat."""
    box = ((-70.0, -90.0, -180.0), (70.0, 30.0, -48.0))
    part = at.crop(*box)
    if part is None:
        return
    for sign in (-1.0, 1.0):
        for x, y, radius in ((12, -62, 9), (27, -52, 12), (42, -34, 10), (44, -8, 9), (18, -40, 8), (16, 0, 6)):
            seam = capsule(part, (sign * x, y, -56), (sign * x * 0.92, y + 2, -180), radius)
            part.paint(np.abs(seam + 0.2) - np.float32(0.45), 0.6 * contrast.muscle + 0.4 * contrast.fat)
    for sign in (-1.0, 1.0):
        part.rod((sign * 27, 0, -60), (sign * 25, 2, -180), 3.4, 1.2 * contrast.white)  # carotid and jugular inflow
