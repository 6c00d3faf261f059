"""D_sys: how far two faces can be linked to one person.

Source: Gomez-Barrero, Galbally, Rathgeb & Busch, "General Framework to Evaluate Unlinkability in Biometric Template
Protection Systems", IEEE Transactions on Information Forensics and Security 13(6), 2018, section IV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.identification.levels import Levels, Masses

Floats = NDArray[np.float64]

PER_BIN, MOST_BINS = 10, 100
"""Genuine pairs in a bin, and bins at most: as in the authors' own program."""


def bins(levels: Levels) -> NDArray[np.int64]:
    """The bin of each level, int [levels]: equal numbers of genuine pairs in each, ties never parted.

    The authors' bins are of equal width; with the few pairs of a cohort these would hold genuine and impostor pairs
    that lie far apart, and depend on the scale of similarities. -1: less alike than all genuine pairs.
    """
    count = int(np.clip(len(levels.genuine) // PER_BIN, 1, MOST_BINS))
    per_level = np.bincount(levels.genuine, minlength=levels.count)
    not_above = np.cumsum(per_level[::-1])[::-1]  # genuine pairs on this level or a less alike one
    of_genuine = (not_above - per_level) * count // len(levels.genuine)
    # A level without genuine pairs belongs to the bin that begins below it.
    last = np.where(per_level > 0, of_genuine, -1)
    return np.maximum.accumulate(last[::-1])[::-1]


def linkability(of: Masses, bin_of_level: NDArray[np.int64]) -> Floats:
    """The share of genuine pairs, each weighted by how much more likely it is genuine than not.

    With LR the ratio of the densities of genuine and impostor pairs, and both equally likely beforehand, a similarity
    links by D = max(0, (LR - 1) / (LR + 1)); D_sys is the mean of D over genuine pairs. Densities are histograms.

    Args:
        of: masses on levels.
        bin_of_level: int [levels], see `bins`.

    Returns:
        float64 [...], 0 (nothing is linked) to 1 (all is).
    """
    genuine, impostor = (_binned(masses, bin_of_level) for masses in (of.genuine, of.impostor))
    both = genuine + impostor
    linked = np.divide(genuine - impostor, both, out=np.zeros_like(both), where=both > 0)
    total: Floats = (genuine * np.maximum(linked, 0.0)).sum(axis=-1)
    return total


def _binned(masses: Floats, bin_of_level: NDArray[np.int64]) -> Floats:
    """Sums by bin; what lies in none has no genuine pairs, and adds nothing."""
    belongs: Floats = (bin_of_level[:, None] == np.arange(bin_of_level.max() + 1)).astype(np.float64)
    return masses @ belongs
