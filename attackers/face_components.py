"""How originals vary together with their releases, as a few directions on the reference's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.averages import Averages
from refbench.attackers.reference_grid import in_reference
from refbench.types import Affine, Images, Mask, SlicePairs

POSSIBLE = 0.01
"""Share of the training people who were changed from which on a voxel's original is predicted."""

NEAR = (1.5, 3.0, 3.0)
"""Standard deviations (planes, pixels of the reference's grid) by which that zone is smoothed to find its vicinity."""

VICINITY = 0.02
"""Value of the smoothed zone from which on a voxel is looked at."""


@dataclass(frozen=True)
class FaceComponents:
    """Probabilistic principal components of originals and releases on the reference's grid.

    Attributes:
        zone: bool [count, r, c], where originals are predicted. vicinity: the same shape, where releases are looked at.
        mean: float32 [zone + vicinity], of the training people. directions: float32 [q, zone + vicinity], orthonormal.
        variances: float64 [n], of all directions that were found, the largest first; those beyond q are noise.
    """

    zone: Mask
    vicinity: Mask
    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float64]

    @classmethod
    def learn(cls, train: SlicePairs, averages: Averages, transforms: list[Affine]) -> FaceComponents:
        """Decompose the training people's vectors."""
        from scipy import ndimage

        zone = averages.changed > POSSIBLE
        vicinity = ndimage.gaussian_filter(zone.astype(np.float32), NEAR) > VICINITY
        vectors = np.stack(
            [
                np.concatenate(
                    [
                        in_reference(person, train.original[person.stack.members])[zone],
                        in_reference(person, person.images)[vicinity],
                    ]
                )
                for person in averages.pose(train.released, transforms)
            ]
        )
        mean = vectors.mean(axis=0)
        # Far fewer people than voxels: the small matrix of their products has the same eigenvalues.
        centred = vectors - mean
        squares, people = np.linalg.eigh((centred @ centred.T).astype(np.float64))
        kept = np.flatnonzero(squares > 1e-6 * max(squares.max(), 1e-6))[::-1]
        directions = (people[:, kept] / np.sqrt(squares[kept])).T.astype(np.float32) @ centred
        return cls(zone, vicinity, mean, directions, squares[kept] / max(len(vectors) - 1, 1))

    def first(self, components: int) -> FaceComponents:
        """With so many directions, or all there are."""
        return replace(self, directions=self.directions[:components])

    def infer(self, release: Images) -> tuple[Images, Images]:
        """The expected original, and the release as the directions see it, of a release on the reference's grid.

        Returns:
            Both float32 [count, r, c], as differences from the training people's averages; 0 outside `zone`.
        """
        split = int(self.zone.sum())
        found = len(self.directions)
        noise = self.variances[found:].sum() / max(len(self.mean) - found, 1) + 1e-9
        loadings = self.directions * np.sqrt(np.maximum(self.variances[:found] - noise, 0))[:, None].astype(np.float32)
        seen = loadings[:, split:]
        observed = (seen @ (release[self.vicinity] - self.mean[split:])).astype(np.float64)
        coefficients = np.linalg.solve((seen @ seen.T).astype(np.float64) + noise * np.eye(found), observed)
        expected = coefficients.astype(np.float32) @ loadings
        original, shown = np.zeros(self.zone.shape, np.float32), np.zeros(self.zone.shape, np.float32)
        original[self.zone], shown[self.vicinity] = expected[:split], expected[split:]
        return original, shown

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to save."""
        return {f"faces_{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> FaceComponents:
        """The inverse of `arrays`."""
        return cls(*(arrays[f"faces_{name}"] for name in ("zone", "vicinity", "mean", "directions", "variances")))
