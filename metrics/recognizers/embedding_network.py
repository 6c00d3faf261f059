"""The network of `embedding`, and how it is trained: looks at people, real and made up, that are varied by chance."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, normalize, pad

from refbench.metrics.recognizers.base import Relief
from refbench.metrics.recognizers.embedding import FAR_MM, STEP
from refbench.metrics.recognizers.grid import PIXEL_MM

PEOPLE_AT_ONCE = 32
TEMPERATURE = 0.1
LEARNING_RATE = 2e-3

WIDTH, GROUPS = 16, 4
SCALE_MM = 10.0

BEYOND = 0.2
"""A made-up person may lie so far beyond one of the two that it is mixed of, as a share of the way between them."""

SMOOTHED_SHARE, SMOOTHING_MM, NOISE_MM = 0.7, 8.0, 1.0
TILT_DEG, SHIFT_MM = 1.5, 1.5
STEEPEST = 2.0


class EmbeddingNetwork(nn.Module):
    """Differences from the mean face, mm [n, h, w], to unit vectors [n, dimension]."""

    def __init__(self, shape: tuple[int, ...], dimension: int) -> None:
        super().__init__()
        self.dimension = dimension
        layers: list[nn.Module] = []
        for entering, leaving in ((1, WIDTH), (WIDTH, 2 * WIDTH), (2 * WIDTH, 4 * WIDTH)):
            layers += [nn.Conv2d(entering, leaving, 3, stride=2, padding=1), nn.GroupNorm(GROUPS, leaving), nn.SiLU()]
        rows, columns = (math.ceil(edge / 8) for edge in shape)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * WIDTH * rows * columns, dimension))

    def forward(self, differences: Tensor) -> Tensor:
        """Embed faces; what lies further off than `FAR_MM` counts as lying there."""
        seen = differences.clamp(-FAR_MM, FAR_MM)[:, None] / SCALE_MM
        return normalize(self.layers(seen), dim=1)


def train(
    faces: Relief, mean: Relief, people: NDArray[np.int64], steps: int, dimension: int, rng: np.random.Generator
) -> EmbeddingNetwork:
    """Train a network to tell people apart.

    Args:
        faces: float32 [n, h, w], mm, NaN where there is no skin.
        mean: float32 [h, w], of the faces; NaN where none of them has skin.
        people: int [n], whose face each is; at least two people.
        steps: of the training.
        dimension: of the vectors that describe faces.
        rng: all chance comes from it; torch's own generators stay as they were.
    """
    filled = torch.from_numpy(np.nan_to_num(np.where(np.isfinite(faces), faces, mean)))
    centre = torch.from_numpy(np.nan_to_num(mean))
    own = [np.flatnonzero(people == person) for person in np.unique(people)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63)))
        network = EmbeddingNetwork(mean.shape, dimension)
        optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        same = torch.arange(PEOPLE_AT_ONCE)
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / steps)
            first = rng.integers(len(own), size=PEOPLE_AT_ONCE)
            second = (first + rng.integers(1, len(own), size=PEOPLE_AT_ONCE)) % len(own)
            share = torch.empty(PEOPLE_AT_ONCE, 1, 1).uniform_(-BEYOND, 1 + BEYOND)
            looks = [
                _varied(_scans(filled, own, first, rng).lerp(_scans(filled, own, second, rng), share)) - centre
                for _ in range(2)
            ]
            one, other = network(torch.cat(looks)).chunk(2)
            likeness = one @ other.T / TEMPERATURE
            loss = cross_entropy(likeness, same) + cross_entropy(likeness.T, same)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network.eval()


def _scans(faces: Tensor, own: list[NDArray[np.int64]], people: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    """Of each person one scan, by chance."""
    return faces[torch.from_numpy(np.array([rng.choice(own[person]) for person in people]))]


def _varied(faces: Tensor) -> Tensor:
    """The faces [n, h, w] as another scan, or a blurred one, might show them."""
    count, rows, columns = faces.shape
    pixel = STEP * PIXEL_MM
    blurred = torch.rand(count) < SMOOTHED_SHARE
    faces = _smoothed(faces, torch.rand(count) * blurred * SMOOTHING_MM / pixel)

    def chance(deviation: float) -> Tensor:
        return torch.randn(count, 1, 1) * deviation

    # A small motion of a surface, as a change of its depth: linear in the motion, by the slope at each pixel.
    down, right = (slope.clamp(-STEEPEST, STEEPEST) for slope in torch.gradient(faces, spacing=pixel, dim=(1, 2)))
    y = (torch.arange(rows) - (rows - 1) / 2)[:, None] * pixel
    x = (torch.arange(columns) - (columns - 1) / 2)[None] * pixel
    angle = math.radians(TILT_DEG)
    moved = faces + chance(SHIFT_MM) + chance(SHIFT_MM) * right + chance(SHIFT_MM) * down
    moved += chance(angle) * (x + faces * right) + chance(angle) * (y + faces * down)
    moved += chance(angle) * (x * down - y * right)
    return moved + torch.randn(faces.shape) * torch.rand(count, 1, 1) * NOISE_MM


def _smoothed(faces: Tensor, deviation: Tensor) -> Tensor:
    """Each face [n, h, w] smoothed by its own Gaussian, in pixels; 0 leaves it as it is."""
    reach = math.ceil(2 * SMOOTHING_MM / (STEP * PIXEL_MM))
    places = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-(places**2) / (2 * deviation[:, None].clamp(min=1e-2) ** 2))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True))[:, None]
    count = len(faces)
    across = conv2d(pad(faces[None], (reach, reach, 0, 0), "replicate"), kernel[:, :, None, :], groups=count)
    return conv2d(pad(across, (0, 0, reach, reach), "replicate"), kernel[:, :, :, None], groups=count)[0]
