"""From the numbers of a recipe to the voxels of a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refbench.datasets.phantom_anatomy import paint_person
from refbench.datasets.phantom_person import draw_person
from refbench.datasets.phantom_protocol import scanner_of
from refbench.datasets.phantom_scanner import grid_shape, place_grid, scan_tissue
from refbench.datasets.phantom_surface import Surface
from refbench.types import Head


def make_head(recipe: Mapping[str, Any]) -> Head:
    """Make the head of one visit; `recipe` as in `Scan.recipe`."""
    seed, number, session, site = (recipe[key] for key in ("seed", "person", "session", "site"))
    person, scanner, scale = draw_person(seed, number), scanner_of(recipe), float(recipe["scale"])
    rng = np.random.default_rng([seed, number, session])
    surface = Surface.of(person)
    tip = max(surface.front_at(0, person.face.subnasale_z + z) for z in (8, 10, 12, 14))
    affine, person_frame = place_grid(scanner, person, tip, scale, rng)
    anatomy = paint_person(surface, scanner.contrast, person_frame, grid_shape(scanner, scale))
    voxels = scan_tissue(scanner, anatomy.intensity, rng)
    return Head(voxels, affine, f"P{number:03d}", str(session), site, anatomy.labels)
