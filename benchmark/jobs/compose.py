"""Job `compose`: what an attacker makes of two releases of the same scans, given together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from refbench.fusion import Held, Lesson, learn
from refbench.jobs.anonymize import load_anonymized
from refbench.jobs.candidates import slices_made, stacked_from
from refbench.jobs.score import region_of
from refbench.jobs.task import Task, check_images, load_head
from refbench.metrics.base import Metric
from refbench.slice_storage import decode
from refbench.slicing import AXES, SliceOptions, place
from refbench.types import Head, Images


def run(task: Task) -> None:
    """Write reconstructed.npy, float32 [n, h, w], 0-1: the test scans' slices of the first release, in order.

    A scan whose second release failed is what the attacker made of the first alone. fusion.json tells how two became
    one, see `refbench.fusion.Fusion`. What the identity holds is said in `refbench.composition`.
    """
    made: dict[str, Images] = {}
    for reconstructed, slices in task.identity["reconstructed"].items():
        made |= slices_made(task, reconstructed, slices)
    fusion = learn([_lesson(task, view, made) for view in task.identity["validation"]])
    images = [
        fusion.apply(held(task, view, made)) if view["second"] else made[view["first"]["slice"]]
        for view in task.identity["test"]
    ]
    together = np.concatenate(images)
    np.save(task.out / "reconstructed.npy", check_images(together, together.shape, "what was composed"))
    (task.out / "fusion.json").write_text(json.dumps({"how": fusion.how, "weights": fusion.weights.tolist()}))


def held(task: Task, view: Mapping[str, Any], made: Mapping[str, Images]) -> Held:
    """What an attacker holds of one scan.

    Both releases lie on the voxels of one head, so the second is cut again where the slices of the first lie; what the
    attacker made of it is stacked into it before. Where the two were cut at the same places nothing is interpolated.
    """
    options = SliceOptions.model_validate(task.identity["slices"])
    first, second = view["first"], view["second"]
    original = load_head(task.inputs[view["head"]])
    released, also = (load_anonymized(original, task.inputs[one["released"]]).head for one in (first, second))
    also_made = stacked_from(task.inputs[second["slice"]], also, np.asarray(made[second["slice"]]), options)
    slices = task.inputs[first["slice"]]
    white = json.loads((slices / "geometry.json").read_text())["white"]
    columns, window = place(released, options)

    def cut(head: Head) -> Images:
        planes = window.cut(head.voxels.transpose(AXES[options.plane])[columns], order=1)
        images: Images = np.clip(planes / np.float32(white), 0, 1)
        return images

    own = np.asarray(made[first["slice"]])
    return Held(decode(np.load(slices / "anonymized.npy")), own, cut(also), cut(also_made))


def _lesson(task: Task, view: Mapping[str, Any], made: Mapping[str, Images]) -> Lesson:
    slices, selection = task.inputs[view["first"]["slice"]], task.identity["selection"]
    metric = task.plugin(selection["metric"])
    assert isinstance(metric, Metric)
    original = decode(np.load(slices / "original.npy"))
    masks = {name: np.load(slices / f"{name}.npy") for name in ("face", "changed")}
    region = region_of(selection["region"], masks)

    def judge(images: Images) -> float:
        scores = metric.score(original, images, region)
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")

    return Lesson(view["person"], held(task, view, made), original, masks["changed"], judge)
