"""What a paired network sees of a release, and how its answer is put back into it.

`Windows`: where only the changed region is repainted, a network need not see more than a window around it: smaller
images, the face always at the same place. Its answer starts from the best that is there without it: what was released,
the aligned average face or, of a blur, Wiener's deconvolution, as the validation people have it. Both learn little or
nothing of single training people, so that a start is as good for new people as for those that the network learns from.
`WholeImages`: the network redraws everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.averages import Posed
from refbench.attackers.base import TrainingContext
from refbench.attackers.deconvolution import DeconvolutionReconstructor, sharpened, some_people
from refbench.attackers.inpainting import KnownOrEstimated, Surroundings, best, mixed
from refbench.attackers.mean_face import MeanFaceReconstructor
from refbench.types import Affine, Images, Mask, ReleasedSlices, SlicePairs

MULTIPLE = 16
"""Sides of a window are multiples of this many pixels: networks halve them up to four times."""

MARGIN = 1 / 16
"""Of an image's side: what a window shows on every side of the largest changed region of the training people."""


@dataclass(frozen=True)
class View:
    """One release as a network sees it.

    Attributes:
        members: int [k], its slices in the arrays of all.
        seen: float32 [k, channels, h, w], 0-1: the slice, its neighbours where they are shown, how likely each pixel
            was changed, and the start.
        start: float32 [k, h, w], 0-1: what the network's answer is added to.
        mask: bool [k, h, w]: where the answer is pasted.
        corner: row and column of the window in the images.
        whole: float32 [k, H, W], 0-1: the release with the start in the changed region, where no answer reaches.
    """

    members: NDArray[np.int64]
    seen: NDArray[np.float32]
    start: Images
    mask: Mask
    corner: tuple[int, int]
    whole: Images


@dataclass(frozen=True)
class WholeImages:
    """Views of whole images; the start is a uniform grey.

    Attributes:
        neighbours: slices shown on either side.
    """

    neighbours: int

    @property
    def channels(self) -> int:
        """Of `View.seen`."""
        return 2 * self.neighbours + 1

    def views(self, released: ReleasedSlices) -> Iterator[View]:
        """Every release."""
        for number in np.unique(released.release):
            members = np.flatnonzero(released.release == number)
            images = released.images[members]
            seen = np.stack([images, *_neighbours(images, self.neighbours)], axis=1)
            grey = np.full_like(images, 0.5)
            yield View(members, seen, grey, np.ones(images.shape, bool), (0, 0), grey)

    def pairs(self, train: SlicePairs) -> Iterator[tuple[View, Images]]:
        """All training views with their originals, float32 [k, h, w]."""
        for view in self.views(train.released):
            yield view, train.original[view.members]

    def paste(self, images: Images, view: View, answer: Images) -> None:
        """Replace the release's images by an answer [k, h, w]."""
        images[view.members] = np.clip(answer, 0, 1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to save."""
        return {"neighbours": np.array(self.neighbours)}


@dataclass(frozen=True)
class Windows:
    """Views of windows around the changed region.

    Attributes:
        starter: makes the start, and finds the changed region.
        size: (h, w) of a window in pixels.
        neighbours: slices shown on either side.
    """

    starter: MeanFaceReconstructor | DeconvolutionReconstructor
    size: tuple[int, int]
    neighbours: int

    @classmethod
    def learn(
        cls,
        train: SlicePairs,
        validation: SlicePairs,
        context: TrainingContext,
        *,
        region: KnownOrEstimated,
        neighbours: int,
    ) -> tuple[Windows, list[Affine]]:
        """Align the training people, learn to find the changed region, and fit the window to it.

        Returns:
            How views are made, and each training release's map (see `Averages.learn`).
        """
        surroundings, transforms = Surroundings.learn(train, validation, region, context)
        starters: list[MeanFaceReconstructor | DeconvolutionReconstructor] = [
            MeanFaceReconstructor(surroundings, 1.0),
            *sharpened(surroundings, "wiener", train),
        ]
        starter = best(starters, validation if len(validation) else some_people(train), context.judge)
        unfitted = cls(starter, (0, 0), neighbours)
        boxes = [box for person, _, mask in unfitted._located(train.released, transforms) if (box := _box(mask))]
        return replace(unfitted, size=_fitting(boxes, train.original.shape[1:])), transforms

    @property
    def channels(self) -> int:
        """Of `View.seen`."""
        return 2 * self.neighbours + 3

    def views(self, released: ReleasedSlices, transforms: Sequence[Affine] = ()) -> Iterator[View]:
        """Every release that was changed at all.

        Raises:
            DataError: images of another size than those of the training; a known region that is missing.
        """
        for person, chance, mask in self._located(released, transforms):
            box = _box(mask)
            if box is None:
                continue
            start = mixed(person, mask, self.starter.propose(person, mask), self.starter.weight)
            shown = [person.images, *_neighbours(person.images, self.neighbours), chance, start]
            corner = self._corner(box, mask)
            yield View(
                person.stack.members,
                np.stack([self._cut(images, corner) for images in shown], axis=1),
                self._cut(start, corner),
                self._cut(mask, corner),
                corner,
                start,
            )

    def pairs(self, train: SlicePairs, transforms: Sequence[Affine]) -> Iterator[tuple[View, Images]]:
        """All training views with the originals in them, float32 [k, h, w]."""
        for view in self.views(train.released, transforms):
            yield view, self._cut(train.original[view.members], view.corner)

    def paste(self, images: Images, view: View, answer: Images) -> None:
        """Put an answer [k, h, w], 0-1, into the changed region of the release's images; nothing else is touched.

        What lies outside the window becomes the start.
        """
        images[view.members] = view.whole
        height, width = self.size
        top, left = view.corner
        for number, member in enumerate(view.members):
            place = images[member, top : top + height, left : left + width]
            inside = tuple(slice(0, side) for side in place.shape)
            mask = view.mask[number][inside]
            place[mask] = np.clip(answer[number][inside][mask], 0, 1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to save."""
        own = {"window": np.array(self.size), "neighbours": np.array(self.neighbours)}
        return {**self.starter.everything(), **own}

    def _located(self, released: ReleasedSlices, transforms: Sequence[Affine]) -> Iterator[tuple[Posed, Images, Mask]]:
        """Every release aligned, how likely its pixels were changed, and where they are taken as changed."""
        surroundings = self.starter.surroundings
        for person in surroundings.averages.pose(released, transforms):
            chance = surroundings.chance(person, released)
            yield person, chance, chance >= surroundings.threshold

    def _corner(self, box: tuple[slice, slice], mask: Mask) -> tuple[int, int]:
        """Where a window lies that shows a mask [k, h, w] of this box."""
        rows, columns = mask.sum(axis=(0, 2)), mask.sum(axis=(0, 1))
        return _place(box[0], rows, self.size[0]), _place(box[1], columns, self.size[1])

    def _cut(self, images: NDArray[Any], corner: tuple[int, int]) -> NDArray[Any]:
        """The window of images [k, h, w]; what it reaches beyond them is filled with 0."""
        (height, width), (top, left) = self.size, corner
        window = images[:, top : top + height, left : left + width]
        missing = [(0, 0), (0, height - window.shape[1]), (0, width - window.shape[2])]
        return np.pad(window, missing)


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> WholeImages | Windows:
    """The inverse of either's `arrays`."""
    neighbours = int(arrays["neighbours"])
    if "window" not in arrays:
        return WholeImages(neighbours)
    height, width = (int(side) for side in arrays["window"])
    starter = DeconvolutionReconstructor if "method" in arrays else MeanFaceReconstructor
    return Windows(starter.from_arrays(arrays), (height, width), neighbours)


def _neighbours(images: Images, reach: int) -> list[Images]:
    """The slices up to `reach` to the left and right of each, [k, h, w] apiece; at the ends the last one goes on."""
    last = len(images) - 1
    steps = [step for distance in range(1, reach + 1) for step in (-distance, distance)]
    return [images[np.clip(np.arange(len(images)) + step, 0, last)] for step in steps]


def _box(mask: Mask) -> tuple[slice, slice] | None:
    """Rows and columns that hold all of a mask [k, h, w]; None where it is empty."""
    if not mask.any():
        return None
    rows, columns = (np.flatnonzero(mask.any(axis=(0, axis))) for axis in (2, 1))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _place(side: slice, counts: NDArray[np.int64], window: int) -> int:
    """Where a window begins, along one side, that does not reach over the image without need.

    The box is in its middle; of one that is too large for it, as much as possible is inside.

    Args:
        side: of the box.
        counts: pixels of the mask in each row or column.
        window: its length.
    """
    if side.stop - side.start > window:
        return int(np.convolve(counts, np.ones(window, np.int64), "valid").argmax())
    centred: int = (side.start + side.stop - window) // 2
    return max(0, min(centred, len(counts) - window))


def _fitting(boxes: Sequence[tuple[slice, slice]], shape: tuple[int, ...]) -> tuple[int, int]:
    """The size of a window that holds the largest of the boxes and the margin round it, if the image does."""
    sides = []
    for axis, whole in enumerate(shape):
        largest = max((box[axis].stop - box[axis].start for box in boxes), default=0)
        wished = min(largest + 2 * round(MARGIN * whole), whole)
        sides.append(-(-max(wished, MULTIPLE) // MULTIPLE) * MULTIPLE)
    return sides[0], sides[1]
