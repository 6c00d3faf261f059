"""Where a probe's own face stands among the gallery's when it is sorted by likeness.

Source: Jain, Ross & Nandakumar, Introduction to Biometrics, 2011, section 1.4.2 (identification, cumulative match
characteristic).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Where the own face of each probe stands.

    Attributes:
        ahead: int [probes], faces of other people that are more alike than the own one.
        tied: int [probes], faces of other people that are as alike: the own one stands anywhere among them.
        gallery: faces in the gallery.
    """

    ahead: NDArray[np.int64]
    tied: NDArray[np.int64]
    gallery: int


def places(similarities: Floats, own: NDArray[np.int64]) -> Places:
    """Find the own face of every probe.

    A probe whose own face cannot be compared with it is placed by chance: all faces are tied. A face of somebody else
    that cannot be compared stands behind the own one.

    Args:
        similarities: float64 [probes, gallery], the larger the more alike; NaN where there is no comparing.
        own: int [probes], the column of each probe's own face.
    """
    mine = similarities[np.arange(len(own)), own]
    ahead = (similarities > mine[:, None]).sum(axis=1)
    tied = (similarities == mine[:, None]).sum(axis=1) - 1
    gallery = similarities.shape[1]
    return Places(ahead, np.where(np.isnan(mine), gallery - 1, tied), gallery)


def found_within(rank: int, of: Places) -> Floats:
    """Chance that the own face is among the `rank` most alike, ties being broken at random: float64 [probes], 0-1."""
    return np.clip((rank - of.ahead) / (of.tied + 1), 0.0, 1.0)


def match_curve(of: Places) -> Floats:
    """Cumulative match characteristic: share of probes found within rank 1, 2, ..., gallery; float64 [gallery], 0-1."""
    return np.array([found_within(rank, of).mean() for rank in range(1, of.gallery + 1)])


def found_in_galleries(sizes: Sequence[int], of: Places, rank: int = 1) -> Floats:
    """Share of probes expected to be found in smaller galleries, drawn at random around the own face.

    Of those that stand ahead of the own face, a gallery of n holds a hypergeometric number: the own face is found
    within `rank` if fewer than `rank` of the other n - 1 faces come from them. Ties are broken at random.

    Args:
        sizes: 1 to the size of the whole gallery.
        of: places in the whole gallery.
        rank: within which the own face must stand.

    Returns:
        float64 [sizes], 0-1.
    """
    from scipy.stats import hypergeom

    ahead = np.arange(of.gallery)
    shares = []
    for size in sizes:
        found = hypergeom.cdf(rank - 1, of.gallery - 1, ahead, size - 1)
        up_to = np.concatenate([[0.0], np.cumsum(found)])
        shares.append(np.mean((up_to[of.ahead + of.tied + 1] - up_to[of.ahead]) / (of.tied + 1)))
    return np.array(shares)
