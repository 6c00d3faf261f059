"""Reading a head from a NIfTI file, or saying what is wrong with the file."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.imageglobals import logger as nibabel_logger
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from nibabel.spatialimages import HeaderDataError, ImageDataError
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError

from refbench.errors import DataError
from refbench.types import Affine, Head, Mask, Voxels

Image = nib.Nifti1Image | nib.Nifti2Image

GZIP_MAGIC = b"\x1f\x8b"
NIFTI1_MAGIC, NIFTI2_MAGIC = slice(344, 348), slice(4, 8)  # where the two headers say what they are
SMALLEST_VOXEL_MM = 1e-3
FLATTEST_VOXEL = 1e-3  # volume over the product of the edges: 1 for right angles, 0 for edges in one plane


def read_head(path: Path, *, subject: str = "", session: str = "", site: str = "") -> Head:
    """Read a NIfTI-1 or NIfTI-2 file (`.nii` or `.nii.gz`) as a head in RAS+ order.

    Any orientation, real data type and scaling; three axes, or four with a single volume. Axes are permuted and
    flipped, never resampled: an oblique volume stays oblique in its affine. A file that states no orientation (sform
    and qform codes 0) is read as NIfTI prescribes for it: first axis to the left, second to the front, third up.

    Returns:
        the head; float32 voxels (x, y, z), finite, not all alike, on the file's own scale.

    Raises:
        DataError: the file cannot be a head; the message names it, what is wrong and what to do.
    """
    raw = _read_bytes(path)
    with _quiet(nibabel_logger), np.errstate(all="ignore"):
        try:
            image = _parse(raw, path)
            _check_grid(image, path)
            voxels, affine = _in_ras_order(image, raw)
        except (HeaderDataError, ImageDataError, WrapStructError, ValueError, OSError, OverflowError) as error:
            raise DataError(f"{path}: damaged NIfTI file ({error}). Convert or download it again.") from error
    _check_voxels(voxels, path)
    return Head(voxels, affine, subject=subject, session=session, site=site)


def read_label(path: Path, head: Head) -> Mask:
    """Read a volume of labels on a head's grid: bool (x, y, z), True where it is above 0.

    Raises:
        DataError: as `read_head`, or the grid is another than the head's.
    """
    label = read_head(path)
    if label.voxels.shape != head.voxels.shape or not np.allclose(label.affine, head.affine, atol=1e-3):
        raise DataError(f"{path}: lies on another grid than its head. Resample it to the head (nearest neighbour).")
    mask: Mask = label.voxels > 0
    return mask


def _read_bytes(path: Path) -> bytes:
    """The file's contents, uncompressed and with their checksum tested (nibabel stops reading before it)."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from error
    try:
        return unpacked(raw)
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error}). Copy or download it again.") from error


def unpacked(raw: bytes) -> bytes:
    """What a file holds, whether it is compressed with gzip or not; checksums are tested.

    Raises:
        gzip.BadGzipFile: it is truncated or damaged.
    """
    if not raw.startswith(GZIP_MAGIC):
        return raw
    try:
        return bytes(igzip.decompress(raw))  # type: ignore[no-untyped-call]
    except (EOFError, isal_zlib.error) as error:  # type: ignore[misc]  # its stub tells no type
        raise gzip.BadGzipFile(str(error)) from error


def _parse(raw: bytes, path: Path) -> Image:
    """Tell the kind of file by its contents, whatever its name ends on."""
    if raw[NIFTI1_MAGIC] == b"n+1\0":
        return nib.Nifti1Image.from_bytes(raw)
    if raw[NIFTI2_MAGIC] == b"n+2\0":
        return nib.Nifti2Image.from_bytes(raw)
    if b"ni1\0" in raw[NIFTI1_MAGIC] or raw[NIFTI2_MAGIC] == b"ni2\0":
        raise DataError(f"{path}: a NIfTI header whose voxels lie in another file. Convert the pair to one .nii file.")
    raise DataError(f"{path}: not a NIfTI file. Convert it to .nii or .nii.gz (DICOM: with dcm2niix).")


def _in_ras_order(image: Image, raw: bytes) -> tuple[Voxels, Affine]:
    """Scaled voxels in RAS+ order, and their affine, as `nibabel.as_closest_canonical` gives them.

    Plane by plane, from the file's bytes straight to float32: in between there is no volume, let alone in float64.
    """
    where: Any = image.dataobj
    stored = np.frombuffer(raw, where.dtype, int(np.prod(image.shape)), where.offset)
    turn = io_orientation(image.affine)  # type: ignore[no-untyped-call]
    planes = apply_orientation(stored.reshape(image.shape[:3], order="F"), turn)  # type: ignore[no-untyped-call]
    slope, inter = np.float64(where.slope), np.float64(where.inter)
    voxels = np.empty(planes.shape, dtype=np.float32)
    for plane, values in zip(voxels, planes, strict=True):
        plane[...] = apply_read_scaling(values, slope, inter)
    affine: Affine = image.affine @ inv_ornt_aff(turn, image.shape)  # type: ignore[no-untyped-call]
    return voxels, affine.astype(np.float64)


def _check_grid(image: Image, path: Path) -> None:
    shape, volumes = image.shape, image.shape[3:]
    size = " x ".join(map(str, shape))
    if len(shape) == 4 and volumes != (1,):
        raise DataError(f"{path}: holds {volumes[0]} volumes ({size}), a head is one. Extract one volume.")
    if len(shape) not in (3, 4):
        raise DataError(f"{path}: has {len(shape)} axes ({size}), a head has three. Give a single 3D volume.")
    if min(shape) < 1 or min(shape[:3]) < 2:
        raise DataError(f"{path}: {size} voxels are not a volume. Give a 3D acquisition, not a slice.")
    dtype: np.dtype[np.generic] = image.get_data_dtype()  # type: ignore[no-untyped-call]
    if dtype.kind not in "iufb":
        kind = "complex" if dtype.kind == "c" else "colour"
        raise DataError(f"{path}: holds {kind} values, a head has real ones. Save its magnitude as a number per voxel.")
    directions = image.affine[:3, :3]
    if not np.isfinite(image.affine).all():
        raise DataError(f"{path}: its affine holds NaN or infinite values. Repair the header (qform and sform).")
    edges = np.sqrt((directions**2).sum(axis=0))
    if edges.min() < SMALLEST_VOXEL_MM:
        text = " x ".join(f"{edge:g}" for edge in edges)
        raise DataError(f"{path}: voxels of {text} mm. Repair the header (pixdim, qform and sform).")
    if abs(np.linalg.det(directions / edges)) < FLATTEST_VOXEL:
        raise DataError(f"{path}: its affine is singular (axes in one plane). Repair the header (qform and sform).")


def _check_voxels(voxels: Voxels, path: Path) -> None:
    low, high = voxels.min(), voxels.max()  # a NaN anywhere makes both NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = np.count_nonzero(~np.isfinite(voxels))
        raise DataError(
            f"{path}: {wrong} voxels are NaN, infinite or too large for float32. "
            "Set them to the value of air, or convert the scan again."
        )
    if low == high:
        raise DataError(f"{path}: every voxel is {low:g}, there is no head in it. Convert the scan again.")


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep nibabel from reporting harmless quirks of headers on the terminal; what matters is raised."""

    def drop(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)
