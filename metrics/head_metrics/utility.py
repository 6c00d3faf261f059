"""What hiding a face cost the research value of a head: its brain, its tissues, the quality of its image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from refbench.errors import DataError
from refbench.geometry import head_mask
from refbench.metrics.head_metrics.base import HeadMetric, HeadPair
from refbench.metrics.head_metrics.image_quality import Quality, image_quality
from refbench.metrics.head_metrics.rounding import changed_voxels
from refbench.metrics.head_metrics.tissue import FLUID, GREY, WHITE, Tissues, find_tissues
from refbench.plugin import param
from refbench.types import Head, Mask

RIM_MM = 2.0
"""How far an estimated brain may reach into the skull by mistake: such voxels do not count as brain that changed."""

VOLUMES = {"grey": GREY, "white": WHITE, "fluid": FLUID}


class Utility(HeadMetric):
    """What is left for research: brain, tissue volumes and image quality, against those of the original.

    The brain is found, and divided into tissues, in the candidate as it is in the original, as any user of the data
    would. Changes are in % of the original's figure. Where no brain is found in the candidate, `brain_dice` is 0, and
    what hangs on a brain is undefined. `brain: labelled` looks for none: in both heads the dataset's own label counts,
    which is quick, and `brain_dice` is undefined.
    """

    brain: Literal["found", "labelled"] = param("found", "in each head by the same tool, or as the data labels it")

    figures: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "brain_changed_percent": "brain voxels whose intensity changed, % of the brain",
            "brain_dice": "overlap of the brains found before and after, 0-1",
            "head_change_percent": "change of the head's volume, %",
            "grey_change_percent": "change of the volume of grey matter, %",
            "white_change_percent": "change of the volume of white matter, %",
            "fluid_change_percent": "change of the volume of fluid within the brain mask, %",
            "efc_change_percent": "change of the entropy focus criterion, %",
            "fber_change_percent": "change of the foreground-background energy ratio, %",
            "cnr_change_percent": "change of the contrast-to-noise ratio of white and grey matter, %",
            "cjv_change_percent": "change of the coefficient of joint variation of white and grey matter, %",
            "snr_grey_change_percent": "change of the signal-to-noise ratio of grey matter, %",
        }
    )
    headline: ClassVar[tuple[str, ...]] = (
        "brain_changed_percent",
        "brain_dice",
        "grey_change_percent",
        "cnr_change_percent",
        "fber_change_percent",
    )

    def measure(self, pair: HeadPair) -> dict[str, float]:
        """All figures; NaN where one is undefined in either head.

        Raises:
            DataError: no brain, or no three tissues in it, are found in the original.
        """
        found = dict.fromkeys(self.figures, float("nan"))
        # Noise is measured where both heads have air: what is left in front of a cut forehead is no noise.
        brain = self._brain(pair)
        hat = above_centre(brain) & ~head_mask(pair.original.voxels, pair.original.voxel_mm)
        before = _measured(pair.original, brain, hat)
        found["brain_changed_percent"] = brain_changed_percent(pair)
        candidate_brain = brain
        if self.brain == "found":
            found["brain_dice"] = 0.0
            try:
                candidate_brain = pair.candidate_brain
            except DataError:
                return found
            found["brain_dice"] = dice(brain, candidate_brain)
        try:
            after = _measured(pair.candidate, candidate_brain, hat)
        except DataError:  # what was found is no brain: it has no tissues
            return found
        return found | {f"{name}_change_percent": _change(value, after[name]) for name, value in before.items()}

    def _brain(self, pair: HeadPair) -> Mask:
        if self.brain == "found":
            return pair.brain
        if pair.labelled_brain is None:
            raise DataError("this dataset labels no brains: leave `brain: labelled` out of `utility`")
        return pair.labelled_brain


def brain_changed_percent(pair: HeadPair) -> float:
    """The share of brain voxels that differ by more than rounding, %.

    Brain is what the dataset labels as such; else what is found in the original, less a rim of `RIM_MM`.
    """
    brain = pair.labelled_brain if pair.labelled_brain is not None else _core(pair.brain, pair.original.voxel_mm)
    count = int(np.count_nonzero(brain))
    changed = np.count_nonzero(changed_voxels(pair.original, pair.candidate) & brain)
    return float(100 * changed / count) if count else float("nan")


def dice(first: Mask, second: Mask) -> float:
    """Twice the common part of two masks over the sum of both, 0-1; NaN if both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else float("nan")


def above_centre(brain: Mask) -> Mask:
    """All voxels above the brain's centre: there no face is hidden, and the air tells of the scanner alone."""
    height = np.arange(brain.shape[2])
    centre = float((brain.sum(axis=(0, 1)) * height).sum() / max(np.count_nonzero(brain), 1))
    above: Mask = np.broadcast_to(height > centre, brain.shape)
    return above


def _measured(head: Head, brain: Mask, hat: Mask) -> dict[str, float]:
    """What is held against the other head's, by the figures' names less `_change_percent`."""
    tissues: Tissues = find_tissues(head, brain)
    whole = head_mask(head.voxels, head.voxel_mm)
    quality: Quality = image_quality(head.voxels, whole, hat, tissues)
    volumes = {name: tissues.volume_ml(kind) for name, kind in VOLUMES.items()}
    return {"head": float(np.count_nonzero(whole)), **volumes, **asdict(quality)}


def _core(brain: Mask, voxel_mm: NDArray[np.float64]) -> Mask:
    """A brain less its rim."""
    from scipy import ndimage

    core = np.zeros_like(brain)
    for box in ndimage.find_objects(brain.astype(np.uint8)):
        depth = ndimage.distance_transform_edt(np.pad(brain[box], 1), sampling=voxel_mm)
        core[box] = depth[1:-1, 1:-1, 1:-1] > RIM_MM
    return core


def _change(before: float, after: float) -> float:
    return 100 * (after / before - 1) if before else float("nan")
