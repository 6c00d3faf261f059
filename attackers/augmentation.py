"""Random variants of training windows: heads turned, stretched and shifted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

TURN = 0.05
"""Standard deviation of the angle, in radians."""

ZOOM, STRETCH, SHIFT = 0.05, 0.03, 0.025
"""Standard deviations: of the logarithms of size and of width over height, and of the shift in sides of the window."""


def draw_variants(rng: np.random.Generator, count: int, size: tuple[int, int]) -> Tensor:
    """Draw, on the host, how `count` windows of (h, w) pixels are varied: float32 [count, 2, 3] for `varied`."""
    height, width = size
    turn, zoom, stretch = (rng.normal(0, spread, count) for spread in (TURN, ZOOM, STRETCH))
    shift = rng.normal(0, 2 * SHIFT, (2, count))  # a window is 2 wide in the units of `affine_grid`
    wide, high = np.exp(zoom + stretch / 2), np.exp(zoom - stretch / 2)
    cosine, sine = np.cos(turn), np.sin(turn)
    rows = [
        [wide * cosine, -high * sine * height / width, shift[0]],
        [wide * sine * width / height, high * cosine, shift[1]],
    ]
    return torch.from_numpy(np.array(rows, np.float32).transpose(2, 0, 1))


def varied(windows: Sequence[Tensor], variants: Tensor) -> list[Tensor]:
    """Vary windows [n, channels, h, w], all of one slice alike; beyond the edge, edge pixels go on."""
    together = torch.cat(list(windows), dim=1)
    grid = affine_grid(variants, list(together.shape), align_corners=False)
    moved = grid_sample(together, grid, padding_mode="border", align_corners=False)
    return list(torch.split(moved, [window.shape[1] for window in windows], dim=1))
