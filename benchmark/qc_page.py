"""Draws a page of quality control: a row of pictures per head, before and after, with a caption."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from refbench.geometry import air_level, head_mask, mid_sagittal, skin_threshold
from refbench.surface_view import shaded
from refbench.types import Head, Mask, Voxels

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

COLUMNS = ("mid-sagittal", "axial, at the eyes", "front", "profile")
"""What is drawn of a head: each before and after."""

TILE = 200
"""Edge length of the square that a picture is fitted into, in pixels; all of one row are to the same scale."""

EYES_BELOW_TOP_MM = 24.0
"""The eyes lie this far below the top of the region that is scored as the face."""

WHITE_PERCENTILE = 99.5
BACKGROUND, INK, QUIET, ALARM, GOOD = (17, 17, 20), (235, 235, 235), (150, 150, 155), (255, 84, 70), (120, 200, 130)
_GAP, _BETWEEN, _MARGIN, _LINE = 4, 14, 16, 8
_TEXT, _TITLE = 14, 22

Tile = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """One head on a page.

    Attributes:
        caption: who it is and how it ended. fine: whether it ended well.
        before, after: pictures in the order of `COLUMNS`; None where there is nothing to see.
    """

    caption: str
    fine: bool
    before: tuple[Tile, ...] | None
    after: tuple[Tile, ...] | None


@dataclass(frozen=True)
class Camera:
    """How a head and all releases of it are drawn: the same planes, the same grey values, the same skin."""

    voxel_mm: NDArray[np.float64]
    column: int
    level: int
    black: float
    white: float
    threshold: float

    @classmethod
    def aim(cls, head: Head, face: Mask | None) -> Camera:
        """Choose planes and grey values by an original.

        Args:
            head: the original.
            face: bool (x, y, z), where its face is; without it the axial plane is the middle of the head.

        Raises:
            DataError: there is no head in the volume.
        """
        mask = head_mask(head.voxels, head.voxel_mm)
        column = int(np.clip(round(mid_sagittal(mask, head.voxel_mm)), 0, len(mask) - 1))
        if face is not None and face.any():
            height = np.flatnonzero(face.any(axis=(0, 1)))
            level = max(int(height[0]), round(height[-1] - EYES_BELOW_TOP_MM / head.voxel_mm[2]))
        else:
            level = int(np.flatnonzero(mask.any(axis=(0, 1))).mean())
        return cls(
            voxel_mm=head.voxel_mm,
            column=column,
            level=level,
            black=air_level(head.voxels),
            white=float(np.percentile(head.voxels[::2, ::2, ::2], WHITE_PERCENTILE)),
            threshold=skin_threshold(head.voxels),
        )

    def tiles(self, voxels: Voxels) -> tuple[Tile, ...]:
        """The pictures of `COLUMNS`: the face to the left in profiles, the person's right at the left otherwise."""
        x, y, z = self.voxel_mm
        sagittal = self._grey(voxels[self.column].T[::-1, ::-1])
        axial = self._grey(voxels[:, :, self.level].T[::-1, ::-1])
        front, profile = (shaded(voxels, self.voxel_mm, view, self.threshold) for view in ("front", "left"))
        scale = TILE / (np.array(voxels.shape) * self.voxel_mm).max()
        return (
            _fitted(sagittal, (z * scale, y * scale)),
            _fitted(axial, (y * scale, x * scale)),
            _fitted(front, (scale, scale)),
            _fitted(profile, (scale, scale)),
        )

    def _grey(self, plane: Voxels) -> NDArray[np.float32]:
        grey: NDArray[np.float32] = np.clip((plane - self.black) / max(self.white - self.black, 1e-30), 0, 1)
        return grey


def draw_page(title: str, about: Sequence[str], rows: Sequence[Row], warning: str = "") -> Image:
    """One page: title, lines about it, and the rows; `warning` stands on top in red."""
    from PIL import Image, ImageDraw

    lines = [(warning, _TITLE, ALARM)] if warning else []
    lines += [(title, _TITLE, INK), *((line, _TEXT, QUIET) for line in about)]
    names_at = _MARGIN + sum(size + _LINE for _, size, _ in lines) + _LINE
    rows_at = names_at + _TEXT + _LINE
    row_height = _TEXT + _LINE + TILE + _MARGIN
    pair = 2 * TILE + _GAP
    width = 2 * _MARGIN + len(COLUMNS) * (pair + _BETWEEN) - _BETWEEN
    page = Image.new("RGB", (width, rows_at + len(rows) * row_height + _MARGIN), BACKGROUND)
    pen = ImageDraw.Draw(page)
    y = _MARGIN
    for text, size, colour in lines:
        _write(pen, (_MARGIN, y), text, size, colour, width - 2 * _MARGIN)
        y += size + _LINE
    for column, name in enumerate(COLUMNS):
        left = _MARGIN + column * (pair + _BETWEEN)
        for step, when in enumerate((f"{name}: before", "after")):
            _write(pen, (left + step * (TILE + _GAP), names_at), when, _TEXT, QUIET, TILE)
    for number, row in enumerate(rows):
        y = rows_at + number * row_height
        _write(pen, (_MARGIN, y), row.caption, _TEXT, GOOD if row.fine else ALARM, width - 2 * _MARGIN)
        for column in range(len(COLUMNS)):
            left = _MARGIN + column * (pair + _BETWEEN)
            for step, tiles in enumerate((row.before, row.after)):
                at = left + step * (TILE + _GAP), y + _TEXT + _LINE
                if tiles:
                    page.paste(Image.fromarray(tiles[column]), at)
                else:
                    _write(pen, (at[0], at[1] + TILE // 2), "nothing to show", _TEXT, ALARM, TILE)
    return page


def _fitted(picture: NDArray[np.float32], scale: tuple[float, float]) -> Tile:
    """Scale a picture 0-1 by (rows, columns), in the middle of a black square of `TILE` pixels."""
    from PIL import Image

    rows, columns = (max(1, min(TILE, round(n * factor))) for n, factor in zip(picture.shape, scale, strict=True))
    grey = Image.fromarray(np.round(picture * 255).astype(np.uint8))
    small = np.asarray(grey.resize((columns, rows), Image.Resampling.BICUBIC))
    tile = np.zeros((TILE, TILE), dtype=np.uint8)
    top, left = (TILE - rows) // 2, (TILE - columns) // 2
    tile[top : top + rows, left : left + columns] = small
    return tile


def _write(pen: ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], width: int) -> None:
    """Write one line; what does not fit is cut."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if pen.textlength(text, font) > width:
        fits = bisect_left(range(len(text)), True, key=lambda n: pen.textlength(f"{text[: n + 1]}...", font) > width)
        text = f"{text[:fits]}..."
    pen.text(at, text, colour, font)
