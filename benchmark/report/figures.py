"""Figures of a run inside its page: drawn as SVG, or as a picture where the drawing would be too large."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from refbench.curves import training_curves
from refbench.leaderboard import View
from refbench.plots.curves import draw_curves
from refbench.plots.figures import score_drawings
from refbench.plots.style import style, to_bytes
from refbench.report.page import data_url
from refbench.results import Run
from refbench.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_SVG = 120_000
"""Bytes; the traces of many people are larger, and are drawn as pixels instead."""

TITLES = {
    "traces": "Every test image",
    "sites": "What attacks gain, by site",
    "dose": "Dose and response",
    "enough": "How much is enough",
    "utility": "Privacy and utility",
    "identification": "Who is recognised",
    "cost": "Privacy and its cost",
    "learning": "Learning curves",
    "recovery": "What attackers learn with more",
    "validation": "Validation of the trainings",
}


@dataclass(frozen=True)
class PageFigure:
    """A figure: `name` as the command `plot` calls its file; one of `svg` and `picture` (a data URL) is empty."""

    name: str
    svg: Markup
    picture: str

    @property
    def title(self) -> str:
        """For its heading, and for screen readers."""
        return TITLES[self.name.partition("_")[0]]


def page_figures(run: Run, store: Store | None, view: View) -> list[PageFigure]:
    """All figures that show no images, in the order of the command `plot`."""
    found = []
    with style():
        for drawing in score_drawings(run, view.region, view, []):
            if (figure := drawing.draw()) is not None:
                found.append(_embedded(drawing.name, figure))
        curves = [curve for curve in training_curves(run, store) if curve.points] if store else []
        if curves:
            found.append(_embedded("validation", draw_curves(run.folder.name, curves)))
    return found


def _embedded(name: str, figure: Figure) -> PageFigure:
    svg = to_bytes(figure, "svg")
    if len(svg) <= LARGEST_SVG:
        return PageFigure(name, inline_svg(svg.decode(), name), "")
    from PIL import Image

    stream = io.BytesIO()
    Image.open(io.BytesIO(to_bytes(figure, "png"))).convert("RGB").save(stream, "WEBP", quality=60, method=4)
    return PageFigure(name, Markup(""), data_url("image/webp", stream.getvalue()))


def inline_svg(text: str, name: str) -> Markup:
    """An SVG file of matplotlib as part of a page: without its own head, its ids told from those of other figures.

    What matplotlib writes is escaped by it, so the result is `Markup`.
    """
    drawn = text[text.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    prefix = re.sub(r"[^a-zA-Z0-9_-]", "-", name)
    drawn = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', drawn)
    drawn = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', drawn)
    drawn = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", drawn)
    return Markup(drawn)
