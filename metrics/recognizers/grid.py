"""The grid that every face is laid on: a plane of pixels before the mean face, upright and 1 mm wide."""

from __future__ import annotations

PIXEL_MM = 1.0
ROWS, COLUMNS = 180, 140
"""Height and width in pixels; the tip of the mean nose lies in the middle of both."""

BEHIND_MM, BEFORE_MM = 140.0, 40.0
"""How far behind and before the tip of the mean nose skin is looked for. Relief is mm from the tip, to the front."""
