"""Plug-ins for tests of what is asked of whole heads: a recognizer that learns nothing, a metric that can fail."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.metrics.head_metrics.base import HeadMetric, HeadPair
from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer
from refbench.plugin import param


class _ByHeight(Matcher):
    def similarity(self, probes: Faces, gallery: Faces) -> NDArray[np.float64]:
        apart = np.abs(probes.relief[:, None] - gallery.relief[None]).reshape(len(probes), len(gallery), -1)
        there = np.isfinite(apart)
        mean = np.where(there, apart, 0).sum(axis=2) / np.maximum(there.sum(axis=2), 1)
        return np.where(there.any(axis=2), -mean.astype(np.float64), np.nan)

    def save(self, folder: Path) -> None:
        (folder / "nothing").touch()


class PlainRelief(Recognizer):
    """Mean difference of relief."""

    lacks: str = param("", "what it says is missing")

    def missing(self) -> str:
        return self.lacks

    def fit(self, faces: Faces, people: NDArray[np.int64], rng: np.random.Generator) -> Matcher:
        assert len(faces) == len(people)
        return _ByHeight()

    def load(self, folder: Path) -> Matcher:
        assert (folder / "nothing").exists()
        return _ByHeight()


class ChangedShare(HeadMetric):
    """Share of voxels that differ; `refuse` makes it fail where they do."""

    figures: ClassVar[Mapping[str, str]] = {"changed_percent": "voxels that differ, %"}
    headline: ClassVar[tuple[str, ...]] = ("changed_percent",)

    refuse: bool = param(False, "whether it fails")

    def measure(self, pair: HeadPair) -> dict[str, float]:
        changed = pair.original.voxels != pair.candidate.voxels
        if self.refuse and changed.any():
            raise DataError("this head is refused")
        return {"changed_percent": 100 * float(changed.mean())}
