"""The average face of the training people, put where a face was hidden: the attack that knows nobody in particular."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.averages import Posed
from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated, Surroundings, read
from refbench.plugin import param
from refbench.types import Images, Mask, SlicePairs


class MeanFace(Attacker):
    """Average face of the training people, aligned to each head.

    Heads are aligned by what was released of them (`refbench.attackers.alignment`). The validation people choose one
    number, how far to go from the released pixel to the average face: where a weak blur left more than an average
    knows, little is changed.
    """

    floor: ClassVar[bool] = True

    region: KnownOrEstimated = param(
        "estimated", "whether the changed region is estimated from the released images or told"
    )
    aligned: bool = param(True, "false: average slices of equal position pixel by pixel, however the heads lie")

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Average the training people; seconds."""
        surroundings, _ = Surroundings.learn(train, validation, self.region, context)
        plain = None if self.aligned else _plain_average(train)
        return MeanFaceReconstructor(surroundings, 1.0, plain).weighed(validation, context.judge)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        return MeanFaceReconstructor.from_arrays(read(folder))


@dataclass(frozen=True)
class MeanFaceReconstructor(Inpainter):
    """Puts the average face into the changed region.

    Attributes:
        plain: float32 [count, h, w], 0-1, what is put there in place of the aligned average.
    """

    plain: Images | None = None

    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        """The average original, in this person's pose, or in nobody's."""
        if self.plain is None:
            return person.original[mask]
        return self.plain[np.minimum(person.stack.planes, len(self.plain) - 1)][mask]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The plain average, if that is used."""
        return {} if self.plain is None else {"plain": self.plain}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> MeanFaceReconstructor:
        """What was saved."""
        return cls(Surroundings.from_arrays(arrays), float(arrays["weight"]), arrays.get("plain"))


def _plain_average(train: SlicePairs) -> Images:
    """The average original of every position: float32 [count, h, w]; a position that nobody has is the nearest's."""
    positions = np.unique(train.released.position)
    means = np.stack([train.original[train.released.position == p].mean(axis=0) for p in positions])
    nearest = np.abs(np.arange(positions.max() + 1)[:, None] - positions).argmin(axis=1)
    average: Images = means[nearest].astype(np.float32)
    return average
