"""A reconstructor of whole images, pasted only where the anonymizer changed them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refbench.attackers.base import Reconstructor
from refbench.attackers.inpainting import FILE, Surroundings, read
from refbench.types import Images, Mask, ReleasedSlices


@dataclass(frozen=True)
class Composite(Reconstructor):
    """Takes the changed region from another reconstructor and every other pixel from what was released.

    Attributes:
        whole: reconstructs whole images. surroundings: where the changed region is found.
    """

    whole: Reconstructor
    surroundings: Surroundings

    def reconstruct(self, released: ReleasedSlices) -> Images:
        """Replace the changed region; outside it the released images stay bit by bit.

        Raises:
            DataError: images of another size than those of the training; a known region that is missing.
        """
        return pasted(released, self.whole.reconstruct(released), changed_region(self.surroundings, released))

    def save(self, folder: Path) -> None:
        """Write the files of the whole reconstructor and one `attacker.npz`."""
        self.whole.save(folder)
        np.savez(folder / FILE, **self.surroundings.arrays())  # type: ignore[arg-type]  # numpy's stub: `allow_pickle`

    @classmethod
    def load(cls, folder: Path, whole: Reconstructor) -> Composite:
        """Read what `save` wrote beside the files of `whole`.

        Raises:
            StoreError: a file is missing or damaged; the message names it.
        """
        return cls(whole, Surroundings.from_arrays(read(folder)))


def changed_region(surroundings: Surroundings, released: ReleasedSlices) -> Mask:
    """Where slices of any number of releases were changed, as estimated or told: bool [n, h, w]."""
    mask = np.zeros(released.images.shape, bool)
    for person in surroundings.averages.pose(released):
        mask[person.stack.members] = surroundings.locate(person, released)
    return mask


def pasted(released: ReleasedSlices, images: Images, mask: Mask) -> Images:
    """The released images with those pixels of others [n, h, w] that a mask [n, h, w] names."""
    together: Images = np.where(mask, images, released.images)
    return together
