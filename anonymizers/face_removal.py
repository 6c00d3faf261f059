"""Removal of the face, as pydeface does it: registration to its template, and nothing is left under its face mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.registration import face_region, registration_versions
from refbench.plugin import param
from refbench.types import AnonymizedHead, Head


class FaceRemoval(Anonymizer):
    """Sets the face to 0 under pydeface's face mask."""

    needs_registration: ClassVar[bool] = True

    edge: Literal["hard", "soft"] = param(
        "hard", "hard: 0 where the mask hides more than half; soft: scaled by what it keeps, as pydeface does"
    )

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Set the face, and the air in front of it, to 0. Outside the face region no bit changes.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.registration.register`.
        """
        face = face_region(head)
        if not (face > 0.5).any():
            return AnonymizedHead.compare(head, head, "no face found", "the face region lies outside the volume")
        kept = (face <= 0.5).astype(np.float32) if self.edge == "hard" else 1 - face
        return head.with_voxels(head.voxels * kept)

    def tool_versions(self) -> Mapping[str, str]:
        """Of niimath and pydeface."""
        return registration_versions()
