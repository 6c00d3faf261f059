"""The control below all: no face is left, so no attacker can know more than the average face."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.registration import registration_versions, warp
from refbench.anonymizers.template import Atlas, template_brain
from refbench.errors import DataError
from refbench.geometry import air_level
from refbench.plugin import param
from refbench.types import Head


class Blank(Anonymizer):
    """Control: replaces everything in front of the brain by air."""

    margin_mm: float = param(10.0, "what is kept around the template's brain", unit="mm", ge=0, le=30)

    def needs(self) -> frozenset[Need]:
        """The face template's registration."""
        return frozenset({"registration"})

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head:
        """Cut, in every row from back to front, what lies in front of the brain or, without brain, of its centre.

        Returns:
            the head with those voxels at the level of its air (`refbench.geometry.air_level`); others are unchanged.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.registration.register`; DataError for a constant volume, or
                when the registration puts the brain outside it.
        """
        brain = warp(grown_brain(self.margin_mm), head) > 0.5
        if not brain.any():
            raise DataError(
                f"the registration puts the brain outside the volume of {head.subject or 'this head'}. Check that the "
                "volume is a whole head, T1-weighted."
            )
        depth = np.arange(head.voxels.shape[1])
        foremost = np.where(brain, depth[:, None], -1).max(axis=1)
        centre = int(np.median(np.nonzero(brain)[1]))
        last_kept = np.where(foremost < 0, centre, foremost)
        front = depth[:, None] > last_kept[:, None, :]
        return head.with_voxels(np.where(front, np.float32(air_level(head.voxels)), head.voxels))

    def tool_versions(self) -> Mapping[str, str]:
        """Of niimath and pydeface."""
        return registration_versions()


@lru_cache(maxsize=4)
def grown_brain(margin_mm: float) -> Atlas:
    """The template's brain and `margin_mm` around it, in template space: 1 = kept."""
    from scipy import ndimage

    brain = template_brain()
    template_mm = np.sqrt((brain.affine[:3, :3] ** 2).sum(axis=0))
    from_brain_mm = ndimage.distance_transform_edt(brain.voxels < 0.5, sampling=template_mm)
    return Atlas((from_brain_mm <= margin_mm).astype(np.float32), brain.affine)
