"""The average head of many people in the face template's space: the face that refacing puts in place of the own one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from refbench.anonymizers.registration import register
from refbench.anonymizers.template import template_brain, template_head
from refbench.errors import DataError
from refbench.geometry import air_level, head_mask
from refbench.types import Affine, Head, Voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARPENING = 4.0
"""Noses end at different places, and a plain mean fades out over a centimetre. The share of people whose head reaches
a place is stretched by this factor about one half, so that the average has a skin about as thin as a person's."""

BELOW = 40
"""Voxels that are added below the template, which ends at the mouth: 78 mm, down to the throat."""

SHAPE = (88, 128, 128 + BELOW)
"""Voxels of an average head."""


def average_affine() -> Affine:
    """Voxels of an average head to template millimetres, float64 (4, 4)."""
    to_template = np.eye(4)
    to_template[2, 3] = -BELOW
    affine: Affine = template_head().affine @ to_template
    return affine


def average_head(heads: Iterable[Head]) -> Voxels:
    """Average heads in the space of the face template, one in memory at a time.

    The grid is that of `refbench.anonymizers.template.template_head`, continued to the throat. Every head is brought
    there by its registration (trilinear) and scaled by its own brain. A voxel is head where at least half of the
    people who have it in view have head there, and as bright as their tissue is on average. Where it lies outside
    everybody's field of view, or without any head at all, the template's own mean head, which is an average of many
    people as well, takes its place; below its end its lowest plane goes on. The outermost
    planes at both sides and in front are air.

    Args:
        heads: whole heads; one without a registration is registered here, which takes seconds.

    Returns:
        float32 (88, 128, 168), about 2 mm: 0 in the air, 1 = median brightness of the brain; no negative values.

    Raises:
        DataError: a head is constant, cannot be registered, or is no brighter than air where the brain should be.
        PluginError: niimath or pydeface cannot be used.
    """
    tissue, people, seen = (np.zeros(SHAPE) for _ in range(3))
    # A loop over the heads themselves would keep the last one while the next is read.
    for brightness, share in map(_on_grid, heads):
        in_view = np.isfinite(brightness)
        tissue[in_view] += brightness[in_view]
        people[in_view] += share[in_view]
        seen += in_view
    brightness, share = _template()
    unseen = seen == 0
    tissue[unseen], people[unseen], seen[unseen] = brightness[unseen], share[unseen], 1
    edge = np.clip(0.5 + SHARPENING * (people / seen - 0.5), 0, 1)
    average: Voxels = (edge * tissue / np.maximum(people, 1e-6)).astype(np.float32)
    # Who continues it beyond the grid continues air, not an ear or a nose that the grid cuts.
    average[[0, -1]] = average[:, -1] = 0
    return average


@lru_cache(maxsize=1)
def _template() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The template's mean head on the average's grid, in view everywhere."""
    continued = np.pad(template_head().voxels, ((0, 0), (0, 0), (BELOW, 0)), mode="edge")
    return _on_grid(Head(continued, average_affine(), "the template", registration=np.eye(4)))


def _on_grid(head: Head) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A head on the average's grid: brightness of its tissue and share of head, 0-1; NaN beyond its field of view.

    The brightness is weighted by the share of head in a voxel: divided by it, it is the tissue's own.
    """
    from scipy import ndimage

    to_head = head.registration if head.registration is not None else register(head)
    # Rounded, so that the outermost voxels of an aligned grid do not slip out of view.
    to_voxels = np.round(np.linalg.inv(head.affine) @ to_head @ average_affine(), 9)
    mask = head_mask(head.voxels, head.voxel_mm)
    above_air = np.where(mask, np.maximum(head.voxels - np.float32(air_level(head.voxels)), 0), 0)
    brightness, share = (
        ndimage.affine_transform(
            volume.astype(np.float32),
            to_voxels[:3, :3],
            to_voxels[:3, 3],
            output_shape=SHAPE,
            order=1,
            mode="constant",
            cval=np.nan,
        )
        for volume in (above_air, mask)
    )
    brain = brightness[:, :, BELOW:][template_brain().voxels > 0.5]
    brain = brain[np.isfinite(brain)]
    scale = float(np.median(brain)) if brain.size else 0.0
    if not scale > 0:
        raise DataError(
            f"{head.subject or 'a head'} has no brain where its registration says; it cannot be part of the average "
            "head. Look at the volume, or leave it out."
        )
    return brightness / np.float32(scale), share
