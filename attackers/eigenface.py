"""Eigenfaces: how faces vary together with what is left of them, as a few directions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.alignment import from_reference
from refbench.attackers.averages import Posed
from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.attackers.face_components import FaceComponents
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated, Surroundings, best, read
from refbench.attackers.reference_grid import in_reference
from refbench.plugin import param
from refbench.types import Images, Mask, SlicePairs

COMPONENTS = (20, 10, 40)
"""Numbers of directions to choose from; without anybody to choose for, the first."""


class Eigenface(Attacker):
    """Principal components of aligned faces, found from what was left of them.

    Originals in the changed region and releases in and around it are taken as one long vector for each training
    person, and its principal components are learnt. For a new person the released part is given; the expected original
    follows from it. The finest detail that a blur left is kept where that helps on the validation people, who also
    choose the number of components and how far to go.

    Turk & Pentland, "Eigenfaces for recognition", J. Cognitive Neuroscience 1991; with a Gaussian prior on the
    coefficients: Tipping & Bishop, "Probabilistic principal component analysis", JRSS B 1999.
    """

    region: KnownOrEstimated = param(
        "estimated", "whether the changed region is estimated from the released images or told"
    )
    components: int | None = param(None, "directions that are learnt; none given: the validation people choose", ge=1)

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """One singular value decomposition; seconds."""
        surroundings, transforms = Surroundings.learn(train, validation, self.region, context)
        faces = FaceComponents.learn(train, surroundings.averages, transforms)
        numbers = COMPONENTS if self.components is None else (self.components,)
        candidates = [
            EigenfaceReconstructor(surroundings, 1.0, faces.first(number), detail)
            for number in numbers
            for detail in (False, True)
        ]
        return best(candidates, validation, context.judge)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        arrays = read(folder)
        surroundings, weight = Surroundings.from_arrays(arrays), float(arrays["weight"])
        return EigenfaceReconstructor(surroundings, weight, FaceComponents.from_arrays(arrays), bool(arrays["detail"]))


@dataclass(frozen=True)
class EigenfaceReconstructor(Inpainter):
    """Puts the expected original into the changed region.

    Attributes:
        faces: what was learnt. detail: whether what the directions cannot explain of a release is kept.
    """

    faces: FaceComponents
    detail: bool

    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        """The aligned average, moved as the released part lets expect."""
        original, shown = self.faces.infer(in_reference(person, person.images))
        proposal = person.original + self._bring(original, person)
        if self.detail:
            proposal = proposal + person.images - person.released - self._bring(shown, person)
        pixels: NDArray[np.float32] = np.clip(proposal[mask], 0, 1)
        return pixels

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The components."""
        return {**self.faces.arrays(), "detail": np.array(self.detail)}

    def _bring(self, volume: Images, person: Posed) -> Images:
        return from_reference(volume, person.transform, person.stack, person.averages.reference.size)
