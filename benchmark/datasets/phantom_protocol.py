"""Protocols within what a site's scanner can be: another for every visit, drawn around the site's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from refbench.datasets.phantom_person import Face, Person, draw_person
from refbench.datasets.phantom_scanner import SCANNERS, Scanner, grid_shape
from refbench.datasets.phantom_tissue import Contrast

PROTOCOL = 1
"""Tells the protocol's random numbers from those of the visit itself."""

CROWN_MM = 10.0
"""How much air about lies above the crown; see `place_grid`."""

LOWER_END = {
    "in the neck": (0.6, (5.0, 45.0)),
    "under the chin": (0.25, (0.0, 5.0)),
    "in the chin": (0.15, (-25.0, -3.0)),
}
"""Where a field of view ends: how often, and how far below the chin, mm."""


def scanner_of(recipe: Mapping[str, Any]) -> Scanner:
    """The scanner of one visit: its site's, or with `scanners: varied` one drawn for this visit alone."""
    site = SCANNERS[recipe["site"]]
    if recipe.get("scanners", "sites") == "sites":
        return site
    seed, number = recipe["seed"], recipe["person"]
    rng = np.random.default_rng([seed, number, recipe["session"], PROTOCOL])
    return draw_protocol(site, draw_person(seed, number), rng)


def scanner_parameters(recipe: Mapping[str, Any]) -> dict[str, float]:
    """The true settings behind a recipe, by name: edges of its voxels and field of view in mm, and `Scanner`'s own."""
    scanner = scanner_of(recipe)
    extent = np.array(scanner.shape) * scanner.voxel_mm
    shape = grid_shape(scanner, recipe["scale"])
    sizes = {f"voxel_{axis}_mm": float(e / n) for axis, e, n in zip("xyz", extent, shape, strict=True)}
    fields = {f"field_{axis}_mm": float(e) for axis, e in zip("xyz", extent, strict=True)}
    plain = ("white", "noise", "bias", "lower_fade", "k_space", "motion", "tilt_degrees")
    contrast = {f"contrast_{tissue}": value for tissue, value in asdict(scanner.contrast).items()}
    return {**sizes, **fields, **{name: float(getattr(scanner, name)) for name in plain}, **contrast}


def draw_protocol(site: Scanner, person: Person, rng: np.random.Generator) -> Scanner:
    """Draw another protocol for a site.

    Voxels are 1.0-1.5 mm across and 0.9-1.2 mm in the sagittal plane (at scale 1). About a third of the images ring,
    as 65-85 % of k-space along each axis is recorded; about a third of the people moved, by up to 1.5 mm and degrees.
    The nose is cut in about one of six; a quarter of the fields of view end right under the chin, a seventh in it.
    """
    extent = np.array(site.shape) * site.voxel_mm
    extent[2] = _height(person.face, rng)
    across, along = rng.uniform(1.0, 1.5), rng.uniform(0.9, 1.2)
    x, y, z = (round(float(e / edge)) for e, edge in zip(extent, (across, along, along), strict=True))
    x_mm, y_mm, z_mm = (float(e / n) for e, n in zip(extent, (x, y, z), strict=True))
    nose_cut = rng.random() < 1 / 6
    rings, moved = rng.random(2) < 1 / 3
    k_space, motion = rng.uniform(0.65, 0.85), rng.uniform(0.4, 1.5)
    blur_x, blur_y, blur_z = (float(mm * rng.uniform(0.8, 1.4)) for mm in site.blur_mm)
    return replace(
        site,
        contrast=_contrast(site.contrast, rng),
        shape=(x, y, z),
        voxel_mm=(x_mm, y_mm, z_mm),
        white=float(site.white * rng.uniform(0.6, 1.6)),
        noise=float(site.noise * rng.uniform(0.6, 1.6)),
        bias=float(site.bias * rng.uniform(0.5, 2.0)),
        lower_fade=float(min(site.lower_fade * rng.uniform(0.5, 1.5), 0.5)),
        blur_mm=(blur_x, blur_y, blur_z),
        tilt_degrees=float(site.tilt_degrees + rng.normal() * 2),
        nose_room_mm=(-8.0, 3.0) if nose_cut else site.nose_room_mm,
        k_space=float(k_space) if rings else 1.0,
        motion=float(motion) if moved else 0.0,
    )


def _height(face: Face, rng: np.random.Generator) -> float:
    """How high the field of view is, mm: it is the lower end that varies, the crown is always in it."""
    shares, reaches = zip(*LOWER_END.values(), strict=True)
    low, high = reaches[rng.choice(len(reaches), p=shares)]
    return float(face.head_height + CROWN_MM - face.menton_z + rng.uniform(low, high))


def _contrast(site: Contrast, rng: np.random.Generator) -> Contrast:
    """All tissues but white matter a little brighter or darker; grey matter stays between fluid and white matter."""
    drawn = {tissue: value * float(rng.uniform(0.9, 1.1)) for tissue, value in asdict(site).items()}
    return Contrast(**{**drawn, "white": site.white, "grey": min(drawn["grey"], 0.85)})
