"""Where the brain is: deepbet's network, or the face template's brain as the light fallback.

Source: Fisch et al., deepbet: Fast brain extraction of T1-weighted MRI using Convolutional Neural Networks, Computers
in Biology and Medicine 2024. The weights come inside its wheel; nothing is downloaded.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from refbench.anonymizers.registration import bounding_box, installed, registration_versions, warp
from refbench.anonymizers.template import template_brain
from refbench.errors import DataError
from refbench.geometry import skin_threshold
from refbench.types import Head, Mask

if TYPE_CHECKING:
    from deepbet import BrainExtraction
    from numpy.typing import NDArray

Method = Literal["deepbet", "template"]

TISSUE_AT_LEAST = 0.8
"""So much of a brain is brighter than air: 98 % and more in 13 people, at most 66 % where it is found in noise."""


def brain_of(head: Head, method: Method = "deepbet") -> Mask:
    """The brain of a head, by the method named; what the harness has computed already is taken as it is.

    Returns:
        bool (x, y, z), without any margin.

    Raises:
        PluginError, DataError: as `deepbet_brain`, or for `template` as `refbench.anonymizers.registration.register`.
    """
    if method == "template":
        return warp(template_brain(), head) > 0.5
    return head.brain if head.brain is not None else deepbet_brain(head)


def deepbet_brain(head: Head) -> Mask:
    """Let deepbet find the brain; 3 to 4 s on two cores whatever the voxel size.

    Returns:
        bool (x, y, z), one piece without holes.

    Raises:
        PluginError: deepbet is not installed.
        DataError: it finds no brain, or takes noise for one.
    """
    import nibabel

    image = nibabel.Nifti1Image(head.voxels, head.affine)  # type: ignore[no-untyped-call]
    name = head.subject or "this head"
    advice = "Check that the volume is a whole head, T1-weighted."
    try:
        _, mask, _ = network().run(image)
    except (AssertionError, ValueError, RuntimeError) as problem:  # of arrays, or boxes, without any voxel
        raise DataError(f"deepbet finds no brain in {name} ({problem}). {advice}") from problem
    brain: Mask = np.asarray(mask.dataobj) > 0
    if not brain.any():
        raise DataError(f"deepbet finds no brain in {name}. {advice}")
    tissue = float((head.voxels[brain] > skin_threshold(head.voxels)).mean())
    if tissue < TISSUE_AT_LEAST:
        raise DataError(f"what deepbet takes for the brain of {name} is as dark as air in {1 - tissue:.0%}. {advice}")
    return brain


def grown(mask: Mask, voxel_mm: NDArray[np.float64], margin_mm: float) -> Mask:
    """A mask and all voxels whose centre lies within `margin_mm` of it: bool of the same shape."""
    from scipy import ndimage

    result = mask.copy()
    if margin_mm > 0 and mask.any():
        box = bounding_box(mask, np.ceil(margin_mm / voxel_mm).astype(int))
        result[box] = ndimage.distance_transform_edt(~mask[box], sampling=voxel_mm) <= margin_mm
    return result


def brain_versions(method: Method = "deepbet") -> dict[str, str]:
    """The versions of what decides a brain mask; part of an anonymizer's cache key.

    Raises:
        PluginError: one of them is not installed.
    """
    return {"deepbet": installed("deepbet")} if method == "deepbet" else registration_versions()


@lru_cache(maxsize=1)
def network() -> BrainExtraction:
    """The network of deepbet, kept by this process once it is loaded.

    Raises:
        PluginError: deepbet is not installed.
    """
    installed("deepbet")
    from deepbet import BrainExtraction

    with warnings.catch_warnings():
        # The weights are TorchScript, whose loader torch has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return BrainExtraction(no_gpu=True)
