"""Draws docs/phantoms.png and times the making of phantoms; puts the times into docs/phantoms.md.

    python docs/make_phantom_sheet.py

Rows of the picture: faces, the middle slices of the same heads, visits of people whose scanners vary, and labels.
Phantoms only. Nothing between the markers is ever typed.
"""

from __future__ import annotations

import datetime
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refbench.datasets.phantom import Phantom
from refbench.provenance import environment
from refbench.surface_view import shaded
from refbench.types import Head

DOCUMENT = Path(__file__).with_name("phantoms.md")
PICTURE = DOCUMENT.with_suffix(".png")
BEGIN, END = "<!-- times: docs/make_phantom_sheet.py -->\n", "<!-- end of times -->"

COLUMNS, TILE = 8, 160
FIELD_MM = 250.0
ROUNDS = 5
COLOURS = {
    "brain": (70, 90, 255),
    "face": (255, 200, 120),
    "skin": (150, 150, 150),
    "ears": (0, 220, 220),
    "eyes": (0, 220, 60),
    "nose": (255, 60, 50),
    "mouth": (255, 60, 255),
}

Tile = NDArray[np.uint8]


def main() -> None:
    """Draw and time."""
    plain = Phantom(subjects=COLUMNS, scale=0.5)
    heads = [plain.load(scan) for scan in plain.scans()]
    varied = Phantom(subjects=COLUMNS, sessions=3, scale=0.5, scanners="varied")
    visits = [varied.load(scan) for scan in varied.scans()[:COLUMNS]]
    rows = [
        [_face(head) for head in heads],
        [_slice(head, head.voxels.shape[0] // 2) for head in heads],
        [_slice(head, head.voxels.shape[0] // 2) for head in visits],
        [_labelled(head, where) for head in heads[: COLUMNS // 4] for where in _places(head)],
    ]
    sheet = Image.fromarray(np.vstack([np.hstack(row) for row in rows]))
    sheet.quantize(256, Image.Quantize.FASTOCTREE).save(PICTURE, optimize=True)
    text = "\n".join(_times())
    print(text)
    before, rest = DOCUMENT.read_text().split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n\n{rest[rest.index(END) :]}")


def _face(head: Head) -> Tile:
    picture = shaded(head.voxels, head.voxel_mm, "front", pixel_mm=1.0)
    return _tile(np.repeat(np.round(picture * 255).astype(np.uint8)[..., None], 3, axis=2), (1.0, 1.0))


def _slice(head: Head, x: int) -> Tile:
    return _tile(_grey(head)[x].transpose(1, 0, 2)[::-1, ::-1], (head.voxel_mm[2], head.voxel_mm[1]))


def _places(head: Head) -> list[tuple[int, int]]:
    """Axis and index of the slices that show labels: the nose, an eye, the mouth, the ears."""
    middle = {name: np.argwhere(mask).mean(axis=0).round().astype(int) for name, mask in head.labels.items()}
    right_eye = int(np.quantile(np.argwhere(head.labels["eyes"])[:, 0], 0.75))
    return [(0, middle["nose"][0]), (0, right_eye), (2, middle["mouth"][2]), (2, middle["ears"][2])]


def _labelled(head: Head, where: tuple[int, int]) -> Tile:
    axis, index = where
    image = _grey(head).astype(np.float32)
    for name, colour in COLOURS.items():
        mask = head.labels[name]
        image[mask] = 0.5 * image[mask] + 0.5 * np.array(colour)
    cut = np.moveaxis(image, axis, 0)[index].transpose(1, 0, 2)[::-1].astype(np.uint8)
    across, down = np.delete(head.voxel_mm, axis)
    return _tile(cut[:, ::-1] if axis == 0 else cut, (down, across))


def _grey(head: Head) -> Tile:
    bright = np.clip(head.voxels / np.percentile(head.voxels, 99.5), 0, 1)
    return np.repeat(np.round(bright * 255).astype(np.uint8)[..., None], 3, axis=3)


def _tile(picture: Tile, pixel_mm: tuple[float, float]) -> Tile:
    """A picture in the middle of a black square of `FIELD_MM`."""
    height, width = (round(n * mm * TILE / FIELD_MM) for n, mm in zip(picture.shape[:2], pixel_mm, strict=True))
    scaled = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
    scaled = scaled[:TILE, :TILE]
    top, left = ((TILE - n) // 2 for n in scaled.shape[:2])
    tile = np.zeros((TILE, TILE, 3), np.uint8)
    tile[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return tile


def _times() -> list[str]:
    machine = environment()
    lines = [
        f"Measured on {datetime.date.today()}, {machine['cpu']}, one core: processor time of one head, the best of "
        f"{ROUNDS}.",
        "",
        "| scale | voxels | one scanner per site | varied, of 8 people: median |",
        "| --- | ---: | ---: | ---: |",
    ]
    for scale in (0.25, 0.5, 1.0):
        plain, varied = (Phantom(subjects=8, scale=scale, scanners=scanners) for scanners in ("sites", "varied"))
        shape = " x ".join(str(n) for n in plain.load(plain.scans()[0]).voxels.shape)
        best = min(_seconds(plain, 0) for _ in range(ROUNDS))
        others = float(np.median([_seconds(varied, number) for number in range(8)]))
        lines.append(f"| {scale:g} | {shape} | {best:.2f} s | {others:.2f} s |")
    return lines


def _seconds(dataset: Phantom, number: int) -> float:
    scan = dataset.scans()[number]
    started = time.process_time()
    dataset.load(scan)
    return time.process_time() - started


if __name__ == "__main__":
    main()
