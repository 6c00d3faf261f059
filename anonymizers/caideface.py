"""caideface: the dilated brain stays, and the brain alone is registered, so that nothing outside it leads astray.

Source: caideface 0.4.0 (cai4cai, github.com/cai4cai/caideface, Apache-2.0). Two parts are replaced by what is light and
needs no download: HD-BET by deepbet, and BRAINSFit by niimath. Template and face mask are the package's own; of its
wheel only these two volumes are read, so that its heavy dependencies need not be installed. The mask leaves the ears.
Slabs that show half of the brain are registered well at times only: of three, one was moved by 15 cm.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.brain import brain_of, brain_versions, grown
from refbench.anonymizers.registration import allineate, bounding_box, installed, warp
from refbench.anonymizers.template import Atlas
from refbench.errors import DataError, PluginError
from refbench.geometry import air_level
from refbench.plugin import param
from refbench.types import Affine, AnonymizedHead, Head, Mask

TEMPLATE, FACE_MASK = "mni_icbm152_t1_tal_nlin_sym_55_ext_brain_only.nii.gz", "t1_mask.nii.gz"

VARIABLE = "REFBENCH_CAIDEFACE"

COVERED_AT_LEAST = 0.9
"""So much of a head's brain lies on the template's, which is swollen by its cerebrospinal fluid, unless they miss."""

_OTHERS = ((1, 2), (0, 2), (0, 1))


class Caideface(Anonymizer):
    """Sets the face to the level of air under caideface's face mask, outside the dilated brain.

    The margin is a distance to every side, as its description has it. Its code dilates by a box of 14 mm edge, which
    reaches 7 mm to each side.
    """

    margin_mm: float = param(14.0, "tissue this near to the brain is kept", unit="mm", ge=0, le=50)
    data: Path | None = param(
        None,
        f"caideface's wheel, or the folder of its two volumes; if not given, ${VARIABLE} or an installed caideface",
    )

    def needs(self) -> frozenset[Need]:
        """The brain, which it then registers by itself."""
        return frozenset({"brain"})

    def missing(self) -> str:
        """Say where the template and the face mask come from, if they are not there."""
        source = self._source()
        if source is None:
            return (
                "caideface's template not found: pip download --no-deps caideface, and set data to the wheel, or "
                f"{VARIABLE}"
            )
        try:
            _fingerprint(source)
        except PluginError as problem:
            return str(problem)
        return ""

    def tool_versions(self) -> Mapping[str, str]:
        """Of deepbet and niimath, and a fingerprint of the two volumes."""
        source = self._source()
        if source is None or self.missing():
            return {}
        return brain_versions() | {"niimath": installed("niimath"), "caideface": _fingerprint(source)}

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Set what lies under the face mask, outside the dilated brain, to the level of air.

        Raises:
            PluginError: the template cannot be read, or as below.
            DataError: as `refbench.anonymizers.brain.deepbet_brain` and `refbench.anonymizers.registration.allineate`.
        """
        source = self._source()
        if source is None:
            raise PluginError(self.missing())
        volumes = read_volumes(source)
        brain = brain_of(head)
        to_head = register_brain(head, brain, volumes.brain)
        face = warp(volumes.face, replace(head, registration=to_head)) > 0.5
        if not face.any():
            return AnonymizedHead.compare(head, head, "no face found", "the face mask lies outside the volume")
        face &= ~grown(brain, head.voxel_mm, self.margin_mm)
        return head.with_voxels(np.where(face, np.float32(air_level(head.voxels)), head.voxels))

    def _source(self) -> Path | None:
        """The wheel or the folder, whether it is good or not; None where nothing names one."""
        given = self.data or os.environ.get(VARIABLE)
        if given:
            return Path(given).expanduser()
        found = find_spec("caideface")
        folders = found.submodule_search_locations if found else None
        return Path(folders[0]) / "data" if folders else None


class Volumes(NamedTuple):
    """caideface's template space: the mean brain without skull, and the face (1 = face, air in front included)."""

    brain: Atlas
    face: Atlas


def register_brain(head: Head, brain: Mask, template: Atlas) -> Affine:
    """Find the affine that takes the template's millimetres to the head's, from the brain alone.

    Both volumes are cut to the brain, and its centre is laid on the template's to start with: where air surrounds them
    or they lie apart, niimath at times ends far from the brain.

    Args:
        head: its intensities may have any scale.
        brain: bool (x, y, z), as deepbet sees it.
        template: a mean brain, 0 outside.

    Returns:
        float64 (4, 4), RAS+ millimetres of the template to RAS+ millimetres of the head.

    Raises:
        PluginError, DataError: as `refbench.anonymizers.registration.allineate`; DataError for an empty brain, and when
            the template's brain comes to lie elsewhere than the head's.
    """
    name = f"the brain of {head.subject or 'this head'}"
    if not brain.any():
        raise DataError(f"{name} is empty. Check that the volume is a whole head, T1-weighted.")
    stripped = np.where(brain, head.voxels - np.float32(air_level(head.voxels)), np.float32(0))
    fixed, moving = _cut(template, template.voxels > 0), _cut(Atlas(stripped, head.affine), brain)
    shift = np.eye(4)
    shift[:3, 3] = _centre(fixed, fixed.voxels > 0) - _centre(moving, moving.voxels != 0)
    found = allineate(Atlas(moving.voxels, shift @ moving.affine), fixed, name)
    to_head: Affine = np.linalg.inv(shift) @ found
    inside = Atlas((fixed.voxels > 0).astype(np.float32), fixed.affine)
    on_template = warp(inside, Head(moving.voxels, moving.affine, registration=to_head)) > 0.5
    covered = on_template[moving.voxels != 0].mean()
    if covered < COVERED_AT_LEAST:
        raise DataError(
            f"niimath registered {name} to caideface's template so that only {covered:.0%} of it lie on the template's "
            "brain. Check that the volume is a whole head, T1-weighted."
        )
    return to_head


@lru_cache(maxsize=1)
def read_volumes(source: Path) -> Volumes:
    """Read caideface's two volumes out of its wheel or from a folder.

    Raises:
        PluginError: they are not there, or damaged.
    """
    kept = _atlas(source, FACE_MASK)
    return Volumes(_atlas(source, TEMPLATE), Atlas((kept.voxels < 0.5).astype(np.float32), kept.affine))


def _cut(atlas: Atlas, mask: Mask) -> Atlas:
    """The box around a mask, a few voxels wider."""
    box = bounding_box(mask, np.full(3, 5))
    corner = np.eye(4)
    corner[:3, 3] = [edge.start for edge in box]
    return Atlas(np.ascontiguousarray(atlas.voxels[box]), atlas.affine @ corner)


def _centre(atlas: Atlas, mask: Mask) -> NDArray[np.float64]:
    """The centre of mass of a mask in mm, (3,)."""
    voxel = [
        np.average(np.arange(size), weights=mask.sum(axis=other))
        for size, other in zip(mask.shape, _OTHERS, strict=True)
    ]
    centre: NDArray[np.float64] = atlas.affine[:3, :3] @ voxel + atlas.affine[:3, 3]
    return centre


def _atlas(source: Path, name: str) -> Atlas:
    import nibabel

    try:
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(_bytes(source, name)))
        canonical = nibabel.as_closest_canonical(image)  # type: ignore[no-untyped-call]
        return Atlas(np.asarray(canonical.dataobj, dtype=np.float32), np.asarray(canonical.affine, dtype=np.float64))
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as problem:
        raise PluginError(
            f"{name} in {source} cannot be read ({problem}). Download caideface's wheel again."
        ) from problem


@lru_cache(maxsize=4)
def _fingerprint(source: Path) -> str:
    """Of both volumes as they are packed."""
    return hashlib.sha256(_bytes(source, TEMPLATE) + _bytes(source, FACE_MASK)).hexdigest()[:16]


def _bytes(source: Path, name: str) -> bytes:
    """One of the two files, by its name."""
    try:
        if source.is_dir():
            return (source / name).read_bytes()
        with zipfile.ZipFile(source) as wheel:
            return wheel.read(f"caideface/data/{name}")
    except (OSError, KeyError, zipfile.BadZipFile) as problem:
        raise PluginError(
            f"{name} not found in {source}: {VARIABLE} and the parameter data name caideface's wheel (pip download "
            "--no-deps caideface), or a folder that holds its two volumes"
        ) from problem
