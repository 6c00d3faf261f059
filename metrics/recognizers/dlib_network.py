"""dlib's pretrained face recognizer, on pictures of faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.recognizers import dlib_models
from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer, Relief, Similarities
from refbench.metrics.recognizers.grid import COLUMNS, PIXEL_MM, ROWS
from refbench.metrics.recognizers.render import Picture, shaded
from refbench.metrics.recognizers.smoothing import smoothed

SMOOTHING_MM = 5.0
"""Finer relief differs from scan to scan, by noise and voxels, and tells the network of wrinkles that nobody has."""

SIZE, PIXELS_PER_MM, NOSE_ROW = 150, 0.8, 80.0
"""dlib's network knows photographs of this many pixels, in which eyes and nose lie about here (`get_face_chip` with a
padding of 0.25: 74 pixels between the outer corners of the eyes, the nose just below the middle)."""

AT_ONCE = 16


@dataclass(frozen=True)
class _DlibMatcher(Matcher):
    def similarity(self, probes: Faces, gallery: Faces) -> Similarities:
        """Minus the Euclidean distance of the 128 numbers of each."""
        difference = _embedded(probes)[:, None] - _embedded(gallery)[None]
        similarity: Similarities = -np.sqrt((difference**2).sum(axis=2))
        return similarity

    def save(self, folder: Path) -> None:
        """Nothing was learnt."""


class DlibNetwork(Recognizer):
    """A stock recognizer of photographs: dlib's network (99.4 % on Labeled Faces in the Wild) on shaded pictures.

    It is the network that anybody can download, not trained on MRI. As the faces lie in one frame, each picture is cut
    out where eyes and nose are expected; landmarks, which a blurred face has no longer, are not looked for.

    King, Dlib-ml: a machine learning toolkit, JMLR 10, 2009; the network follows He et al., Deep residual learning for
    image recognition, CVPR 2016.
    """

    def missing(self) -> str:
        """Say what to install, where dlib or the weights are not there."""
        return dlib_models.missing(dlib_models.EMBEDDING)

    def tool_versions(self) -> Mapping[str, str]:
        """Of dlib and of the package of its weights."""
        return dlib_models.versions(dlib_models.EMBEDDING)

    def fit(self, faces: Faces, people: NDArray[np.int64], rng: np.random.Generator) -> Matcher:
        """Learn nothing: the network is used as it is."""
        return _DlibMatcher()

    def load(self, folder: Path) -> Matcher:
        """Return the same matcher always."""
        return _DlibMatcher()


def photograph(relief: Relief) -> Picture:
    """The face as dlib's network expects it: float32 [150, 150], 0-1."""
    from scipy import ndimage

    picture = shaded(smoothed(relief, SMOOTHING_MM / PIXEL_MM), PIXEL_MM)
    step = 1 / (PIXELS_PER_MM * PIXEL_MM)
    middle = np.array([ROWS / 2 - 0.5, COLUMNS / 2 - 0.5]) - step * np.array([NOSE_ROW, SIZE / 2 - 0.5])
    cut: Picture = ndimage.affine_transform(picture, np.array([step, step]), middle, (SIZE, SIZE), order=1)
    return cut


def _embedded(faces: Faces) -> NDArray[np.float64]:
    """128 numbers of each face; NaN where none is placed."""
    network = dlib_models.embedding_network()
    numbers = np.full((len(faces), 128), np.nan)
    placed = np.flatnonzero(faces.placed)
    for start in range(0, len(placed), AT_ONCE):
        some = placed[start : start + AT_ONCE]
        pictures = [dlib_models.as_photograph(photograph(faces.relief[index])) for index in some]
        numbers[some] = np.array(network.compute_face_descriptor(pictures))
    return numbers
