"""Nearest neighbour of skins: how far two faces lie apart once they have been fitted to each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer, Similarities
from refbench.metrics.recognizers.face_pixels import FACE_PIXELS, Depths, face_depths, small_motions

UNLIKE_MM = 20.0
"""The distance of two faces that share too little to be compared."""

SHARED_AT_LEAST = 0.25
"""The share of the pixels of a face that two faces must both have."""

FITTED, COMPARED = 0.8, 0.9
"""The nearest share of pixels that they are fitted by, and that their distance is taken over."""

ROUNDS = 3


class Surface(Recognizer):
    """Mean distance of two skins, after a small rigid motion that brings them together.

    Both faces lie in the frame of the mean face; what is left of a difference in pose is removed pair by pair: the
    motion is fitted in the depth map, where it is linear (a shift to the front, or a shift sideways times the slope,
    and so on), by least squares over the pixels that fit best. Then the best 90 percent of the pixels are averaged.
    Nothing is learnt. After Chen & Medioni, Object modelling by registration of multiple range images, 1992; trimmed
    as by Chetverikov et al., The trimmed iterative closest point algorithm, ICPR 2002.
    """

    def fit(self, faces: Faces, people: NDArray[np.int64], rng: np.random.Generator) -> Matcher:
        """Nothing to learn."""
        return SurfaceMatcher()

    def load(self, folder: Path) -> Matcher:
        """Nothing to read."""
        return SurfaceMatcher()


class SurfaceMatcher(Matcher):
    """Compares skins, every one with every other."""

    def similarity(self, probes: Faces, gallery: Faces) -> Similarities:
        """Minus the mean distance in mm, `-UNLIKE_MM` to 0; NaN for faces that could not be placed."""
        depths, motions = face_depths(probes.relief), small_motions(gallery.relief)
        known = face_depths(gallery.relief)
        similarity = np.full((len(probes), len(gallery)), np.nan)
        here = np.flatnonzero(probes.placed)
        for number in np.flatnonzero(gallery.placed):
            similarity[here, number] = -_distances(depths[here], known[number], motions[number])
        return similarity

    def save(self, folder: Path) -> None:
        """Nothing to write."""


def _distances(depths: Depths, known: Depths, motions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of several probes [n, pixels] to one face [pixels] that small motions [pixels, 6] change: mm [n]."""
    usable = np.isfinite(known) & np.isfinite(motions).all(axis=1)
    design = motions[usable]
    apart = depths[:, usable] - known[usable]
    shared = np.isfinite(apart)
    apart = np.where(shared, apart, 0.0)
    kept = shared
    for _ in range(ROUNDS):
        left = apart - _fitted(apart, design, kept) @ design.T
        left = np.where(shared, np.abs(left), np.inf)
        kept = left <= _nearest(left, shared, FITTED)[:, None]
    counted = left <= _nearest(left, shared, COMPARED)[:, None]
    mean = np.where(counted, left, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    enough = shared.sum(axis=1) >= SHARED_AT_LEAST * FACE_PIXELS
    return np.where(enough, np.minimum(mean, UNLIKE_MM), UNLIKE_MM)


def _fitted(apart: Depths, design: NDArray[np.float64], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Least squares over the pixels that are kept, one row of `apart` at a time: [n, 6]."""
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    size = design.shape[1]
    normal = (kept @ products).reshape(-1, size, size) + 1e-6 * np.eye(size)
    right = (apart * kept) @ design
    return np.linalg.solve(normal, right[:, :, None])[:, :, 0].astype(np.float64)


def _nearest(left: Depths, shared: NDArray[np.bool_], share: float) -> NDArray[np.float64]:
    """The distance that `share` of the shared pixels do not exceed, [n]."""
    count = np.maximum((share * shared.sum(axis=1)).astype(int), 1) - 1
    nearest: NDArray[np.float64] = np.sort(left, axis=1)[np.arange(len(left)), count]
    return nearest
