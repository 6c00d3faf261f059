"""Toy heads that attackers are tried on, in a second: an ellipsoid with a nose, a fixed anatomy, a personal texture."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refbench.types import Affine, Images, Mask, ReleasedSlices, SlicePairs

Hide = Literal["removal", "blur", "faint blur", "blank", "identity"]
PLANES, SIDE = 5, 40


def toy_pose(rng: np.random.Generator, side: int = SIDE) -> Affine:
    """A random map, index (position, row, column) of the average head to index in this person's stack."""
    centre = np.array([(PLANES - 1) / 2, (side - 1) / 2, (side - 1) / 2])
    angle, scale = rng.normal(0, 0.08), 1 + rng.normal(0, 0.03)
    pose = np.eye(4)
    pose[1:3, 1:3] = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    pose[:3, 3] = centre - pose[:3, :3] @ centre + np.array([0, *rng.normal(0, 1.5, 2)])
    return pose


def toy_head(pose: Affine, seed: int | None = None, side: int = SIDE) -> tuple[Images, Mask]:
    """One head, float32 [planes, side, side], 0-1, and where its face is; `seed` adds what is the person's own."""
    from scipy import ndimage

    index = np.indices((PLANES, side, side)).reshape(3, -1)
    back = np.linalg.inv(pose)
    x, y, z = (back[:3, :3] @ index + back[:3, 3:]).reshape(3, PLANES, side, side)
    x, y, z = (x - (PLANES - 1) / 2) / PLANES, (y - side / 2) / side, (z - side / 2) / side
    inside = np.minimum(1 - (x / 0.9) ** 2 - (y / 0.42) ** 2 - (z / 0.36) ** 2, 0.4)
    nose = 0.5 - np.abs(x) - 12 * np.hypot(y - 0.1, z + 0.38)
    body = 1 / (1 + np.exp(-25 * np.maximum(inside, nose)))
    anatomy = 0.55 + 0.2 * np.cos(17 * z + 3 * x) * np.cos(15 * y - 4 * x) + 0.15 * np.cos(31 * y + 23 * z)
    own: NDArray[np.float64] | float = 0.0
    if seed is not None:
        noise = np.random.default_rng(seed).normal(size=(PLANES, side, side))
        own = 0.25 * ndimage.gaussian_filter(noise, (0, 1.2, 1.2))
    face: Mask = (z < -0.12) & (y > -0.1)
    return np.clip(body * (anatomy + own), 0, 1).astype(np.float32), face


def toy_cohort(how: Hide, people: int = 8, seed: int = 0, side: int = SIDE) -> SlicePairs:
    """Pairs of `people` persons, `PLANES` slices of `side` x `side` pixels each; another seed, other people."""
    heads = [
        toy_head(pose, seed=1000 * seed + person, side=side) for person, pose in enumerate(_poses(people, seed, side))
    ]
    original = np.concatenate([image for image, _ in heads])
    images = np.concatenate([_hidden(image, face, how) for image, face in heads])
    numbers = np.arange(people * PLANES)
    released = ReleasedSlices(images, numbers // PLANES, numbers % PLANES, images != original)
    return SlicePairs(released, original)


def average_faces(people: int, seed: int, side: int = SIDE) -> Images:
    """The heads of a cohort without what is anybody's own, each in its person's pose: float32 [n, side, side]."""
    return np.concatenate([toy_head(pose, side=side)[0] for pose in _poses(people, seed, side)])


def _poses(people: int, seed: int, side: int) -> list[Affine]:
    rng = np.random.default_rng(seed)
    return [toy_pose(rng, side) for _ in range(people)]


def _hidden(image: Images, face: Mask, how: Hide) -> Images:
    from scipy import ndimage

    if how == "identity":
        return image.copy()
    if how == "blank":
        return np.full_like(image, 0.5)
    if how == "removal":
        return np.where(face, np.float32(0), image)
    sigma = 2.0 if how == "blur" else 0.5
    blurred: Images = np.where(face, ndimage.gaussian_filter(image, (0, sigma, sigma)), image)
    return blurred
