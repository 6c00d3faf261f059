"""Where the face is: registers the face template to a head, and warps the template's regions there.

The registration is niimath's `-allineate` (affine, 12 parameters), run as a program of its own.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.template import Atlas, template_face, template_head
from refbench.errors import DataError, PluginError
from refbench.geometry import head_mask
from refbench.types import Affine, Head, Mask

SAMPLING_MM = 2.0
"""niimath looks at a volume every 2 mm of its world, whatever its voxels are."""

USUAL_SIZES = (0.87, 1.15)
"""The size of adults' heads, by the radius of `_ball_mm`, in relation to the template's: 13 measured 0.93 to 1.05."""

SCORED_MARGIN_MM = 5.0
"""Privacy metrics look this far beyond the skin."""

_BLOCK = 16
_COARSE_MM = 4.0


def registration_versions() -> dict[str, str]:
    """The versions of the program and the atlas that decide a registration; part of an anonymizer's cache key.

    Raises:
        PluginError: one of them is not installed.
    """
    return {name: installed(name) for name in ("niimath", "pydeface")}


def register(head: Head) -> Affine:
    """Find the affine that takes template millimetres to this head's millimetres.

    niimath samples every 2 mm, and finer than its voxels a head has nothing to show. Where a head's voxels are larger,
    both volumes' millimetres are shrunk until one voxel measures 2 mm: eight times less work for voxels of 4 mm.

    niimath finds no head that is a quarter smaller or larger than the template. One whose size is not an adult's gets
    millimetres of its own first, in which it is as large as the template.

    Args:
        head: a whole head; its intensities may have any scale.

    Returns:
        float64 (4, 4), RAS+ millimetres of the template to RAS+ millimetres of the head.

    Raises:
        PluginError: niimath or pydeface cannot be used.
        DataError: niimath failed on this head, or what it found is no head.
    """
    size = _size(head)
    voxel_mm = float(np.prod(head.voxel_mm) ** (1 / 3)) / size
    shrink = np.diag([*[SAMPLING_MM / max(SAMPLING_MM, voxel_mm)] * 3, 1.0])
    to_moving = shrink @ np.diag([*[1 / size] * 3, 1.0])
    template = template_head()
    found = allineate(
        moving=Atlas(head.voxels, to_moving @ head.affine),
        fixed=Atlas(template.voxels, shrink @ template.affine),
        name=head.subject or "this head",
    )
    to_head: Affine = np.linalg.inv(to_moving) @ found @ shrink
    return to_head


def warp(atlas: Atlas, head: Head) -> NDArray[np.float32]:
    """Bring a region of template space onto the head's grid, trilinear, with `head.registration` where it is there.

    Beyond the template's edges its outermost voxels go on: chins and noses often reach further than the template.

    Args:
        atlas: the region, 0-1.
        head: its grid decides.

    Returns:
        float32 of the head's shape, 0-1.

    Raises:
        PluginError, DataError: as `register`, when the head has no registration yet.
    """
    from scipy import ndimage

    to_head = head.registration if head.registration is not None else register(head)
    to_atlas = np.linalg.inv(to_head @ atlas.affine) @ head.affine
    warped = np.zeros(head.voxels.shape, dtype=np.float32)
    box = _reached(atlas.voxels, to_atlas, warped.shape)
    if box is not None:
        start = [side.start for side in box]
        ndimage.affine_transform(
            atlas.voxels,
            to_atlas[:3, :3],
            to_atlas[:3, :3] @ start + to_atlas[:3, 3],
            output=warped[box],
            order=1,
            mode="nearest",
        )
    return warped


def face_region(head: Head) -> NDArray[np.float32]:
    """The template's face on the head's grid: float32 (x, y, z), 0-1, 1 = face, air in front of it included.

    Raises:
        PluginError, DataError: as `register`, when the head has no registration yet.
    """
    return warp(template_face(), head)


def scored_face(head: Head) -> Mask:
    """Where privacy metrics look in a head without a `face` label.

    Args:
        head: the original, never a released head.

    Returns:
        bool (x, y, z): where `face_region` is above 0.5, in the head or at most 5 mm in front of its skin.

    Raises:
        PluginError, DataError: as `register`, when the head has no registration yet; DataError for a constant volume.
    """
    from scipy import ndimage

    face = face_region(head) > 0.5
    scored = np.zeros_like(face)
    if not face.any():
        return scored
    box = bounding_box(face, np.ceil(SCORED_MARGIN_MM / head.voxel_mm).astype(int))
    air = ~head_mask(head.voxels, head.voxel_mm)[box]
    from_skin_mm = ndimage.distance_transform_edt(air, sampling=head.voxel_mm)
    # Without any head in the box, the transform measures to nowhere.
    scored[box] = face[box] & (from_skin_mm <= SCORED_MARGIN_MM) & (not air.all())
    return scored


def bounding_box(mask: Mask, margin: NDArray[np.int_]) -> tuple[slice, slice, slice]:
    """The smallest box around a mask that is not empty, grown by `margin` voxels (3,), cut at the volume's edges."""
    slices = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        slices.append(slice(max(0, int(inside[0] - margin[axis])), int(inside[-1] + margin[axis] + 1)))
    return slices[0], slices[1], slices[2]


def _size(head: Head) -> float:
    """How large a head is in relation to the template; 1 for all of about an adult's size."""
    template = Head(template_head().voxels, template_head().affine)
    size = _ball_mm(head) / _ball_mm(template)
    low, high = USUAL_SIZES
    # What is no head at all is left to the registration.
    return 1.0 if low < size < high or not 0.4 < size < 2.5 else size


def _ball_mm(head: Head) -> float:
    """The radius of the largest ball in a head: it hardly depends on how the head is turned or where it is cut.

    Returns:
        mm; 0 where head cannot be told from air.
    """
    from scipy import ndimage

    try:
        mask = head_mask(head.voxels, head.voxel_mm)
    except DataError:
        return 0.0
    step = np.maximum(1, np.floor(_COARSE_MM / head.voxel_mm + 1e-3)).astype(int)
    mask = mask[:: step[0], :: step[1], :: step[2]]
    return 0.0 if mask.all() else float(ndimage.distance_transform_edt(mask, sampling=head.voxel_mm * step).max())


def _reached(
    region: NDArray[np.float32], to_region: Affine, shape: tuple[int, ...]
) -> tuple[slice, slice, slice] | None:
    """A box of a grid beyond which a region warped there is 0; None if it is 0 everywhere.

    Most regions fill a small part of a head. It is looked for in blocks of `_BLOCK` voxels to a side.

    Args:
        region: float32 (x, y, z); its outermost voxels go on beyond it.
        to_region: voxel indices of the grid to those of the region.
        shape: of the grid.
    """
    filled = region != 0
    if not filled.any():
        return None
    near = np.ones([-(-size // _BLOCK) for size in shape], dtype=bool)
    for row, side, count in zip(to_region, bounding_box(filled, np.zeros(3, dtype=int)), region.shape, strict=False):
        lowest, highest = np.full((2, *near.shape), row[3])
        for axis, size in enumerate(shape):
            first = np.arange(0, size, _BLOCK)
            ends = row[axis] * np.array([first, np.minimum(first + _BLOCK, size) - 1])
            lowest += np.expand_dims(ends.min(axis=0), tuple({0, 1, 2} - {axis}))
            highest += np.expand_dims(ends.max(axis=0), tuple({0, 1, 2} - {axis}))
        if side.start > 0:
            near &= highest > side.start - 1
        if side.stop < count:
            near &= lowest < side.stop
    if not near.any():
        return None
    x, y, z = (
        slice(side.start * _BLOCK, min(side.stop * _BLOCK, size))
        for side, size in zip(bounding_box(near, np.zeros(3, dtype=int)), shape, strict=True)
    )
    return x, y, z


def allineate(moving: Atlas, fixed: Atlas, name: str) -> Affine:
    """Run niimath: float64 (4, 4) from the fixed volume's millimetres to the moving one's.

    Args:
        moving: one volume.
        fixed: the other one, of the same part of a head.
        name: what errors call the moving one.

    Raises:
        PluginError: niimath cannot be run.
        DataError: it failed on this volume, or what it found is no head.
    """
    import nibabel

    with tempfile.TemporaryDirectory(prefix="refbench-register-") as path:
        folder = Path(path)
        for volume, file in ((moving, "head.nii"), (fixed, "template.nii")):
            image = nibabel.Nifti1Image(volume.voxels, volume.affine)  # type: ignore[no-untyped-call]
            nibabel.save(image, folder / file)
        result = run_niimath(
            ["head.nii", "-allineate", "template.nii", "-savemat", "affine.json", "aligned.nii"],
            folder / "affine.json",
            failed=f"niimath could not register {name} to the face template",
            advice="Check that the volume is a whole head, T1-weighted.",
        )
        found: Affine = np.array(json.loads(result.read_text())["fixed_to_moving"], dtype=np.float64)
    scales = np.linalg.svd(found[:3, :3], compute_uv=False)
    if not (np.isfinite(found).all() and np.linalg.det(found[:3, :3]) > 0 and scales[2] > 0.4 and scales[0] < 2.5):
        raise DataError(
            f"niimath registered {name} to the face template by an affine that no head has (stretched by "
            f"{scales[2]:.2f} to {scales[0]:.2f}). Check that the volume is a whole head and its voxel size is right."
        )
    return found


def run_niimath(arguments: Sequence[str], result: Path, *, failed: str, advice: str) -> Path:
    """Run niimath where its result is to lie.

    Args:
        arguments: its command line; plain names are files of that folder.
        result: the file that it leaves.
        failed: how the error begins.
        advice: how the error ends.

    Returns:
        `result`, which is there.

    Raises:
        PluginError: niimath cannot be run.
        DataError: it failed, or left no such file; what it said last is quoted.
    """
    from niimath import bin_path

    command = [str(bin_path), *arguments]
    try:
        done = subprocess.run(command, cwd=result.parent, capture_output=True, text=True, errors="replace", check=False)
    except OSError as problem:
        raise PluginError(f"niimath cannot be run ({problem}). Install it again: pip install niimath") from problem
    if done.returncode != 0 or not result.exists():
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise DataError(f"{failed} (exit status {done.returncode}): {said or 'it said nothing'}. {advice}")
    return result


def installed(distribution: str) -> str:
    """The version of an installed distribution.

    Raises:
        PluginError: it is not installed.
    """
    try:
        return version(distribution)
    except PackageNotFoundError as problem:
        raise PluginError(f"{distribution} is not installed. Run: pip install {distribution}") from problem
