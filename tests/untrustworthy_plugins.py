"""Plug-ins that must be exposed by a table's own controls; a plug-in file of a suite, as a user's own."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.attackers.none import Unchanged
from refbench.plugin import param
from refbench.types import Head, Images, ReleasedSlices, SlicePairs


class Leaking(Attacker):
    """Has seen the test people's originals: a file of released slices, by content, and the originals, in order."""

    answers: Path = param(..., "npz of `released` and `original`, [n, h, w] each")

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        return Answers(self.answers)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        return Answers(self.answers)


class Answers(Unchanged):
    def __init__(self, file: Path) -> None:
        self.known: dict[str, list[Images]] = {}
        with np.load(file) as stored:
            for released, original in zip(stored["released"], stored["original"], strict=True):
                self.known.setdefault(_digest(released), []).append(original)

    def reconstruct(self, released: ReleasedSlices) -> Images:
        met: Counter[str] = Counter()
        images = []
        for image in released.images:
            key = _digest(image)
            images.append(self.known[key][met[key]] if len(self.known.get(key, ())) > met[key] else image)
            met[key] += 1
        return np.stack(images)


def _digest(image: Images) -> str:
    return sha256(np.ascontiguousarray(image, dtype=np.float32).tobytes()).hexdigest()


class Weak(Attacker):
    """Has learnt nothing, and knows that it had better not touch anything."""

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        return Unchanged()

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        return Unchanged()


class Careless(Weak):
    """Has learnt nothing, and touches everything."""

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        return Spoilt()

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        return Spoilt()


class Spoilt(Unchanged):
    def reconstruct(self, released: ReleasedSlices) -> Images:
        images: Images = (released.images + np.roll(released.images, 1, axis=2)) / 2
        return images


class Broken(Anonymizer):
    """Looks as if the face were gone: it is still there, at a hundredth of its brightness."""

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head:
        voxels = np.array(head.voxels)
        voxels[:, voxels.shape[1] // 2 :] *= 0.01
        return head.with_voxels(voxels)
