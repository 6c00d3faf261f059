"""The control below all: no face is left, so no attacker can know more than the average face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.brain import grown
from refbench.anonymizers.registration import register, registration_versions, warp
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
        """Cut what lies, in the face template, in front of the brain or, in rows without brain, of its centre.

        Returns:
            the head with those voxels at the level of its air (`refbench.geometry.air_level`); others are unchanged.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.registration.register`; DataError for a constant volume, or
                when the registration puts the brain outside it.
        """
        head = head if head.registration is not None else replace(head, registration=register(head))
        if not (warp(template_brain(), head) > 0.5).any():
            raise DataError(
                f"the registration puts the brain outside the volume of {head.subject or 'this head'}. Check that the "
                "volume is a whole head, T1-weighted."
            )
        front = warp(front_of_brain(self.margin_mm), head) > 0.5
        return head.with_voxels(np.where(front, np.float32(air_level(head.voxels)), head.voxels))

    def tool_versions(self) -> Mapping[str, str]:
        """Of niimath and pydeface."""
        return registration_versions()


@lru_cache(maxsize=4)
def front_of_brain(margin_mm: float) -> Atlas:
    """All in front of the template's brain and `margin_mm` around it: 1 = cut.

    In every row from back to front it is what lies in front of the foremost voxel of the brain; in rows without any,
    in front of the middle of the brain.
    """
    brain = template_brain()
    template_mm = np.sqrt((brain.affine[:3, :3] ** 2).sum(axis=0))
    kept = grown(brain.voxels > 0.5, template_mm, margin_mm)
    depth = np.arange(kept.shape[1])
    foremost = np.where(kept, depth[:, None], -1).max(axis=1)
    centre = int(np.median(np.nonzero(kept)[1]))
    last_kept = np.where(foremost < 0, centre, foremost)
    return Atlas((depth[:, None] > last_kept[:, None, :]).astype(np.float32), brain.affine)
