"""Spine, cord, airway and muscles of the neck."""

from __future__ import annotations

import numpy as np

from refbench.datasets.phantom_shapes import Canvas
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
    """Thin seams of fat between layers of muscle that wind round the spine."""
    part = at.crop((-80, -95, -180), (80, 80, -46))
    if part is None:
        return
    around = np.sqrt(part.x * part.x + (part.y + 14) ** 2)
    winding = np.sin(part.x / 9) * np.sin(part.y / 8 + part.z / 45)
    seam = np.abs(np.sin(around / 4.2 + winding)) * np.float32(4.2) - np.float32(0.35)
    bed = np.float32(4.2) - part.image * np.float32(5 / contrast.muscle)  # only where there is muscle
    part.paint(np.maximum(seam, bed), 0.55 * contrast.muscle + 0.45 * contrast.fat)
    for sign in (-1.0, 1.0):  # blood flows in bright
        part.rod((sign * 30, -4, -62), (sign * 23, 6, -180), 2.6, 1.15 * contrast.white)
