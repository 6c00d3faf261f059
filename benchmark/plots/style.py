"""How the figures look, and how they reach the disk: the same run gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refbench.store import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe & Ito, "Color universal design" (2008), without the yellow, which is too pale for lines on white."""

RELEASED, RECONSTRUCTED = "#e69f00", "#0072b2"
"""One light and one dark of these, so that they also differ in grey."""

MARKERS, DASHES = "osD^vPX", ("-", "--", "-.", ":")


@contextmanager
def style() -> Iterator[None]:
    """Around drawing and saving: fonts, and a fixed salt for the names inside an SVG."""
    import matplotlib

    settings: Any = {
        "svg.hashsalt": "refbench",
        "svg.fonttype": "none",
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.titlesize": 10,
        "text.parse_math": False,  # a dollar in a name is a dollar
        "legend.frameon": False,
    }
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure, inches, that needs no screen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.suptitle(title)
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.png and NAME.svg."""
    files = []
    for ending in ("png", "svg"):
        files.append(folder / f"{name}.{ending}")
        write_atomically(files[-1], to_bytes(figure, ending))
    return files


def to_bytes(figure: Figure, ending: str) -> bytes:
    """A figure as a file of this kind, without dates: within `style`, the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format=ending, dpi=150, metadata={"Date": None} if ending == "svg" else {"Software": None})
    return stream.getvalue()


def short_names(labels: Sequence[str], most: int = 60) -> dict[str, str]:
    """Labels without what all of the same plug-in share: `gan(steps=5, share=0.5)` becomes `gan(share=0.5)`."""
    split = {label: _parts(label) for label in labels}
    short = {}
    for label, (name, arguments) in split.items():
        others = [set(other) for kind, other in split.values() if kind == name]
        own = [argument for argument in arguments if not all(argument in other for other in others)]
        text = f"{name}({', '.join(own)})" if own else name
        short[label] = text if len(text) <= most else f"{text[: most - 3]}..."
    return short if len(set(short.values())) == len(short) else {label: label for label in labels}


def _parts(label: str) -> tuple[str, list[str]]:
    name, _, rest = label.partition("(")
    arguments: list[str] = []
    for piece in rest.removesuffix(")").split(", ") if rest else ():
        if "=" in piece or not arguments:
            arguments.append(piece)
        else:  # the rest of a list
            arguments[-1] += f", {piece}"
    return name, arguments
