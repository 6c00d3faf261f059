from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.attackers.averages import Posed
from refbench.attackers.base import TrainingContext
from refbench.attackers.deconvolution import DeconvolutionReconstructor
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.attackers.mean_face import MeanFaceReconstructor
from refbench.attackers.windows import MULTIPLE, WholeImages, Windows, from_arrays
from refbench.errors import DataError
from refbench.testing_cohort import PLANES, toy_cohort
from refbench.types import Images, ReleasedSlices, SlicePairs

Cohort = Callable[..., SlicePairs]
Box = tuple[int, int, int, int]
"""First and last row, first and last column, the last ones exclusive."""

HERE = TrainingContext(0, Path("unused"))


@cache
def learn(
    cohort: Cohort, how: str, region: KnownOrEstimated = "estimated", neighbours: int = 0, validation: int = 3
) -> Windows:
    people = cohort(how, people=3, seed=2).take(slice(0, validation * PLANES))
    return Windows.learn(cohort(how, seed=1), people, HERE, region=region, neighbours=neighbours)[0]


def boxed(boxes: Sequence[Box], side: int = 64) -> SlicePairs:
    """People who were made black in a box each."""
    pairs = toy_cohort("identity", people=len(boxes), side=side)
    changed = np.zeros(pairs.original.shape, bool)
    for number, (top, bottom, left, right) in enumerate(boxes):
        changed[number * PLANES : (number + 1) * PLANES, top:bottom, left:right] = True
    images = np.where(changed, np.float32(0), pairs.original)
    return replace(pairs, released=replace(pairs.released, images=images, changed=changed))


def fitted(train: SlicePairs) -> tuple[Windows, Sequence[np.ndarray]]:
    """Windows of people whose region is told, and their maps."""
    return Windows.learn(train, train.take(slice(0, 0)), HERE, region="known", neighbours=0)


def posed(windows: Windows, released: ReleasedSlices) -> Iterator[Posed]:
    return windows.starter.surroundings.averages.pose(released)


def error(pairs: SlicePairs, images: Images) -> float:
    return float(((images - pairs.original)[pairs.changed] ** 2).mean())


def started(windows: Windows, released: ReleasedSlices) -> Images:
    """The released images with the start of every view in its place."""
    images = released.images.copy()
    for view in windows.views(released):
        windows.paste(images, view, view.start)
    return images


# Where windows lie


def test_a_window_holds_the_largest_region_and_a_margin() -> None:
    train = boxed([(20, 40, 10, 40), (24, 34, 12, 30)])  # the larger is 20 x 30; 64 / 16 pixels of margin on each side
    windows, transforms = fitted(train)
    assert windows.size == (32, 48)
    views = list(windows.views(train.released, transforms))
    assert [view.corner for view in views] == [(14, 1), (13, 0)], "in the middle, but never over the edge"
    for view, person in zip(views, np.unique(train.released.release), strict=True):
        assert view.seen.shape == (PLANES, 3, 32, 48)
        assert view.mask.sum() == train.changed[train.released.release == person].sum()


@pytest.mark.parametrize(
    ("box", "corner"),
    [((0, 20, 0, 30), (0, 0)), ((44, 64, 34, 64), (32, 16)), ((30, 50, 0, 30), (24, 0))],
    ids=["first corner", "last corner", "edge"],
)
def test_at_the_edge_of_an_image_the_window_stays_inside(box: Box, corner: tuple[int, int]) -> None:
    windows, transforms = fitted(boxed([box, (20, 40, 10, 40)]))
    view = next(windows.views(boxed([box]).released, transforms[:1]))
    assert (windows.size, view.corner) == ((32, 48), corner)
    assert view.mask.sum() == PLANES * 20 * 30


def test_windows_move_with_the_region() -> None:
    windows, transforms = fitted(boxed([(20, 40, 10, 40)] * 2))
    one, other = (
        next(windows.views(boxed([box]).released, transforms[:1])) for box in [(20, 30, 20, 40), (25, 35, 17, 37)]
    )
    assert np.subtract(other.corner, one.corner).tolist() == [5, -3]
    np.testing.assert_array_equal(one.mask, other.mask)


def test_of_a_region_larger_than_any_in_training_the_window_shows_the_most() -> None:
    windows, transforms = fitted(boxed([(20, 30, 20, 30)] * 2))
    assert windows.size == (32, 32)
    people = boxed([(20, 40, 20, 50)])
    assert people.released.changed is not None
    people.released.changed[0, 60, 3] = True  # far off: the middle of all is not where the region is
    view = next(windows.views(people.released, transforms[:1]))
    assert view.mask.sum() == PLANES * 20 * 30


def test_an_image_that_is_smaller_than_the_window() -> None:
    pairs = boxed([(0, 40, 0, 40)] * 2, side=40)
    windows, transforms = fitted(pairs)
    views, originals = zip(*windows.pairs(pairs, transforms), strict=True)
    assert (windows.size, views[0].corner) == ((48, 48), (0, 0))
    for view, original in zip(views, originals, strict=True):
        assert view.seen.shape[2:] == original.shape[1:] == (48, 48)
        assert not view.seen[:, :, 40:].any()
        assert not view.mask[:, :, 40:].any()
        assert not original[:, 40:].any()
    images = pairs.released.images.copy()
    for view, original in zip(views, originals, strict=True):
        windows.paste(images, view, original)
    np.testing.assert_array_equal(images, pairs.original)


@pytest.mark.parametrize("side", [40, 48])
@pytest.mark.parametrize("region", ["known", "estimated"])
def test_sides_are_multiples_that_networks_can_halve(cohort: Cohort, region: KnownOrEstimated, side: int) -> None:
    train = cohort("removal", people=4, seed=1, side=side)
    windows, transforms = Windows.learn(train, train.take(slice(0, 0)), HERE, region=region, neighbours=0)
    assert all(length % MULTIPLE == 0 and length > 0 for length in windows.size)
    assert {view.seen.shape[2:] for view in windows.views(train.released, transforms)} == {windows.size}
    nobody = cohort("identity", people=3, seed=1, side=side)
    assert Windows.learn(nobody, nobody, HERE, region=region, neighbours=0)[0].size == (MULTIPLE, MULTIPLE)


# What comes of an answer


def test_an_unchanged_release_among_others_gives_no_view() -> None:
    pairs = boxed([(20, 40, 10, 40), (0, 0, 0, 0), (22, 40, 10, 38)])
    windows, transforms = fitted(pairs)
    views = list(windows.views(pairs.released, transforms))
    assert [view.members.tolist() for view in views] == [list(range(5)), list(range(10, 15))]
    images = started(windows, pairs.released)
    np.testing.assert_array_equal(images[5:10], pairs.original[5:10])


SMALL = boxed([(10, 30, 4, 20)] * 2, side=40)


@cache
def small() -> Windows:
    return fitted(SMALL)[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1), row=st.integers(0, 39), height=st.integers(1, 40))
def test_pasting_touches_the_region_alone_and_pasted_originals_are_the_originals(
    seed: int, share: float, row: int, height: int
) -> None:
    rng = np.random.default_rng(seed)
    windows, pairs = small(), SMALL.take(slice(0, PLANES))
    changed = rng.random(pairs.original.shape) < share
    changed[:, :row] = changed[:, row + height :] = False
    pairs = replace(pairs, released=replace(pairs.released, changed=changed))
    images, restored = pairs.released.images.copy(), pairs.released.images.copy()
    inside = np.zeros_like(changed)
    started = images.copy()
    for view, original in windows.pairs(pairs, [np.eye(4)]):
        (top, left), (high, wide) = view.corner, windows.size
        inside[:, top : top + high, left : left + wide] = True
        windows.paste(images, view, rng.normal(size=view.start.shape).astype(np.float32))
        windows.paste(restored, view, original)
        started[view.members] = view.whole
    np.testing.assert_array_equal(images[~changed], pairs.released.images[~changed])
    np.testing.assert_array_equal(restored, np.where(changed & inside, pairs.original, started))
    assert images.min() >= 0
    assert images.max() <= 1


def test_whole_images_are_shown_and_replaced_whole() -> None:
    pairs = boxed([(20, 40, 10, 40), (0, 0, 0, 0)])
    frame = WholeImages(neighbours=0)
    views, originals = zip(*frame.pairs(pairs), strict=True)
    images = pairs.released.images.copy()
    for view, original in zip(views, originals, strict=True):
        np.testing.assert_array_equal(view.seen[:, 0], pairs.released.images[view.members])
        assert (view.start == 0.5).all()
        assert view.mask.all()
        assert view.corner == (0, 0)
        frame.paste(images, view, 3 * original - 1)
    np.testing.assert_array_equal(images, np.clip(3 * pairs.original - 1, 0, 1))


# What is seen


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_of_a_removed_face_the_start_is_the_mean_face(cohort: Cohort, region: KnownOrEstimated) -> None:
    windows, people = learn(cohort, "removal", region), cohort("removal", people=2, seed=3)
    assert isinstance(windows.starter, MeanFaceReconstructor)
    assert windows.starter.weight == 1
    images = started(windows, people.released)
    for person in posed(windows, people.released):
        mask = windows.starter.surroundings.locate(person, people.released)
        members = person.stack.members
        expected = np.where(mask, person.original, people.released.images[members])
        np.testing.assert_allclose(images[members], expected, atol=1e-6)
    assert error(people, images) < 0.1 * error(people, people.released.images)


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_of_a_blurred_face_the_start_is_sharpened(cohort: Cohort, region: KnownOrEstimated) -> None:
    windows, people = learn(cohort, "blur", region), cohort("blur", people=2, seed=3)
    assert isinstance(windows.starter, DeconvolutionReconstructor)
    images = started(windows, people.released)
    assert error(people, images) < 0.4 * error(people, people.released.images)
    np.testing.assert_array_equal(images, windows.starter.reconstruct(people.released))


def test_where_the_validation_people_want_neither_the_start_is_what_was_released(cohort: Cohort) -> None:
    def judge(pairs: SlicePairs, images: Images) -> float:
        return -float(np.square(images - pairs.released.images).mean())

    train, people = cohort("removal", seed=1), cohort("removal", people=3, seed=2)
    windows, _ = Windows.learn(train, people, replace(HERE, judge=judge), region="known", neighbours=0)
    np.testing.assert_array_equal(started(windows, people.released), people.released.images)


@pytest.mark.parametrize("how", ["removal", "blur"])
def test_without_validation_people_training_people_choose_the_start(cohort: Cohort, how: str) -> None:
    with_people, without = learn(cohort, how, "known"), learn(cohort, how, "known", validation=0)
    assert type(without.starter) is type(with_people.starter)
    assert without.starter.weight > 0


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_the_channels_are_slice_neighbours_chance_and_start(cohort: Cohort, region: KnownOrEstimated) -> None:
    windows, people = learn(cohort, "removal", region, neighbours=1), cohort("removal", people=2, seed=3)
    assert windows.channels == 5
    for view, person in zip(windows.views(people.released), posed(windows, people.released), strict=True):
        (top, left), (height, width) = view.corner, windows.size
        images = people.released.images[view.members, top : top + height, left : left + width]
        np.testing.assert_array_equal(view.seen[:, 0], images)
        np.testing.assert_array_equal(view.seen[:, 1], images[[0, 0, 1, 2, 3]])
        np.testing.assert_array_equal(view.seen[:, 2], images[[1, 2, 3, 4, 4]])
        estimate = windows.starter.surroundings.region
        if estimate is None:
            np.testing.assert_array_equal(view.seen[:, 3] > 0, view.mask)
        else:
            chance = estimate.probability(person)[:, top : top + height, left : left + width]
            np.testing.assert_array_equal(view.seen[:, 3], chance)
            np.testing.assert_array_equal(view.mask, chance >= estimate.threshold)
        np.testing.assert_array_equal(view.seen[:, 4], view.start)


def test_neighbours_are_never_another_releases() -> None:
    release, position = np.array([7, 7, 7, 2, 2, 9]), np.array([0, 1, 2, 0, 1, 0])
    images = np.arange(6, dtype=np.float32)[:, None, None] / 10 * np.ones((1, 8, 8), np.float32)
    frame = WholeImages(neighbours=2)
    assert frame.channels == 5
    shown = {
        int(member): [round(10 * float(value)) for value in seen[:, 0, 0]]
        for view in frame.views(ReleasedSlices(images, release, position))
        for member, seen in zip(view.members, view.seen, strict=True)
    }
    assert shown == {
        0: [0, 0, 1, 0, 2],
        1: [1, 0, 2, 0, 2],
        2: [2, 1, 2, 0, 2],
        3: [3, 3, 4, 3, 4],
        4: [4, 3, 4, 3, 4],
        5: [5, 5, 5, 5, 5],
    }


def test_an_estimate_never_reads_the_true_region(cohort: Cohort) -> None:
    windows, released = learn(cohort, "removal"), cohort("removal", people=2, seed=3).released
    assert released.changed is not None
    lie = replace(released, changed=~released.changed)
    for view, other in zip(windows.views(replace(released, changed=None)), windows.views(lie), strict=True):
        assert view.corner == other.corner
        for name in ("seen", "start", "mask", "members"):
            np.testing.assert_array_equal(getattr(view, name), getattr(other, name))


def test_a_known_region_that_is_missing_and_images_of_another_size_are_refused(cohort: Cohort) -> None:
    windows, released = learn(cohort, "removal", "known"), cohort("removal", people=1, seed=3).released
    with pytest.raises(DataError, match="region: known"):
        list(windows.views(replace(released, changed=None)))
    with pytest.raises(DataError, match="trained on"):
        list(windows.views(cohort("removal", people=1, side=48).released))


# Saving


@pytest.mark.parametrize(
    ("how", "region", "neighbours"),
    [("removal", "estimated", 1), ("removal", "known", 0), ("blur", "estimated", 0), ("blur", "known", 1)],
)
def test_saved_windows_give_the_same_views(
    cohort: Cohort, how: str, region: KnownOrEstimated, neighbours: int, tmp_path: Path
) -> None:
    windows, released = learn(cohort, how, region, neighbours), cohort(how, people=2, seed=3).released
    np.savez(tmp_path / "windows.npz", **windows.arrays())  # type: ignore[arg-type]
    with np.load(tmp_path / "windows.npz", allow_pickle=False) as arrays:
        loaded = from_arrays(dict(arrays))
    assert isinstance(loaded, Windows)
    assert (loaded.size, loaded.channels) == (windows.size, windows.channels)
    for view, other in zip(windows.views(released), loaded.views(released), strict=True):
        assert view.corner == other.corner
        for name in ("seen", "start", "mask", "members"):
            np.testing.assert_array_equal(getattr(view, name), getattr(other, name))


def test_saved_whole_images_are_whole_images() -> None:
    assert from_arrays(WholeImages(2).arrays()) == WholeImages(2)
