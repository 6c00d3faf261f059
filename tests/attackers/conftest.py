"""Toy heads in different poses: an ellipsoid with a nose, a fixed anatomy and a personal texture."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from refbench.types import Affine, Images, Mask, ReleasedSlices, SlicePairs

Hide = Literal["removal", "blur", "faint blur", "blank", "identity"]
Cohort = Callable[..., SlicePairs]
PLANES, SIDE = 5, 40


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def toy_pose(rng: np.random.Generator) -> Affine:
    """Index (position, row, column) of the average head to index in this person's stack."""
    centre = np.array([(PLANES - 1) / 2, (SIDE - 1) / 2, (SIDE - 1) / 2])
    angle, scale = rng.normal(0, 0.08), 1 + rng.normal(0, 0.03)
    pose = np.eye(4)
    pose[1:3, 1:3] = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    pose[:3, 3] = centre - pose[:3, :3] @ centre + np.array([0, *rng.normal(0, 1.5, 2)])
    return pose


def toy_head(pose: Affine, seed: int | None = None) -> tuple[Images, Mask]:
    """One head, float32 [planes, side, side], and where its face is; `seed` adds what is the person's own."""
    index = np.indices((PLANES, SIDE, SIDE)).reshape(3, -1)
    back = np.linalg.inv(pose)
    x, y, z = (back[:3, :3] @ index + back[:3, 3:]).reshape(3, PLANES, SIDE, SIDE)
    x, y, z = (x - (PLANES - 1) / 2) / PLANES, (y - SIDE / 2) / SIDE, (z - SIDE / 2) / SIDE
    inside = np.minimum(1 - (x / 0.9) ** 2 - (y / 0.42) ** 2 - (z / 0.36) ** 2, 0.4)
    nose = 0.5 - np.abs(x) - 12 * np.hypot(y - 0.1, z + 0.38)
    body = 1 / (1 + np.exp(-25 * np.maximum(inside, nose)))
    anatomy = 0.55 + 0.2 * np.cos(17 * z + 3 * x) * np.cos(15 * y - 4 * x) + 0.15 * np.cos(31 * y + 23 * z)
    own: NDArray[np.float64] | float = 0.0
    if seed is not None:
        noise = np.random.default_rng(seed).normal(size=(PLANES, SIDE, SIDE))
        own = 0.25 * ndimage.gaussian_filter(noise, (0, 1.2, 1.2))
    face: Mask = (z < -0.12) & (y > -0.1)
    return np.clip(body * (anatomy + own), 0, 1).astype(np.float32), face


def hidden(image: Images, face: Mask, how: Hide) -> Images:
    if how == "identity":
        return image.copy()
    if how == "blank":
        return np.full_like(image, 0.5)
    if how == "removal":
        return np.where(face, np.float32(0), image)
    sigma = 2.0 if how == "blur" else 0.5
    return np.where(face, ndimage.gaussian_filter(image, (0, sigma, sigma)), image)


@pytest.fixture(scope="session")
def cohort() -> Cohort:
    """Make people: `cohort("removal", people=8, seed=0)`."""

    def make(how: Hide, people: int = 8, seed: int = 0) -> SlicePairs:
        rng = np.random.default_rng(seed)
        heads = [toy_head(toy_pose(rng), seed=1000 * seed + person) for person in range(people)]
        original = np.concatenate([image for image, _ in heads])
        images = np.concatenate([hidden(image, face, how) for image, face in heads])
        numbers = np.arange(people * PLANES)
        released = ReleasedSlices(images, numbers // PLANES, numbers % PLANES, images != original)
        return SlicePairs(released, original)

    return make


@pytest.fixture(scope="session")
def head_in_pose() -> Callable[[Affine], Images]:
    """The average toy head in a pose."""
    return lambda pose: toy_head(pose)[0]


@pytest.fixture(scope="session")
def random_pose() -> Callable[[np.random.Generator], Affine]:
    return toy_pose
