"""Refacing: an average face takes the place of the own one, as AFNI's afni_refacer_run does it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import model_validator

from refbench.anonymizers.average import average_affine, average_head
from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.face_parts import PARTS
from refbench.anonymizers.regions import edges_mm, soft_edge
from refbench.anonymizers.registration import installed, register, registration_versions, run_niimath, warp
from refbench.anonymizers.template import EYES_MARGIN_MM, Atlas, template_brain, template_face
from refbench.geometry import air_level, skin_threshold
from refbench.plugin import param
from refbench.types import AnonymizedHead, Head, Voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

EARS_MARGIN_MM = 8.0
"""Around the ears this much is replaced too, as the new face fades in over 4 mm and ears differ."""


class Reface(Anonymizer):
    """An average face, matched in brightness, in place of the own one, air in front of it and ears included.

    The face is that of the training subjects' average head (`refbench.anonymizers.average`), or of the face template's
    mean head where there are none. It is composited here, in 2 s: niimath's `-reface` would register every head once
    more, in 7 to 20 s, as it takes no registration, and would leave 0 for air and no negative voxel anywhere.

    With `template`, `shell` and `weight` it is niimath's `-reface` that composites the face of the shell; AFNI brings
    such files (MNI152_2009_SSW, afni_refacer_shell and a weight).

    Source: R. W. Cox and P. A. Taylor's @afni_refacer_run (AFNI); niimath's reface.c.
    """

    template: Path | None = param(None, "head that niimath registers to, with shell and weight; AFNI's for example")
    shell: Path | None = param(None, "in the template's space: above 0 the new face, 0 kept, below 0 emptied")
    weight: Path | None = param(None, "how much a voxel of the template counts in the registration")

    @model_validator(mode="after")
    def _all_or_none(self) -> Reface:
        if None in self._files().values() and any(self._files().values()):
            raise ValueError("give all three of template, shell and weight, or none of them")
        return self

    def needs(self) -> frozenset[Need]:
        """Registration and average; nothing with files of one's own, which niimath registers by itself."""
        return frozenset() if self.template else frozenset({"registration", "average"})

    def missing(self) -> str:
        """Which file is not there."""
        absent = [f"{name} {path}" for name, path in self._files().items() if path and not path.is_file()]
        return f"{absent[0]} not found" if absent else ""

    def tool_versions(self) -> Mapping[str, str]:
        """Of niimath, and of the atlas: pydeface's version, or the contents of the files."""
        if not self.template:
            return registration_versions()
        hashes = {name: _content_hash(path) for name, path in self._files().items() if path and path.is_file()}
        return {"niimath": installed("niimath"), **hashes}

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Replace the face. Outside the face and the ears, or where the shell is 0, no bit changes.

        Raises:
            PluginError: niimath or pydeface cannot be used.
            DataError: niimath failed on this head.
        """
        if self.template and self.shell and self.weight:
            return head.with_voxels(_niimath_reface(head, self.template, self.shell, self.weight))
        if head.registration is None:
            head = replace(head, registration=register(head))
        share = soft_edge(warp(replaced_region(), head), edges_mm(head))
        if not share.any():
            return AnonymizedHead.compare(head, head, "no face found", "the face region lies outside the volume")
        average = head.average if head.average is not None else template_average()
        refaced = composite(head.voxels, warp(Atlas(average, average_affine()), head), share)
        if refaced is None:
            return AnonymizedHead.compare(head, head, "no face found", "there is only air where the face should be")
        note = "" if head.average is not None else "the new face is the face template's, as there is no average head"
        return AnonymizedHead.compare(head, head.with_voxels(refaced), note=note)

    def _files(self) -> dict[str, Path | None]:
        return {"template": self.template, "shell": self.shell, "weight": self.weight}


def composite(voxels: Voxels, face: NDArray[np.float32], share: NDArray[np.float32]) -> Voxels | None:
    """Mix another face into a head, on the head's own air and as bright as the face that it replaces.

    The medians of what is brighter than air in the two are made the same.

    Args:
        voxels: float32 (x, y, z), the head, any scale.
        face: the same shape, a head with the new face on any scale, 0 in the air.
        share: the same shape, 0-1, not all 0: 0 keeps a voxel bit by bit, 1 takes the new one.

    Returns:
        float32 of the same shape; None where there is nothing to match: one of the two is air wherever it is replaced.

    Raises:
        DataError: the volume is constant.
    """
    if face.min() == face.max():
        return None
    inside = share > 0
    old, new, some = voxels[inside], face[inside], share[inside]
    old_tissue, new_tissue = old[old > skin_threshold(voxels)], new[new > skin_threshold(face)]
    if not (old_tissue.size and new_tissue.size):
        return None
    air = np.float32(air_level(voxels))
    gain = (np.median(old_tissue) - air) / np.median(new_tissue)
    result = voxels.copy()
    result[inside] = old + some * (air + gain * new - old)
    return result


@lru_cache(maxsize=1)
def template_average() -> Voxels:
    """The face template's mean head, made ready as the average of no training subjects: (88, 128, 168), about 2 mm."""
    return average_head(())


@lru_cache(maxsize=1)
def replaced_region() -> Atlas:
    """What is replaced: the face and both ears, (176, 256, 256), about 1 mm; 1 = replaced, air in front included.

    The ears keep the same distance from the template's brain as the eyes.
    """
    from scipy import ndimage

    face, brain = template_face(), template_brain()
    brain_mm = np.sqrt((brain.affine[:3, :3] ** 2).sum(axis=0))
    far = ndimage.distance_transform_edt(brain.voxels < 0.5, sampling=brain_mm) > EYES_MARGIN_MM
    far = far.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    region = face.voxels.copy()
    for part in PARTS:
        if part.name == "ears":
            box = tuple(
                slice(int(max(low - EARS_MARGIN_MM, 0)), int(min(high + EARS_MARGIN_MM, size)))
                for low, high, size in zip(part.low, part.high, region.shape, strict=True)
            )
            region[box] = np.maximum(region[box], far[box])
    return Atlas(region, face.affine)


def _niimath_reface(head: Head, template: Path, shell: Path, weight: Path) -> Voxels:
    """Let niimath register and composite.

    niimath takes 0 for air, empties voxels to 0 and lifts negative ones to 0 everywhere. So it gets the head with its
    darkest voxel at 0, and what it leaves as it is comes from the input, bit by bit.
    """
    import nibabel

    darkest = head.voxels.min()
    shifted = head.voxels - darkest
    with tempfile.TemporaryDirectory(prefix="refbench-reface-") as name:
        folder = Path(name)
        nibabel.save(nibabel.Nifti1Image(shifted, head.affine), folder / "head.nii")  # type: ignore[no-untyped-call]
        files = [str(path.resolve()) for path in (template, shell, weight)]
        result = run_niimath(
            ["head.nii", "-reface", *files, "-gz", "0", "refaced.nii"],
            folder / "refaced.nii",
            failed=f"niimath could not reface {head.subject or 'this head'}",
            advice="Check that the volume is a whole head, T1-weighted, and the three files.",
        )
        image = nibabel.load(result)
        assert isinstance(image, nibabel.Nifti1Image)
        refaced = np.asarray(image.dataobj, dtype=np.float32)
    released: Voxels = np.where(refaced == shifted, head.voxels, refaced + darkest)
    return released


def _content_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
