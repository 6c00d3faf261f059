"""Images of a run inside its page: the best, the median and the worst person, never hand-picked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from refbench.plots.pictures import ROWS, Album, Scan, ranked_scans
from refbench.plots.renders import rendered
from refbench.plots.series import Attack
from refbench.report.page import data_url
from refbench.types import Images

SMALLEST = 128
"""Pixels of the longer side; smaller slices are enlarged, each pixel as it is."""

DIFFERENCE_WHITE = 0.25
"""The difference of grey values that is drawn white, where a slice reaches from 0 to 1."""


@dataclass(frozen=True)
class Picture:
    """One slice: `name` says what of; `url` holds it."""

    name: str
    url: str


@dataclass(frozen=True)
class Strip:
    """The middle slice of one person: original, released, reconstructed, and the difference of the last from the first.

    Attributes:
        metric, rank: the person is the best, median or worst reconstructed by this metric. score: theirs.
    """

    metric: str
    rank: str
    scan: Scan
    pictures: tuple[Picture, ...]


def strips(album: Album, attack: Attack, region: str, metrics: Sequence[str]) -> list[Strip]:
    """For every metric the best, median and worst person, as far as the store still holds their images."""
    found = []
    for metric in metrics:
        scans = album.scans(attack, region, metric)
        for rank, scan in ranked_scans(scans).items() if scans else ():
            images = album.images(attack, scan)
            if images is not None:
                found.append(Strip(metric, rank, scan, _pictures(images)))
    return found


def renders(album: Album, attack: Attack, region: str, metric: str) -> tuple[Picture, ...]:
    """The median person's head in its three states, from the front and from the side, if the store still holds it."""
    middle = ranked_scans(album.scans(attack, region, metric))["median"]
    return tuple(Picture(f"{state}, {view}", _webp(image)) for view, state, image in rendered(album, attack, middle))


def _pictures(images: dict[str, Images]) -> tuple[Picture, ...]:
    middle = len(images["original"]) // 2
    shown = {name: images[name][middle] for name in ROWS}
    difference = np.abs(shown["reconstructed"] - shown["original"]) / DIFFERENCE_WHITE
    return tuple(Picture(name, _webp(image)) for name, image in {**shown, "difference": difference}.items())


def _webp(image: Images) -> str:
    """A slice [h, w] of 0-1 as a data URL."""
    grey = Image.fromarray((np.clip(image, 0, 1) * 255).round().astype(np.uint8))
    times = -(-SMALLEST // max(grey.size))
    if times > 1:
        grey = grey.resize((grey.width * times, grey.height * times), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    grey.save(stream, "WEBP", quality=80, method=4)
    return data_url("image/webp", stream.getvalue())
