"""The face template: pydeface's mean T1 head, its face mask, and a brain region grown in it.

The volumes come inside pydeface's wheel (Poldrack lab, github.com/poldracklab/pydeface, MIT); pydeface itself is never
imported or run. Each is read once per process.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refbench.errors import PluginError
from refbench.geometry import otsu_threshold
from refbench.types import Affine

CORE_FRACTION = 1.6
"""The inside of the brain is brighter than this many times Otsu's threshold of the mean head; muscle is not."""

BRAIN_CENTRE = (44, 60, 75)
"""A voxel of `template_head` in the middle of the brain, above the thalamus."""

EYES_ACROSS, EYES_DEPTH, EYES_HEIGHT = slice(28, 149), 186, slice(70, 112)
"""Voxels of the face mask's grid, where `template_face` adds the eyes: from temple to temple, and up to the brows."""

EYES_MARGIN_MM = 12.0


class Atlas(NamedTuple):
    """A volume of template space: float32 (x, y, z) voxels and their affine (4, 4) to template millimetres."""

    voxels: NDArray[np.float32]
    affine: Affine


@lru_cache(maxsize=1)
def template_head() -> Atlas:
    """The mean T1 head, averaged over blocks of 2 x 2 x 2 voxels: (88, 128, 128), about 2 mm, 0 to 626."""
    return _halved(_read("mean_reg2mean.nii.gz"))


@lru_cache(maxsize=1)
def template_face() -> Atlas:
    """Where the face is: (176, 256, 256), about 1 mm; 1 = face, air in front of it included.

    pydeface's mask ends below the eyes. Here the eyes and the brows between the temples are added to it, down to
    `EYES_DEPTH` behind the front of the orbits, and `EYES_MARGIN_MM` away from the brain.
    """
    from scipy import ndimage

    mask, brain = template_face_mask(), template_brain()
    brain_mm = np.sqrt((brain.affine[:3, :3] ** 2).sum(axis=0))
    near_brain = ndimage.distance_transform_edt(brain.voxels < 0.5, sampling=brain_mm) <= EYES_MARGIN_MM
    face = mask.voxels.copy()
    eyes = np.s_[EYES_ACROSS, EYES_DEPTH:, EYES_HEIGHT]
    far = ~near_brain.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)[eyes]
    face[eyes] = np.maximum(face[eyes], far)
    return Atlas(face, mask.affine)


@lru_cache(maxsize=1)
def template_face_mask() -> Atlas:
    """The face mask of pydeface, turned round: (176, 256, 256), about 1 mm; 1 = face, 0 = keep.

    It is a block below the eyes and in front of the throat, slanting up over the bridge of the nose; it reaches the
    edges of the template in front, at both sides and at the bottom.
    """
    mask = _read("facemask.nii.gz")
    face = 1 - mask.voxels
    # The foremost plane of the file ends 33 mm lower than all behind it, which would spare what reaches beyond it.
    face[:, -1] = face[:, -2]
    return Atlas(face, mask.affine)


@lru_cache(maxsize=1)
def template_brain() -> Atlas:
    """The brain of the mean head: (88, 128, 128), about 2 mm; 1 = brain. 1.4 litres, without any margin.

    pydeface's template has no brain mask. It is grown here: what is brighter than 1.6 times Otsu's threshold, eroded
    by 4 mm to cut it loose from the eyes and the neck; its piece at the brain's centre then grows by 12 mm through
    what is brighter than Otsu's threshold itself (the skull is not), is closed over 12 mm, and filled.
    """
    from scipy import ndimage

    head = template_head()
    otsu = otsu_threshold(head.voxels)
    cross = ndimage.generate_binary_structure(3, 1)
    labels, _ = ndimage.label(ndimage.binary_erosion(head.voxels > CORE_FRACTION * otsu, cross, iterations=2))
    core = labels == labels[BRAIN_CENTRE]
    grown = ndimage.binary_dilation(core, cross, iterations=6, mask=head.voxels > otsu)
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(grown, cross, iterations=6))
    return Atlas(filled.astype(np.float32), head.affine)


def _read(name: str) -> Atlas:
    """One of the volumes inside pydeface's wheel."""
    import nibabel

    found = find_spec("pydeface")
    if found is None or not found.submodule_search_locations:
        raise PluginError("pydeface is not installed, and its face template with it. Run: pip install pydeface")
    image = nibabel.load(Path(found.submodule_search_locations[0]) / "data" / name)
    assert isinstance(image, nibabel.Nifti1Image)
    return Atlas(np.asarray(image.dataobj, dtype=np.float32, order="C"), np.asarray(image.affine, dtype=np.float64))


def _halved(atlas: Atlas) -> Atlas:
    """Means over blocks of 2 x 2 x 2 voxels; every edge of the template is even."""
    x, y, z = (size // 2 for size in atlas.voxels.shape)
    voxels = atlas.voxels.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5))
    to_fine = np.diag([2.0, 2.0, 2.0, 1.0])
    to_fine[:3, 3] = 0.5
    return Atlas(voxels, atlas.affine @ to_fine)
