"""How far the skin moved."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.metrics.head_metrics.base import HeadMetric, HeadPair, Skin
from refbench.types import Mask

FACE = ("nose", "eyes", "mouth", "chin")
PARTS = (*FACE, "ears")

Points = NDArray[np.float32]


class SurfaceDistance(HeadMetric):
    """Distance between the outer skin of original and candidate, mm: how far the face is from the person's own.

    Of every part the mean over both directions, and the larger of their 95th percentiles (as in the 95 % Hausdorff
    distance; Huttenlocher et al., IEEE Trans. PAMI 15, 1993). The original's skin of a part is measured to whatever
    skin the candidate has; of the candidate's skin those points are measured back that are the nearest to any of them.
    `face` is nose, eyes, mouth and chin together, or all skin but the ears where no part is named.
    """

    figures: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            f"{part}_{name}_mm": f"{what} of the skin, {part}, mm"
            for part in ("face", *PARTS)
            for name, what in (("mean", "mean distance"), ("p95", "95th percentile of the distance"))
        }
    )
    headline: ClassVar[tuple[str, ...]] = ("face_mean_mm",)

    def measure(self, pair: HeadPair) -> dict[str, float]:
        """All figures, mm; NaN for a part that the original's skin lacks.

        Raises:
            DataError: one of the heads has no skin near the original's face.
        """
        original, candidate = pair.find_skin(pair.original), pair.find_skin(pair.candidate)
        for skin, which in ((original, "original"), (candidate, "candidate")):
            if not len(skin.points):
                name = pair.original.subject or "this head"
                raise DataError(f"{name}: the {which} has no skin where the original's face is. Look at the volumes.")
        figures: dict[str, float] = {}
        for part in ("face", *PARTS):
            mean, p95 = skin_distance(original.points, candidate.points, _where(original, part))
            figures |= {f"{part}_mean_mm": mean, f"{part}_p95_mm": p95}
        return figures


def skin_distance(original: Points, candidate: Points, chosen: Mask) -> tuple[float, float]:
    """Symmetric mean and 95th percentile of the distance between two sets of points, for a part of the first.

    Args:
        original: float32 (n, 3), mm, n > 0.
        candidate: float32 (m, 3), mm, m > 0; all there is, as it has no parts of its own where they were removed.
        chosen: bool (n,), the part.

    Returns:
        mm, mm; NaN if nothing is chosen.
    """
    from scipy.spatial import cKDTree

    if not chosen.any():
        return float("nan"), float("nan")
    there, nearest = cKDTree(candidate).query(original[chosen])
    back, _ = cKDTree(original).query(candidate[np.unique(nearest)])
    mean = (there.mean() + back.mean()) / 2
    return float(mean), float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _where(skin: Skin, part: str) -> Mask:
    if part != "face":
        named: Mask = skin.part == part
        return named
    face: Mask = np.isin(skin.part, FACE)
    return face if face.any() else skin.part != "ears"
