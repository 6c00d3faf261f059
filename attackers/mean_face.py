"""The average face of the training people, put where a face was hidden: the attack that knows nobody in particular."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.averages import Posed
from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated, Surroundings, read
from refbench.plugin import param
from refbench.types import Mask, SlicePairs


class MeanFace(Attacker):
    """Average face of the training people, aligned to each head.

    Heads are aligned by what was released of them (`refbench.attackers.alignment`). The validation people choose one
    number, how far to go from the released pixel to the average face: where a weak blur left more than an average
    knows, little is changed.
    """

    region: KnownOrEstimated = param(
        "estimated", "whether the changed region is estimated from the released images or told"
    )

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Average the training people; seconds."""
        surroundings, _ = Surroundings.learn(train, validation, self.region, context.seed)
        return MeanFaceReconstructor(surroundings, 1.0).weighed(validation)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        arrays = read(folder)
        return MeanFaceReconstructor(Surroundings.from_arrays(arrays), float(arrays["weight"]))


@dataclass(frozen=True)
class MeanFaceReconstructor(Inpainter):
    """Puts the average face into the changed region."""

    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        """The average original, in this person's pose."""
        return person.original[mask]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nothing beyond the surroundings."""
        return {}
