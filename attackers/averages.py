"""What training people look like on average, brought into the pose of each new release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.alignment import Reference, Stack, average, from_reference, mean_in_reference, stacks
from refbench.types import Affine, Images, ReleasedSlices, SlicePairs


@dataclass(frozen=True)
class Averages:
    """Averages over the training people, on the grid of the reference.

    Attributes:
        reference: the average release.
        original: float32 [count, r, c], the average original, 0-1.
        changed: float32 [count, r, c], the share of people whose image was changed there, 0-1.
    """

    reference: Reference
    original: Images
    changed: Images

    @classmethod
    def learn(cls, train: SlicePairs) -> tuple[Averages, list[Affine]]:
        """Align and average the training people; also returns each release's map (see `Reference.align`)."""
        released = train.released
        reference, transforms = average(released)
        original = mean_in_reference(train.original, released, transforms, reference)
        changed = mean_in_reference(train.changed, released, transforms, reference)
        return cls(reference, original, changed), transforms

    def pose(self, released: ReleasedSlices, transforms: Sequence[Affine] = ()) -> Iterator[Posed]:
        """Align every release, one after the other; `transforms` where that has been done.

        Raises:
            DataError: the images have another size than those of the training.
        """
        for number, stack in enumerate(stacks(released)):
            transform = transforms[number] if transforms else self.reference.align(stack.volume(released.images))
            yield Posed(self, stack, transform, released.images[stack.members])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to save."""
        return {
            "reference": self.reference.volume,
            "size": np.array(self.reference.size),
            "original": self.original,
            "changed": self.changed,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Averages:
        """The inverse of `arrays`."""
        height, width = (int(side) for side in arrays["size"])
        reference = Reference(arrays["reference"].astype(np.float32), (height, width))
        return cls(reference, arrays["original"].astype(np.float32), arrays["changed"].astype(np.float32))


@dataclass(frozen=True)
class Posed:
    """One release, and the averages as they would lie in its images.

    Attributes:
        stack: which slices they are. transform: from the reference's grid to the stack.
        images: the released slices, float32 [k, h, w], 0-1.
    """

    averages: Averages
    stack: Stack
    transform: Affine
    images: Images

    @cached_property
    def original(self) -> Images:
        """The average original: float32 [k, h, w], 0-1."""
        return self._bring(self.averages.original)

    @cached_property
    def released(self) -> Images:
        """The average release: float32 [k, h, w], 0-1."""
        return self._bring(self.averages.reference.volume)

    @cached_property
    def changed(self) -> Images:
        """The share of training people changed there: float32 [k, h, w], 0-1."""
        return self._bring(self.averages.changed)

    def _bring(self, volume: Images) -> Images:
        return from_reference(volume, self.transform, self.stack, self.averages.reference.size)
