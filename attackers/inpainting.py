"""What attackers share that replace the changed region and leave the rest alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.averages import Averages, Posed
from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.changed_region import ChangedRegion
from refbench.attackers.weighing import WEIGHTS, choose
from refbench.errors import DataError, StoreError
from refbench.types import Affine, Images, Mask, ReleasedSlices, SlicePairs

FILE = "attacker.npz"

KnownOrEstimated = Literal["estimated", "known"]
Judge = Callable[[SlicePairs, Images], float]


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
        cls, train: SlicePairs, validation: SlicePairs, region: KnownOrEstimated, context: TrainingContext
    ) -> tuple[Surroundings, list[Affine]]:
        """Align, average and, unless it is `known`, learn to find the changed region.

        Attackers that are trained on the same pairs share it, see `TrainingContext.shared`.

        Returns:
            What was learnt, and each training release's map (see `Averages.learn`).
        """
        file = context.shared / f"surroundings-{region}-{context.seed}.npz" if context.shared else None
        if file and file.exists():
            arrays = _read(file)
            return cls.from_arrays(arrays), list(arrays["transforms"])
        averages, transforms = Averages.learn(train)
        found = None
        if region == "estimated":
            rng = np.random.default_rng(context.seed)
            found = ChangedRegion.learn(averages, transforms, train, validation, rng)
        surroundings = cls(averages, found)
        if file:
            _write(file, {**surroundings.arrays(), "transforms": np.array(transforms)})
        return surroundings, transforms

    @property
    def threshold(self) -> float:
        """The chance from which on a pixel is taken as changed."""
        return 1.0 if self.region is None else self.region.threshold

    def chance(self, person: Posed, released: ReleasedSlices) -> Images:
        """How likely each pixel of one release was changed: float32 [k, h, w], 0-1; 0 or 1 where that is told.

        Raises:
            DataError: the true region was promised and is missing.
        """
        if self.region is not None:
            return self.region.probability(person)
        if released.changed is None:
            raise DataError("an attacker with `region: known` needs the changed region of the released slices")
        return released.changed[person.stack.members].astype(np.float32)

    def locate(self, person: Posed, released: ReleasedSlices) -> Mask:
        """The changed region of one release, bool [k, h, w]; raises as `chance`."""
        mask: Mask = self.chance(person, released) >= self.threshold
        return mask

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
        weight: 0-1, how far to go from what was released to what is proposed; see `best`.
    """

    surroundings: Surroundings
    weight: float

    @abstractmethod
    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        """What the pixels of a mask looked like originally: float32 [pixels], 0-1, in the order of `images[mask]`."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What it has to save of its own."""

    def reconstruct(self, released: ReleasedSlices) -> Images:
        """Replace the changed region; outside it the released images stay bit by bit.

        Raises:
            DataError: images of another size than those of the training; a known region that is missing.
        """
        images = released.images.copy()
        if self.weight:
            for person, mask in self.located(released):
                images[person.stack.members] = mixed(person, mask, self.propose(person, mask), self.weight)
        return images

    def located(self, released: ReleasedSlices) -> Iterator[tuple[Posed, Mask]]:
        """Every release that was changed at all, aligned, and where it was changed."""
        for person in self.surroundings.averages.pose(released):
            mask = self.surroundings.locate(person, released)
            if mask.any():
                yield person, mask

    def weighed(self, validation: SlicePairs, judge: Judge) -> Self:
        """The same with the weight of `best`."""
        return best([self], validation, judge)

    def everything(self) -> dict[str, NDArray[Any]]:
        """All that there is to save, surroundings and weight included."""
        return {**self.surroundings.arrays(), "weight": np.array(self.weight), **self.arrays()}

    def save(self, folder: Path) -> None:
        """Write one `attacker.npz`."""
        np.savez(folder / FILE, **self.everything())  # type: ignore[arg-type]  # numpy's stub takes every name for `allow_pickle`


Candidate = TypeVar("Candidate", bound=Inpainter)


def best(candidates: Sequence[Candidate], validation: SlicePairs, judge: Judge) -> Candidate:
    """The candidate that gains most on the validation people, with the weight that does (see `weighing.choose`).

    Proposals that only harm get the weight 0, and nothing is done. Without validation people it is the first
    candidate, as it is.

    Args:
        candidates: of equal surroundings.
        validation: their people decide.
        judge: of `TrainingContext`; it is asked about one person at a time.
    """
    if not len(validation):
        return candidates[0]
    scores = []
    for person, mask in candidates[0].located(validation.released):
        pairs = validation.take(person.stack.members)
        proposals = [candidate.propose(person, mask) for candidate in candidates]
        scores.append([[judge(pairs, mixed(person, mask, one, weight)) for weight in WEIGHTS] for one in proposals])
    number, weight = choose(np.array(scores, np.float64).reshape(-1, len(candidates), len(WEIGHTS)))
    return replace(candidates[number], weight=weight)


def mixed(person: Posed, mask: Mask, proposal: NDArray[np.float32], weight: float) -> Images:
    """One person's images [k, h, w], 0-1, with the pixels of a mask moved a part of the way to what is proposed."""
    images = person.images.copy()
    images[mask] = np.clip(images[mask] + np.float32(weight) * (proposal - images[mask]), 0, 1)
    return images


def read(folder: Path) -> dict[str, NDArray[Any]]:
    """The arrays that `Inpainter.save` wrote.

    Raises:
        StoreError: they are missing or damaged; the message names the file.
    """
    return _read(folder / FILE)


def _read(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:
        raise StoreError(f"{file} holds no usable attacker: {error}; remove it to train again") from error


def _write(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Whole or not at all: others may be about to read it, or to write the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=file.parent, suffix=".new", delete=False) as beside:
        np.savez(beside, **arrays)  # type: ignore[arg-type]  # numpy's stub takes every name for `allow_pickle`
    Path(beside.name).replace(file)
