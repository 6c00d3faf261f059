"""A Gaussian blur inside a region with a soft edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.types import Images, Mask


@dataclass(frozen=True)
class PointSpread:
    """A Gaussian inside a region with a soft edge.

    Slices of one release are blurred as the volume they are, as far as slices some mm apart can tell.

    Attributes:
        across: standard deviation from slice to slice, in slices. within: the same inside a slice, in pixels.
        edge: how many pixels inside the region's edge the blur needs to reach its full share.
    """

    across: float
    within: float
    edge: int

    def share(self, mask: Mask) -> Images:
        """How much of the blur each pixel of a region takes: float32 [count, h, w], 0-1."""
        return soft_edge(mask, self.edge)

    def blur(self, shape: tuple[int, ...]) -> Gaussian:
        """The blur of volumes of a shape (count, h, w)."""
        return Gaussian.of(shape, self.across, self.within)

    def reach(self) -> int:
        """Pixels within a slice beyond which it hardly matters what is there."""
        return int(np.ceil(3 * self.within)) + 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to save."""
        return {"spread": np.array([self.across, self.within, self.edge])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> PointSpread | None:
        """The inverse of `arrays`; None where there is none."""
        if "spread" not in arrays:
            return None
        across, within, edge = arrays["spread"].tolist()
        return cls(across, within, int(edge))


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian blur of volumes of one shape; beyond a border its outermost values go on.

    As matrices, one for each axis: at these sizes the fastest way, and its transpose is exact.
    """

    matrices: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], across: float, within: float) -> Gaussian:
        """A blur of (count, h, w) by standard deviations in slices and in pixels."""
        from scipy import ndimage

        widths = (across, within, within)
        axes = zip(shape, widths, strict=True)
        matrices = (ndimage.gaussian_filter1d(np.eye(n), width, 0, mode="nearest") for n, width in axes)
        return cls(tuple(matrix.astype(np.float32) for matrix in matrices))

    def __call__(self, volume: Images) -> Images:
        """Blur float32 [count, h, w]."""
        across, rows, columns = self.matrices
        blurred: Images = np.tensordot(across, rows @ volume @ columns.T, axes=1).astype(np.float32, copy=False)
        return blurred

    @property
    def transpose(self) -> Gaussian:
        """The adjoint operator."""
        return Gaussian(tuple(matrix.T for matrix in self.matrices))


def soft_edge(mask: Mask, edge: int) -> Images:
    """Let a region fade in over some pixels inside its edge, slice by slice: float32 of the same shape, 0-1."""
    from scipy import ndimage

    inside = mask.astype(np.float32)
    mean = ndimage.uniform_filter(inside, (0, 2 * edge + 1, 2 * edge + 1), mode="nearest")
    share: Images = np.clip(2 * mean - 1, 0, 1) * inside
    return share


def around(region: Mask, reach: int) -> tuple[slice, slice, slice]:
    """Planes, rows and columns of a region [count, h, w], which is not empty, and so many pixels more around it."""
    rows, columns = (np.flatnonzero(region.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    first = max(0, int(rows[0]) - reach), max(0, int(columns[0]) - reach)
    return slice(None), slice(first[0], int(rows[-1]) + reach + 1), slice(first[1], int(columns[-1]) + reach + 1)
