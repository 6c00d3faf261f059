"""The face of the training person who looks most alike, put where a face was hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.alignment import from_reference, stacks
from refbench.attackers.averages import Averages, Posed
from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated, Surroundings, read
from refbench.attackers.reference_grid import in_reference
from refbench.plugin import param
from refbench.types import Affine, Images, Mask, SlicePairs

NEAR = (2.0, 4.0, 4.0)
"""Standard deviations (planes, pixels of the reference's grid) of how attention fades with distance from the region."""

FAR = 0.02
"""Attention that the rest of the head still gets, where the middle of the region gets 1."""

LEVELS = 255
"""Steps of intensity that are kept of the training people."""


class Nearest(Attacker):
    """Face of the most similar training person, put where the face was hidden.

    Heads are aligned, and the correlation of releases near the changed region says who is similar; what a blur left of
    a face counts, too. The original of that person is brought into the new person's pose and brightness at full
    resolution. The validation people choose how far to go towards it.

    A saved attacker holds the faces of all training people: treat the file as you treat their originals.
    """

    floor: ClassVar[bool] = True

    region: KnownOrEstimated = param(
        "estimated", "whether the changed region is estimated from the released images or told"
    )
    neighbours: int = param(1, "how many of the most similar faces are averaged", ge=1, le=1000)

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Align the training people and keep them; seconds."""
        surroundings, transforms = Surroundings.learn(train, validation, self.region, context)
        gallery = Gallery.of(train, surroundings.averages, transforms)
        return NearestReconstructor(surroundings, 1.0, gallery, self.neighbours).weighed(validation, context.judge)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        arrays = read(folder)
        gallery = Gallery(arrays["originals"], arrays["releases"], arrays["transforms"])
        surroundings, weight = Surroundings.from_arrays(arrays), float(arrays["weight"])
        return NearestReconstructor(surroundings, weight, gallery, int(arrays["neighbours"]))


@dataclass(frozen=True)
class Gallery:
    """The training people.

    Attributes:
        originals: uint8 [people, count, h, w], as they lie in their images.
        releases: uint8 [people, *reference's grid], aligned.
        transforms: float64 [people, 4, 4], of `Reference.align`.
    """

    originals: NDArray[np.uint8]
    releases: NDArray[np.uint8]
    transforms: NDArray[np.float64]

    @classmethod
    def of(cls, train: SlicePairs, averages: Averages, transforms: list[Affine]) -> Gallery:
        """Keep the training people."""
        count = max(stack.count for stack in stacks(train.released))
        originals = [replace(stack, count=count).volume(train.original) for stack in stacks(train.released)]
        releases = [in_reference(person, person.images) for person in averages.pose(train.released, transforms)]
        return cls(_bytes(originals), _bytes(releases), np.stack(transforms))

    def alike(self, release: Images, attention: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compare everybody with one release.

        Args:
            release: float32 [*reference's grid].
            attention: the same shape, how much each voxel counts.

        Returns:
            Correlation with each person, 0 where one is constant, and how much brighter the release is than theirs.
        """
        weight = attention.ravel() / attention.sum()
        one = release.ravel()
        others = self.releases.reshape(len(self.releases), -1).astype(np.float32) / LEVELS
        products, squares, square = others @ (weight * one), np.square(others) @ weight, weight @ np.square(one)
        means, mean = others @ weight, weight @ one
        deviations = np.sqrt(np.maximum((squares - means**2) * (square - mean**2), 0))
        correlation = np.divide(products - means * mean, deviations, out=np.zeros_like(means), where=deviations > 1e-9)
        brightness = np.divide(products, squares, out=np.ones_like(means), where=squares > 1e-9)
        return correlation.astype(np.float64), brightness.astype(np.float64)


@dataclass(frozen=True)
class NearestReconstructor(Inpainter):
    """Puts the face of somebody else into the changed region.

    Attributes:
        gallery: whose faces there are. neighbours: how many of them are averaged.
    """

    gallery: Gallery
    neighbours: int

    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        """The average of the most similar faces."""
        from scipy import ndimage

        attention = ndimage.gaussian_filter(in_reference(person, mask), NEAR) + np.float32(FAR)
        alike, brightness = self.gallery.alike(in_reference(person, person.images), attention)
        chosen = np.argsort(-alike, kind="stable")[: self.neighbours]
        faces = [brightness[number] * self._face(number, person)[mask] for number in chosen]
        pixels: NDArray[np.float32] = np.clip(np.mean(faces, axis=0), 0, 1).astype(np.float32)
        return pixels

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The gallery."""
        return {**vars(self.gallery), "neighbours": np.array(self.neighbours)}

    def _face(self, number: int, person: Posed) -> Images:
        """One training person's original in the pose of somebody else: float32 [k, h, w]."""
        original = self.gallery.originals[number].astype(np.float32) / np.float32(LEVELS)
        transform = person.transform @ np.linalg.inv(self.gallery.transforms[number])
        return from_reference(original, transform, person.stack, person.averages.reference.size)


def _bytes(images: list[Images]) -> NDArray[np.uint8]:
    return np.stack([np.round(np.clip(one, 0, 1) * LEVELS).astype(np.uint8) for one in images])
