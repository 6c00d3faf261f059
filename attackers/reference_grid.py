"""Bring single releases onto the reference's grid, where people can be compared voxel by voxel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.alignment import mean_in_reference
from refbench.attackers.averages import Posed
from refbench.types import Images, ReleasedSlices


def in_reference(person: Posed, slices: NDArray[Any]) -> Images:
    """Something of one release [k, h, w] where it lies in the reference: float32 [count, r, c]."""
    alone = ReleasedSlices(person.images, np.zeros(len(slices), np.int64), person.stack.planes)
    return mean_in_reference(slices, alone, [person.transform], person.averages.reference)
