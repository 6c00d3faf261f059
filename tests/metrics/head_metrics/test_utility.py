from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest

from refbench.datasets.phantom import Phantom
from refbench.errors import DataError
from refbench.metrics.head_metrics.base import HeadPair
from refbench.metrics.head_metrics.utility import Utility, above_centre, brain_changed_percent, dice
from refbench.types import Head, Mask


@lru_cache(maxsize=1)
def phantom() -> Head:
    dataset = Phantom(subjects=1, scale=0.25)
    return dataset.load(dataset.scans()[0])


def labelled(head: Head) -> Mask:
    return head.labels["brain"]


def measured(candidate: Head, find_brain: Callable[[Head], Mask] = labelled) -> dict[str, float]:
    def no_skin(head: Head) -> None:
        raise AssertionError("utility needs no skin")

    head = phantom()
    return Utility().measure(HeadPair(head, candidate, labelled(head), find_brain, no_skin))


def test_nothing_changed_costs_nothing() -> None:
    figures = measured(phantom())
    assert set(figures) == set(Utility.figures)
    assert figures.pop("brain_dice") == 1
    assert figures == dict.fromkeys(figures, 0.0)
    assert set(Utility.headline) <= set(Utility.figures)


def test_another_scale_and_rounding_cost_nothing_but_scale_is_seen() -> None:
    head = phantom()
    step = np.percentile(head.voxels, 99.5) / 255
    rounded = head.with_voxels((np.rint(head.voxels / step) * step).astype(np.float32))
    figures = measured(rounded)
    assert figures["brain_changed_percent"] == 0
    assert abs(figures["grey_change_percent"]) < 1
    doubled = measured(head.with_voxels(head.voxels * 2))
    assert doubled.pop("brain_changed_percent") > 99
    assert doubled.pop("brain_dice") == 1
    assert all(abs(change) < 0.1 for change in doubled.values())


def test_removed_face_changes_the_head_and_not_the_brain() -> None:
    head = phantom()
    figures = measured(head.with_voxels(np.where(head.labels["face"], 0, head.voxels)))
    assert figures["head_change_percent"] < -0.5
    assert figures["brain_changed_percent"] == figures["grey_change_percent"] == figures["white_change_percent"] == 0
    assert figures["snr_grey_change_percent"] == figures["cjv_change_percent"] == 0
    assert figures["efc_change_percent"] != 0


def test_cut_brain_is_seen() -> None:
    head = phantom()
    brain = labelled(head)
    front = np.zeros_like(brain)
    front[:, np.flatnonzero(brain.any(axis=(0, 2)))[-6] :] = True
    cut = head.with_voxels(np.where(front, 0, head.voxels))

    def find(given: Head) -> Mask:
        return brain & (given.voxels > 0)

    figures = measured(cut, find)
    share = (brain & front).sum() / brain.sum()
    assert figures["brain_changed_percent"] == pytest.approx(100 * share, abs=1)
    assert figures["brain_dice"] == pytest.approx(2 * (1 - share) / (2 - share), abs=0.01)
    assert figures["grey_change_percent"] < -1


def test_the_rim_of_an_estimated_brain_is_forgiven() -> None:
    brain = np.zeros((12, 12, 12), bool)
    brain[2:10, 2:10, 2:10] = True
    head = Head(np.where(brain, 100, 0).astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    rim, inside = head.voxels.copy(), head.voxels.copy()
    rim[2, 2:10, 2:10] = 50
    inside[3, 2:10, 2:10] = 50

    def changed(candidate: np.ndarray, label: Mask | None) -> float:
        pair = HeadPair(head, head.with_voxels(candidate), label, lambda _: brain, lambda _: pytest.fail("no skin"))
        return brain_changed_percent(pair)

    assert changed(rim, brain) == changed(inside, brain) == 100 / 8
    assert changed(rim, None) == 0
    assert changed(inside, None) == pytest.approx(100 / 6)


def test_no_brain_in_the_candidate() -> None:
    head = phantom()
    blank = head.with_voxels(np.zeros_like(head.voxels))

    def find(given: Head) -> Mask:
        if not given.voxels.any():
            raise DataError("no brain")
        return labelled(given)

    figures = measured(blank, find)
    assert figures.pop("brain_dice") == 0
    assert figures.pop("brain_changed_percent") > 95
    assert np.isnan(list(figures.values())).all()
    # What is taken for a brain although it is constant.
    assert np.isnan(measured(blank)["grey_change_percent"])
    with pytest.raises(DataError, match="no brain"):
        Utility().measure(HeadPair(blank, head, None, find, lambda head: pytest.fail("no skin")))


def test_dice_by_hand() -> None:
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(first, second) == pytest.approx(2 / 3)
    assert np.isnan(dice(first & False, second & False))


def test_above_centre() -> None:
    brain = np.zeros((2, 2, 9), bool)
    brain[:, :, 2:5] = True
    assert above_centre(brain)[0, 0].tolist() == [False] * 4 + [True] * 5
