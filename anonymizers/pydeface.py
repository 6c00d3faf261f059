"""pydeface: registration to its template, and nothing is left under its face mask.

Source: Poldrack lab, github.com/poldracklab/pydeface. The registration here is niimath's, not FSL's; the template and
the mask are those of pydeface's wheel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.registration import registration_versions, warp
from refbench.anonymizers.template import template_face_mask
from refbench.plugin import param
from refbench.types import AnonymizedHead, Head


class Pydeface(Anonymizer):
    """Sets the face to 0 under pydeface's face mask, which ends below the eyes."""

    edge: Literal["hard", "soft"] = param(
        "hard", "hard: 0 where the mask hides more than half; soft: scaled by what it keeps, as pydeface does"
    )

    def needs(self) -> frozenset[Need]:
        """The face template's registration."""
        return frozenset({"registration"})

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Set the face, and the air in front of it, to 0. Where the mask keeps all, no bit changes.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.registration.register`.
        """
        face = warp(template_face_mask(), head)
        if not (face > 0.5).any():
            return AnonymizedHead.compare(head, head, "no face found", "the face mask lies outside the volume")
        if self.edge == "soft":
            return head.with_voxels(head.voxels * (1 - face))
        return head.with_voxels(np.where(face > 0.5, np.float32(0), head.voxels))

    def tool_versions(self) -> Mapping[str, str]:
        """Of niimath and pydeface."""
        return registration_versions()
