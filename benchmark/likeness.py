"""How alike faces are beyond what all faces have in common.

Two heads that lie alike agree in nearly every pixel, whoever they are. So the average face is taken away first: what
is compared is how each face deviates from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMALLEST = 1e-9
"""Of a norm: below it a face does not deviate at all, and is like nobody."""


@dataclass(frozen=True)
class Crowd:
    """Faces, and what sets each apart from their average.

    Attributes:
        faces: [faces, pixels], 0-1.
        people: int [faces], whose each is.
        weights: [pixels], how much each pixel counts, 0 or more.
    """

    faces: Floats
    people: NDArray[np.int64]
    weights: Floats

    def deviations(self, faces: Floats) -> Floats:
        """What sets faces apart from the average of the crowd: [n, pixels], of length 1, or 0 where nothing does.

        Each is first brought to the brightness of the average, by least squares; their dot products are weighted
        Pearson correlations.
        """
        return _unit(self._raw(faces))

    def alike(self, faces: Floats) -> Floats:
        """How alike faces [n, pixels] are to each of the crowd: -1 to 1, [n, faces]; strangers come to about 0."""
        alike: Floats = self.deviations(faces) @ self.deviations(self.faces).T
        return alike

    @cached_property
    def most_alike(self) -> float:
        """The likeness of the two people of the crowd who are the most alike; NaN of fewer than three people.

        Each face in turn is compared as a stranger's would be, with the average of the others: with d the deviations
        from the average of all n, the face that is left out deviates from that of the others along d_k, and another
        by d_j + d_k / (n - 1).
        """
        if len(np.unique(self.people)) < 3:
            return float("nan")
        raw = self._raw(self.faces)
        products = raw @ raw.T
        own, share = np.diag(products)[:, None], 1 / (len(raw) - 1)
        norms = np.sqrt(np.maximum(own * (own.T + 2 * share * products + share**2 * own), SMALLEST**2))
        likeness = (products + share * own) / norms
        return float(likeness[self.people[:, None] != self.people].max())

    def _raw(self, faces: Floats) -> Floats:
        average = self.faces.mean(axis=0)
        square = np.maximum(np.square(faces) @ self.weights, SMALLEST)
        apart = ((faces @ (self.weights * average)) / square)[:, None] * faces - average
        apart -= ((apart @ self.weights) / max(float(self.weights.sum()), SMALLEST))[:, None]
        weighted: Floats = apart * np.sqrt(self.weights)
        return weighted


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > SMALLEST)
    return unit
