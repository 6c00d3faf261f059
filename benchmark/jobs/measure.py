"""Job `measure`: what the heads of one condition have become, against their originals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from refbench.anonymizers.brain import deepbet_brain
from refbench.anonymizers.face_parts import to_template_voxels
from refbench.anonymizers.face_surface import SKIN_PARTS, FacialSkin
from refbench.anonymizers.outer_surface import outer_surface
from refbench.errors import DataError, InvalidOutput
from refbench.jobs.candidates import Candidate, candidates
from refbench.jobs.task import Task, load_mask
from refbench.metrics.head_metrics.base import HeadMetric, HeadPair, Skin
from refbench.types import Head, Mask

CHIN_TOP = 8.0
"""Voxels of the template's grid: below this the mouth's box holds the chin. Of six people's midlines the fold under the
lip lies between 2 and 18; the template's own mean head fades above it."""


def run(task: Task) -> None:
    """Write figures.json: name of each figure to its values, one per view, None where it is undefined; and problems."""
    metric = task.plugin(task.identity["metric"])
    assert isinstance(metric, HeadMetric)
    name, total = task.identity["metric"]["name"], len(task.identity["views"])
    rows: list[Mapping[str, float]] = []
    problems: list[str] = []
    for done, candidate in enumerate(candidates(task)):
        try:
            found = metric.measure(_pair(task, candidate))
            problems.append("")
        except DataError as error:
            found = dict.fromkeys(metric.figures, np.nan)
            problems.append(str(error))
        if set(found) != set(metric.figures):
            raise InvalidOutput(
                f"{name} must give {', '.join(metric.figures)}; it gave {', '.join(found) or 'nothing'}"
            )
        rows.append(found)
        task.report(done + 1, total, {})
    figures = {figure: [_plain(row[figure]) for row in rows] for figure in metric.figures}
    (task.out / "figures.json").write_text(json.dumps({"figures": figures, "problems": problems}))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _pair(task: Task, candidate: Candidate) -> HeadPair:
    view, original = candidate.view, candidate.original
    label = task.inputs[view["head"]] / "label_brain.npz"
    found = task.inputs[view["brain"]] / "brain.npz" if "brain" in view else None
    registration = task.inputs[view["registration"]] if "registration" in view else None
    skin = FacialSkin.load(task.inputs[view["skin"]] / "skin.npz")

    def find_brain(head: Head) -> Mask:
        return load_mask(found) if found and head is original else deepbet_brain(head)

    def find_skin(head: Head) -> Skin:
        return parts_of(skin, registration) if head is original else skin_of(head, skin)

    return HeadPair(original, candidate.head, load_mask(label) if label.exists() else None, find_brain, find_skin)


def parts_of(skin: FacialSkin, registration: Path | None = None) -> Skin:
    """The facial skin of the original, with its parts; of a registered head the chin is told from the mouth."""
    part = np.array(SKIN_PARTS)[skin.part]
    if registration:
        height = to_template_voxels(skin.points.astype(np.float64), np.load(registration / "registration.npy"))[:, 2]
        part = np.where((part == "mouth") & (height < CHIN_TOP), "chin", part)
    return Skin(skin.points, part)


def skin_of(head: Head, skin: FacialSkin) -> Skin:
    """What is skin now where the original's face was sought, with the original's threshold; of no named part."""
    boxes = [tuple(slice(int(first), int(last)) for first, last in box) for box in skin.boxes]
    pieces = [outer_surface(head.voxels, head.affine, (x, y, z), skin.threshold) for x, y, z in boxes]
    points = np.concatenate([np.zeros((0, 3, 3), np.float32), *pieces]).mean(axis=1)
    return Skin(points, np.full(len(points), ""))
