"""Eigenfaces of skins: faces as a few numbers that tell people apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer, Similarities
from refbench.metrics.recognizers.face_pixels import FACE_PIXELS, Depths, face_depths
from refbench.plugin import param

SHARED_AT_LEAST = 0.25
"""A face with less than this share of its pixels is unlike every other."""

NOISE_FLOOR = 1e-3
"""Least variance within people, as a share of that between them: what does not vary in training is not exact."""

LEARNT = "eigenface.npz"


class Eigenface(Recognizer):
    """Principal components of depth maps, weighed by how little they change within a person, and their cosine.

    The components are learnt from training people. Pixels that a face lacks are left out of its fit, with a Gaussian
    prior on the components. Turk & Pentland, Eigenfaces for recognition, J. Cognitive Neuroscience 3(1), 1991; Tipping
    & Bishop, Probabilistic principal component analysis, JRSS B 61(3), 1999; weighed by the (diagonal) covariance
    within people as by Hatch et al., Within-class covariance normalization, Interspeech 2006.
    """

    components: int = param(30, "most directions that faces are described by", ge=1, le=500)

    def fit(self, faces: Faces, people: NDArray[np.int64], rng: np.random.Generator) -> Matcher:
        """One singular value decomposition.

        Raises:
            DataError: fewer than two training faces could be placed.
        """
        depths = face_depths(faces.take(faces.placed).relief)
        if len(depths) < 2:
            raise DataError(
                "fewer than two training faces were found: no eigenfaces can be learnt. Train on more people."
            )
        seen = np.isfinite(depths)
        mean = np.where(seen, depths, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        off = np.where(seen, depths - mean, 0.0)
        _, lengths, directions = np.linalg.svd(off, full_matrices=False)
        count = max(1, min(self.components, len(depths) - 1, int((lengths > 1e-6 * lengths[0]).sum())))
        basis, variance = directions[:count], lengths[:count] ** 2 / len(depths)
        left = off - off @ basis.T @ basis
        noise = float((left**2).sum() / max(seen.sum(), 1))
        learnt = EigenfaceMatcher(mean, basis, np.maximum(variance, 1e-6), max(noise, 1e-3), np.ones(count))
        numbers, placed = learnt.numbers(depths), people[faces.placed]
        _, of = np.unique(placed, return_inverse=True)
        middle = np.stack([np.bincount(of, column) for column in numbers.T], axis=1) / np.bincount(of)[:, None]
        within = ((numbers - middle[of]) ** 2).mean(axis=0) + NOISE_FLOOR * numbers.var(axis=0) + 1e-9
        return EigenfaceMatcher(mean, basis, learnt.variance, learnt.noise, 1 / np.sqrt(within))

    def load(self, folder: Path) -> Matcher:
        """Read what `save` wrote."""
        with np.load(folder / LEARNT, allow_pickle=False) as stored:
            mean, basis, variance, weights = (stored[name] for name in ("mean", "basis", "variance", "weights"))
            return EigenfaceMatcher(mean, basis, variance, float(stored["noise"]), weights)


@dataclass(frozen=True)
class EigenfaceMatcher(Matcher):
    """What was learnt of faces.

    Attributes:
        mean: [pixels], mm.
        basis: [components, pixels], of length 1.
        variance: [components], mm2, of the faces along them.
        noise: mm2, of what the components do not explain, per pixel.
        weights: [components], one over the deviation within a person.
    """

    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    variance: NDArray[np.float64]
    noise: float
    weights: NDArray[np.float64]

    def similarity(self, probes: Faces, gallery: Faces) -> Similarities:
        """Cosine of the weighed components, -1 to 1; NaN for faces that could not be placed."""
        return self._described(probes) @ self._described(gallery).T

    def save(self, folder: Path) -> None:
        """Write one file."""
        with (folder / LEARNT).open("wb") as file:
            np.savez_compressed(
                file, mean=self.mean, basis=self.basis, variance=self.variance, noise=self.noise, weights=self.weights
            )

    def numbers(self, depths: Depths) -> NDArray[np.float64]:
        """The expected components of faces [n, pixels], given the pixels that they have: [n, components]."""
        numbers = np.zeros((len(depths), len(self.basis)))
        for face, depth in enumerate(depths):
            seen = np.isfinite(depth)
            basis = self.basis[:, seen]
            precision = basis @ basis.T / self.noise + np.diag(1 / self.variance)
            numbers[face] = np.linalg.solve(precision, basis @ (depth - self.mean)[seen] / self.noise)
        return numbers

    def _described(self, faces: Faces) -> NDArray[np.float64]:
        """Weighed components of length 1; 0 for too little of a face, NaN for none: [n, components]."""
        depths = face_depths(faces.relief)
        weighed = self.numbers(depths) * self.weights
        weighed[np.isfinite(depths).sum(axis=1) < SHARED_AT_LEAST * FACE_PIXELS] = 0
        length = np.linalg.norm(weighed, axis=1, keepdims=True)
        described: NDArray[np.float64] = weighed / np.where(length > 0, length, 1)
        described[~faces.placed] = np.nan
        return described
