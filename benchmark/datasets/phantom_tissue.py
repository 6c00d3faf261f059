"""How bright each tissue is at T1 contrast, relative to white matter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contrast:
    """Relative intensities of one scanner, white matter about 1, air 0."""

    white: float
    grey: float
    fluid: float
    fat: float
    skin: float
    muscle: float
    marrow: float
    bone: float
    vitreous: float
