"""Intervals as small drawings: where the mean lies, how sure it is, and where the release was before the attack."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT, MARGIN = 100, 16, 5


@dataclass(frozen=True)
class Scale:
    """What the left and the right end of every bar of a column stand for."""

    low: float
    high: float

    @classmethod
    def around(cls, values: list[float]) -> Scale:
        """The tenths around all that is drawn."""
        defined = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = math.floor(min(defined) * 10) / 10, math.ceil(max(defined) * 10) / 10
        return cls(low, high if high > low else low + 0.1)

    def at(self, value: float) -> float:
        """Pixels from the left."""
        return round(MARGIN + (value - self.low) / (self.high - self.low) * (WIDTH - 2 * MARGIN), 1)


def interval_bar(scale: Scale, value: float, low: float, high: float, before: float = math.nan) -> Markup:
    """A dot for the mean on a line for its interval, and a tick for the value before; empty where it is undefined.

    Hidden from screen readers: the figures stand beside it.
    """
    if not math.isfinite(value):
        return Markup("")
    middle = HEIGHT // 2
    parts = [f'<line class="axis" x1="0" x2="{WIDTH}" y1="{middle}" y2="{middle}"/>']
    if math.isfinite(before):
        place = scale.at(before)
        parts.append(f'<line class="gain" x1="{place}" x2="{scale.at(value)}" y1="{middle}" y2="{middle}"/>')
        parts.append(f'<line class="released" x1="{place}" x2="{place}" y1="2" y2="{HEIGHT - 2}"/>')
    if math.isfinite(low) and math.isfinite(high):
        width = max(1.0, round(scale.at(high) - scale.at(low), 1))
        parts.append(f'<rect class="interval" x="{scale.at(low)}" width="{width}" y="{middle - 3}" height="6" rx="2"/>')
    parts.append(f'<circle cx="{scale.at(value)}" cy="{middle}" r="3"/>')
    inside = "".join(parts)
    # Every number in it was made here.
    return Markup(
        f'<svg class="bar" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
        f"{inside}</svg>"
    )
