"""A network that learns to tell people apart from the reliefs of training people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError, StoreError
from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer, Relief, Similarities
from refbench.metrics.recognizers.grid import PIXEL_MM
from refbench.metrics.recognizers.smoothing import smoothed
from refbench.plugin import param

if TYPE_CHECKING:
    from refbench.metrics.recognizers.embedding_network import EmbeddingNetwork

SMOOTHING_MM, STEP = 2.0, 4
"""The network sees every fourth pixel of a relief that has been smoothed."""

FAR_MM = 30.0
"""A skin further than this from the mean face says no more than that it is far."""

FILE = "weights.safetensors"


@dataclass(frozen=True)
class _EmbeddingMatcher(Matcher):
    """`mean`: of the training faces on the network's grid, mm; NaN where none of them has skin."""

    network: EmbeddingNetwork
    mean: Relief

    def similarity(self, probes: Faces, gallery: Faces) -> Similarities:
        """The cosine of the angle between their embeddings."""
        return self._embedded(probes) @ self._embedded(gallery).T

    def save(self, folder: Path) -> None:
        """Write one file of safetensors."""
        from safetensors.torch import save_file
        from torch import from_numpy

        save_file({**self.network.state_dict(), "mean": from_numpy(self.mean)}, folder / FILE)

    def _embedded(self, faces: Faces) -> Similarities:
        from torch import from_numpy, inference_mode

        numbers = np.full((len(faces), self.network.dimension), np.nan)
        placed = faces.placed
        if placed.any():
            with inference_mode():
                seen = from_numpy(np.nan_to_num(_seen(faces.take(placed)) - self.mean))
                numbers[placed] = self.network(seen).numpy()
        return numbers


class Embedding(Recognizer):
    """A small convolutional network, trained in the harness on the training people's reliefs.

    It learns to place two looks at one person near each other and other people far off (InfoNCE). Each look is
    smoothed, tilted, turned, shifted and roughened by chance, so that it copes with faces that are blurred or do not
    lie exactly. As a cohort has few people, others are made up in each step by mixing two of them.

    van den Oord et al., Representation learning with contrastive predictive coding, 2018; Khosla et al., Supervised
    contrastive learning, NeurIPS 2020; Zhang et al., mixup, ICLR 2018.
    """

    steps: int = param(800, "training steps", ge=1, le=100_000)
    dimension: int = param(64, "numbers that a face is described by", ge=2, le=1024)

    def fit(self, faces: Faces, people: NDArray[np.int64], rng: np.random.Generator) -> Matcher:
        """Train on one CPU thread for about half a minute.

        Raises:
            DataError: faces of fewer than two people could be placed.
        """
        from refbench.metrics.recognizers.embedding_network import train

        placed = faces.placed
        if len(np.unique(people[placed])) < 2:
            raise DataError(
                "faces of fewer than two training people were found: an embedding cannot be learnt. "
                "Train on more people, or leave the recognizer 'embedding' out."
            )
        seen = _seen(faces.take(placed))
        known = np.isfinite(seen).any(axis=0)
        mean = np.full(known.shape, np.nan, np.float32)
        mean[known] = np.nanmean(seen[:, known], axis=0)
        network = train(seen, mean, people[placed], self.steps, self.dimension, rng)
        return _EmbeddingMatcher(network, mean)

    def load(self, folder: Path) -> Matcher:
        """Read what was learnt.

        Raises:
            StoreError: the file is missing or damaged.
        """
        from safetensors.torch import load_file

        from refbench.metrics.recognizers.embedding_network import EmbeddingNetwork

        file = folder / FILE
        try:
            weights = load_file(file)
            mean = weights.pop("mean").numpy()
            network = EmbeddingNetwork(mean.shape, self.dimension)
            network.load_state_dict(weights)
        except Exception as error:
            raise StoreError(f"{file} holds no usable network: {error}; remove {folder} to train again") from error
        return _EmbeddingMatcher(network.eval(), mean)


def _seen(faces: Faces) -> Relief:
    """Reliefs on the network's grid, float32 [n, 45, 35], mm; NaN where there is no skin."""
    start = STEP // 2
    seen = smoothed(faces.relief, SMOOTHING_MM / PIXEL_MM)[:, start::STEP, start::STEP]
    return seen.astype(np.float32)
