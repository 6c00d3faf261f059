"""Draws curves over training steps as a self-contained SVG: a panel for each anonymizer, one legend for all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe & Ito, "Color universal design" (2008), without the yellow, which is too pale for lines on white."""

DASHES = ("", "7 3", "2 3", "9 3 2 3")
"""Where there are more lines than colours, the colours come again in other dashes."""

COLUMNS = 2
WIDTH, HEIGHT = 470, 270
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 34, 46
"""A panel, and its margins around the axes, in pixels."""

_MARGIN, _LINE, _TITLE, _TEXT = 16, 20, 16, 12
_CHARACTER = 6.6
"""Pixels that a character of the legend takes at most on average."""


@dataclass(frozen=True)
class Line:
    """One curve. `points`: (step, score) in order; `best`: the step that is marked, if any."""

    name: str
    points: tuple[tuple[int, float], ...]
    best: int | None


@dataclass(frozen=True)
class Axis:
    """Values along one side of a panel: `low` lies at the pixel `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Three to seven round values in the axis, with what is written beside them."""
        step = _round_step((self.high - self.low) / 6)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(number * step, f"{number * step:.{digits}f}") for number in range(first, last + 1)]


def draw_chart(title: str, score: str, panels: Mapping[str, Sequence[Line]]) -> str:
    """An SVG document.

    Args:
        title: stands on top.
        score: what the vertical axes show.
        panels: anonymizer to its curves; a curve of the same name looks the same in every panel.
    """
    names = list(dict.fromkeys(line.name for lines in panels.values() for line in lines))
    numbers = {name: number for number, name in enumerate(names)}
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    top = _MARGIN + _TITLE + _LINE
    legend = top + rows * HEIGHT + _LINE
    width = 2 * _MARGIN + columns * WIDTH
    height = legend + (len(names) + 1) * _LINE + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="{_TEXT}" fill="#222">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(_MARGIN, _MARGIN + _TITLE, title, f' font-size="{_TITLE}" font-weight="bold"'),
    ]
    for number, (anonymizer, lines) in enumerate(panels.items()):
        x, y = _MARGIN + number % columns * WIDTH, top + number // columns * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">')
        parts += _panel(anonymizer, score, lines, numbers)
        parts.append("</g>")
    for number, name in enumerate(names):
        y = legend + number * _LINE
        parts.append(f'<path d="M{_MARGIN} {y - 4}h28" {_stroke(number)}/>')
        parts.append(_text(_MARGIN + 36, y, _cut(name, width - 2 * _MARGIN - 36)))
    parts.append(_marker(_MARGIN + 14, legend + len(names) * _LINE - 4, "#222"))
    parts.append(_text(_MARGIN + 36, legend + len(names) * _LINE, "the step whose network was kept"))
    return "\n".join([*parts, "</svg>\n"])


def _panel(anonymizer: str, score: str, lines: Sequence[Line], numbers: Mapping[str, int]) -> Iterator[str]:
    """One pair of axes with its curves, in the panel's own coordinates."""
    across, down = WIDTH - RIGHT, HEIGHT - BOTTOM
    scores = [value for line in lines for _, value in line.points]
    low, high = _padded(min(scores, default=0.0), max(scores, default=1.0))
    x = Axis(0, max((step for line in lines for step, _ in line.points), default=1) or 1, LEFT, across)
    y = Axis(low, high, down, TOP)
    yield _text(LEFT, TOP - 12, _cut(anonymizer, across - LEFT), ' font-weight="bold"')
    for value, label in y.ticks():
        at = y.at(value)
        yield f'<path d="M{LEFT} {at:.1f}H{across}" stroke="#e2e2e2"/>'
        yield _text(LEFT - 6, at + 4, label, ' text-anchor="end"')
    for value, label in x.ticks():
        at = x.at(value)
        yield f'<path d="M{at:.1f} {down}v4" stroke="#222"/>'
        yield _text(at, down + 17, label, ' text-anchor="middle"')
    yield f'<path d="M{LEFT} {TOP}V{down}H{across}" fill="none" stroke="#222"/>'
    yield _text((LEFT + across) / 2, down + 36, "training step", ' text-anchor="middle"')
    middle = (TOP + down) / 2
    yield _text(14, middle, score, f' text-anchor="middle" transform="rotate(-90 14 {middle})"')
    for line in lines:
        if line.points:
            yield _curve(line, x, y, numbers[line.name])


def _curve(line: Line, x: Axis, y: Axis, number: int) -> str:
    """A curve with its name and best score for the mouse; a single point is a dot, by the line's round end."""
    places = [f"{x.at(step):.1f} {y.at(value):.1f}" for step, value in line.points]
    best = dict(line.points).get(-1 if line.best is None else line.best)
    said, mark = line.name, ""
    if line.best is not None and best is not None:
        said = f"{line.name}: {best:.4f} at step {line.best}"
        mark = _marker(x.at(line.best), y.at(best), _colour(number))
    return f'<g><title>{escape(said)}</title><path d="M{"L".join(places)}h0" {_stroke(number)}/>{mark}</g>'


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _stroke(number: int) -> str:
    """How the curve of this number is drawn."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    ends = 'stroke-linecap="round" stroke-linejoin="round"'
    return f'fill="none" stroke="{_colour(number)}" stroke-width="2" {ends}{dashed}'


def _marker(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="#fff" stroke="{colour}" stroke-width="2"/>'


def _text(x: float, y: float, text: str, look: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{look}>{escape(text)}</text>'


def _cut(text: str, width: float) -> str:
    """What fits into so many pixels."""
    most = int(width / _CHARACTER)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _padded(low: float, high: float) -> tuple[float, float]:
    """Bounds of an axis with a little air; a flat curve lies in its middle."""
    air = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return low - air, high + air


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is no less."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
