"""How a training is judged, and when it goes over several cards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_plugins import Keep, Offset

from refbench.attackers import distributed
from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.pix2pix import Pix2Pix
from refbench.jobs import train as train_job
from refbench.jobs.train import Judge
from refbench.metrics.base import Metric
from refbench.types import Images, Region, ReleasedSlices, SlicePairs

SIZE = 4


class Brightness(Metric):
    """The candidate's mean over the region; NaN where the region is empty."""

    def score(self, reference: Images, candidate: Images, region: Region) -> NDArray[np.float64]:
        inside = [image[mask] for image, mask in zip(candidate, region.mask, strict=True)]
        return np.array([pixels.mean() if pixels.size else np.nan for pixels in inside], dtype=np.float64)


def pairs(release: list[int]) -> SlicePairs:
    """Slices of these releases; of each the first slice is changed nowhere, the others in their first row."""
    position = np.array([release[:place].count(one) for place, one in enumerate(release)])
    images = np.zeros((len(release), SIZE, SIZE), np.float32)
    changed = np.zeros(images.shape, bool)
    changed[position > 0, 0] = True
    return SlicePairs(ReleasedSlices(images, np.array(release), position, changed), images)


def judge(region: str) -> Judge:
    """Releases 0 and 1 are visits of one person, 2 is another's; faces are the last column, but not of slice 2."""
    face = np.zeros((3, SIZE, SIZE), bool)
    face[:2, :, -1] = True
    return Judge(Brightness(), region, np.array([0, 0, 1]), lambda release: face)


def constant(values: list[float]) -> Images:
    return np.array(values, np.float32)[:, None, None] * np.ones((SIZE, SIZE), np.float32)


def test_people_count_alike_however_many_slices_they_have() -> None:
    both = pairs([0, 0, 1, 1, 2, 2])
    images = constant([0.9, 0.1, 0.9, 0.3, 0.9, 0.8])
    assert judge("changed")(both, images) == pytest.approx((0.2 + 0.8) / 2), "first slices are changed nowhere"
    assert judge("whole")(both, images) == pytest.approx((0.55 + 0.85) / 2)
    assert judge("changed")(both.take(np.array([4, 5])), images[4:]) == pytest.approx(0.8), "one person alone"


def test_each_region_is_looked_at_where_it_lies() -> None:
    one = pairs([2, 2, 2])
    images = np.zeros((3, SIZE, SIZE), np.float32)
    images[:, :, :2], images[:, :, -1] = 0.4, 1
    assert judge("front_half")(one, images) == pytest.approx(0.4)
    assert judge("face")(one, images) == pytest.approx(1), "slice 2 has no face"
    assert judge("face")(one.take(np.array([1])), images[1:2]) == pytest.approx(1)
    assert judge("changed")(one, images) == pytest.approx((0.4 + 0.4 + 0 + 1) / 4)


def test_reconstructions_are_judged_as_they_are_scored_between_0_and_1() -> None:
    assert judge("whole")(pairs([0]), constant([1.5])) == 1


def test_what_is_defined_nowhere_is_nan() -> None:
    assert np.isnan(judge("changed")(pairs([0, 2]), constant([0.5, 0.5])))
    assert np.isnan(judge("whole")(pairs([0]).take(slice(0, 0)), constant([])))


@pytest.mark.parametrize(("device", "gpus", "over"), [("cuda", 2, 2), ("cuda", 1, None), ("cpu", 2, None)])
def test_a_network_goes_over_several_cards_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, over: int | None
) -> None:
    asked: list[int | None] = []

    def on_several(*given: Any) -> Reconstructor:
        asked.append(given[-1])
        return Keep(0)

    def alone(*given: Any) -> Reconstructor:
        asked.append(None)
        return Keep(0)

    monkeypatch.setattr(distributed, "fit_on_several", on_several)
    monkeypatch.setattr(Pix2Pix, "fit", alone)
    train_job._fit(Pix2Pix(), pairs([0]), pairs([2]), TrainingContext(0, tmp_path, device), gpus)
    assert asked == [over]


def test_a_deterministic_training_makes_cublas_repeatable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is as before afterwards
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    context = TrainingContext(0, tmp_path, deterministic=True)
    train_job._fit(Offset(), pairs([0]), pairs([2]), context, 1)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
