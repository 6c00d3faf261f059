"""Removal of the face down to its deep structures, as mri_deface does it: whatever may be brain stays.

Source: Bischoff-Grethe et al., A technique for the deidentification of structural brain MR images, Human Brain Mapping
28(9), 2007. The original knows face and brain from two atlases that may not be handed on: the native backend takes
pydeface's template and a brain mask in their place, the other one runs the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.brain import Method, brain_of, brain_versions, grown
from refbench.anonymizers.face_parts import PARTS
from refbench.anonymizers.freesurfer import FreeSurfer
from refbench.anonymizers.registration import face_region, register, registration_versions, warp
from refbench.anonymizers.template import EYES_ACROSS, EYES_HEIGHT, Atlas, template_face_mask
from refbench.plugin import Plugin, param
from refbench.types import AnonymizedHead, Head

DEEP_FROM, DEEP_BELOW, DEEP_RISE = 160, 80, 1.25
"""Voxels of the face template's 1 mm grid. Nasal cavity, sinuses, palate and tongue lie in front of the first plane,
which stands before the pharynx, and below the floor of the skull: this high there, and rising towards the brows."""


class MriDeface(Anonymizer):
    """Sets the face, its deep structures and the ears to 0, and keeps the brain with a margin."""

    backend: Literal["auto", "native", "freesurfer"] = param(
        "auto", "freesurfer: the original program and atlases; auto: the original where it is installed, else native"
    )
    brain: Method = param("deepbet", "native: what finds the brain; template needs no network")
    margin_mm: float = param(6.0, "native: tissue this near to the brain is kept", unit="mm", ge=0, le=30)
    brain_atlas: Path | None = param(
        None, "freesurfer: if not given, $FREESURFER_HOME/average/talairach_mixed_with_skull.gca"
    )
    face_atlas: Path | None = param(None, "freesurfer: if not given, $FREESURFER_HOME/average/face.gca")

    def label(self, name: str) -> str:
        """Names the backend that runs on this machine, and its version: `mri_deface [FreeSurfer 7.4.1]`."""
        others = type(self)(**self.model_dump(exclude_unset=True, exclude={"backend"}))
        return f"{Plugin.label(others, name)} [{self._freesurfer().title() if self._original() else 'native'}]"

    def needs(self) -> frozenset[Need]:
        """Natively the face template's registration, and deepbet's brain."""
        if self._original():
            return frozenset()
        return frozenset({"registration", "brain"}) if self.brain == "deepbet" else frozenset({"registration"})

    def missing(self) -> str:
        """What FreeSurfer lacks, if it was asked for."""
        return self._freesurfer().missing() if self.backend == "freesurfer" else ""

    def tool_versions(self) -> Mapping[str, str]:
        """Of FreeSurfer and its two atlases, or of niimath, pydeface and deepbet."""
        if self._original():
            return self._freesurfer().versions()
        return registration_versions() | brain_versions(self.brain)

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Set the face to 0, as the original does whatever the air's level. All other voxels stay as they are.

        Raises:
            PluginError, DataError: as `refbench.anonymizers.registration.register` and
                `refbench.anonymizers.brain.deepbet_brain`; or DataError, InvalidOutput: FreeSurfer failed.
        """
        if self._original():
            return self._freesurfer().mri_deface(head)
        head = head if head.registration is not None else replace(head, registration=register(head))
        face = face_region(head) > 0.5
        if not face.any():
            return AnonymizedHead.compare(head, head, "no face found", "the face region lies outside the volume")
        face |= warp(deep_face_and_ears(), head) > 0.5
        face &= ~grown(brain_of(head, self.brain), head.voxel_mm, self.margin_mm)
        return head.with_voxels(np.where(face, np.float32(0), head.voxels))

    def _original(self) -> bool:
        """Whether the original runs, rather than the native backend."""
        return self.backend == "freesurfer" or (self.backend == "auto" and not self._freesurfer().missing())

    def _freesurfer(self) -> FreeSurfer:
        return FreeSurfer(self.brain_atlas, self.face_atlas)


@lru_cache(maxsize=1)
def deep_face_and_ears() -> Atlas:
    """What `template_face` leaves of the face: (176, 256, 256), about 1 mm; 1 = deep structures or ears.

    Ears are what lies outside the skull in their boxes. The region ignores the brain.
    """
    mask = template_face_mask()
    region = np.zeros_like(mask.voxels)
    _, y, z = np.ogrid[tuple(map(slice, region.shape))]
    region[:, DEEP_FROM:, :DEEP_BELOW] = 1
    # Above, only between the temples.
    region[EYES_ACROSS] = (y >= DEEP_FROM) & (
        z < np.minimum(DEEP_BELOW + DEEP_RISE * (y - DEEP_FROM), EYES_HEIGHT.stop)
    )
    for part in PARTS:
        if part.name == "ears":
            low, high = np.clip(part.low, 0, region.shape).astype(int), np.clip(part.high, 0, region.shape).astype(int)
            region[tuple(map(slice, low, high))] = 1
    return Atlas(region, mask.affine)
