"""What attackers share that replace the changed region and leave the rest alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.averages import Averages, Posed
from refbench.attackers.base import Reconstructor
from refbench.attackers.changed_region import ChangedRegion
from refbench.errors import DataError, StoreError
from refbench.types import Affine, Images, Mask, ReleasedSlices, SlicePairs

FILE = "attacker.npz"

KnownOrEstimated = Literal["estimated", "known"]


@dataclass(frozen=True)
class Surroundings:
    """What is learnt whatever is put into the changed region.

    Attributes:
        averages: of the training people. region: the estimate of the changed region, None where the true one is told.
    """

    averages: Averages
    region: ChangedRegion | None

    @classmethod
    def learn(
        cls, train: SlicePairs, validation: SlicePairs, region: KnownOrEstimated, seed: int
    ) -> tuple[Surroundings, list[Affine]]:
        """Align, average and, unless it is `known`, learn to find the changed region.

        Returns:
            What was learnt, and each training release's map (see `Averages.learn`).
        """
        averages, transforms = Averages.learn(train)
        if region == "known":
            return cls(averages, None), transforms
        rng = np.random.default_rng(seed)
        return cls(averages, ChangedRegion.learn(averages, transforms, train, validation, rng)), transforms

    def locate(self, person: Posed, released: ReleasedSlices) -> Mask:
        """The changed region of one release, bool [k, h, w].

        Raises:
            DataError: the true region was promised and is missing.
        """
        if self.region is not None:
            return self.region.estimate(person)
        if released.changed is None:
            raise DataError("an attacker with `region: known` needs the changed region of the released slices")
        changed: Mask = released.changed[person.stack.members]
        return changed

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to save."""
        return {**self.averages.arrays(), **(self.region.arrays() if self.region else {})}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Surroundings:
        """The inverse of `arrays`."""
        region = ChangedRegion.from_arrays(arrays) if "threshold" in arrays else None
        return cls(Averages.from_arrays(arrays), region)


@dataclass(frozen=True)
class Inpainter(Reconstructor):
    """Replaces the changed region of released slices.

    Attributes:
        surroundings: where people lie, and where they were changed.
        weight: 0-1, how far to go from what was released to what is proposed; see `weighed`.
    """

    surroundings: Surroundings
    weight: float

    @abstractmethod
    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        """What the pixels of a mask looked like originally: float32 [pixels], 0-1, in the order of `images[mask]`."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to save."""

    def reconstruct(self, released: ReleasedSlices) -> Images:
        """Replace the changed region; outside it the released images stay bit by bit.

        Raises:
            DataError: images of another size than those of the training; a known region that is missing.
        """
        images = released.images.copy()
        for person, mask in self.located(released):
            patched = person.images.copy()
            change = self.propose(person, mask) - patched[mask]
            patched[mask] = np.clip(patched[mask] + np.float32(self.weight) * change, 0, 1)
            images[person.stack.members] = patched
        return images

    def located(self, released: ReleasedSlices) -> Iterator[tuple[Posed, Mask]]:
        """Every release that was changed at all, aligned, and where it was changed."""
        for person in self.surroundings.averages.pose(released):
            mask = self.surroundings.locate(person, released)
            if mask.any():
                yield person, mask

    def weighed(self, validation: SlicePairs) -> Self:
        """The same with the weight that leaves the smallest squared error on the validation people.

        A proposal that only harms gets the weight 0, and nothing is done. Without validation people the weight is 1.
        """
        agreement = length = 0.0
        for person, mask in self.located(validation.released):
            change = (self.propose(person, mask) - person.images[mask]).astype(np.float64)
            missing = (validation.original[person.stack.members] - person.images)[mask]
            agreement += float(change @ missing)
            length += float(change @ change)
        return replace(self, weight=float(np.clip(agreement / length, 0, 1)) if length else 1.0)

    def save(self, folder: Path) -> None:
        """Write one `attacker.npz`."""
        arrays = {**self.surroundings.arrays(), "weight": np.array(self.weight), **self.arrays()}
        np.savez(folder / FILE, **arrays)  # type: ignore[arg-type]  # numpy's stub takes every name for `allow_pickle`


def read(folder: Path) -> dict[str, NDArray[Any]]:
    """The arrays that `Inpainter.save` wrote.

    Raises:
        StoreError: they are missing or damaged; the message names the file.
    """
    try:
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:
        raise StoreError(f"{folder / FILE} holds no usable attacker: {error}; remove it to train again") from error
