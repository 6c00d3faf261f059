"""Writing a released head back into a NIfTI file that differs from its source in the changed voxels alone.

What is copied byte for byte: the header (grid, orientation, data type, scaling), and the stored value of every voxel
that did not change. What is left out, as it may hold a time, a file's old name or a whole DICOM header with the
patient's: the header's short texts, extensions, and whatever follows the voxels.
"""

from __future__ import annotations

import gzip
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from refbench.datasets.nifti import NIFTI1_MAGIC, unpacked
from refbench.errors import DataError
from refbench.store import write_atomically
from refbench.types import Mask, Voxels

_NO_EXTENSIONS = bytes(4)
_TEXTS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")  # NIfTI-2 has the last three
_GZIP_LEVEL = 4  # 1 % larger than 6, which most tools take, in half its time
_MUTE = logging.Logger("refbench.nifti", logging.CRITICAL + 1)  # the reader has told already what is wrong


@dataclass(frozen=True)
class Release:
    """A released head as its file holds it, rounded and clipped to the file's data type.

    Attributes:
        content: the whole file, not compressed.
        voxels: float32 (x, y, z) in RAS+ order, what a reader of the file gets.
        changed: bool (x, y, z) in RAS+ order, where a stored value differs from the source's.
    """

    content: bytes
    voxels: Voxels
    changed: Mask


def encode_release(source: Path, released: Voxels, changed: Mask) -> Release:
    """Put a released head into a copy of its source file.

    Args:
        source: the NIfTI file that `refbench.datasets.nifti.read_head` read the original from.
        released: float32 (x, y, z), RAS+ as `read_head` gives it.
        changed: bool (x, y, z), RAS+; values are taken from `released` here, and stay as stored elsewhere.

    Raises:
        DataError: the source cannot be read any more, or holds a head of another shape.
    """
    file = _NiftiFile.read(source)
    stored, (slope, inter) = file.stored(), file.scaling
    in_ras = file.in_ras_order(stored)
    _check_shape(in_ras, released, source)
    before = in_ras[changed]
    in_ras[changed] = _encoded(released[changed], stored.dtype, slope, inter)
    differs = changed.copy()
    differs[changed] = before != in_ras[changed]
    voxels = np.asarray(apply_read_scaling(in_ras, np.float64(slope), np.float64(inter)), dtype=np.float32, order="C")
    return Release(file.with_voxels(stored), voxels, differs)


def write_release(release: Release, out: Path) -> None:
    """Write a released head; a name that ends on .gz is compressed. Nothing half-written ever has the final name.

    Raises:
        DataError: the file cannot be written.
    """
    write_file(release.content, out)


def write_mask(source: Path, mask: Mask, out: Path) -> None:
    """Write a mask as uint8 0 and 1 on the source's grid, with the source's orientation and axes.

    Args:
        source: a NIfTI file; it decides grid, byte order and the version of NIfTI.
        mask: bool (x, y, z), RAS+.
        out: the file to write or replace.

    Raises:
        DataError: the source cannot be read, holds a head of another shape, or `out` cannot be written.
    """
    file = _NiftiFile.read(source)
    header = file.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["descrip"] = b"where the head was changed"
    header["cal_min"], header["cal_max"] = 0, 1
    masked = _NiftiFile(header.binaryblock, header, b"")
    values = np.zeros(header.get_data_shape(), dtype=np.uint8, order="F")
    in_ras = masked.in_ras_order(values)
    _check_shape(in_ras, mask, source)
    in_ras[...] = mask
    write_file(masked.with_voxels(values), out)


@dataclass(frozen=True)
class _NiftiFile:
    """A NIfTI file in memory: the header's own bytes, its texts blanked, as nibabel reads it, and the voxels' bytes."""

    header_bytes: bytes
    header: Any
    voxel_bytes: bytes

    @classmethod
    def read(cls, path: Path) -> _NiftiFile:
        try:
            raw = unpacked(path.read_bytes())
            kind = nib.Nifti1Header if raw[NIFTI1_MAGIC] == b"n+1\0" else nib.Nifti2Header
            header_bytes = _without_texts(raw[: kind.sizeof_hdr], kind.template_dtype)
            header: Any = kind(header_bytes, check=False)  # type: ignore[no-untyped-call]
            header.check_fix(logger=_MUTE)  # as nibabel does on reading: it decides the orientation of odd files
        except (OSError, EOFError, ValueError, nib.wrapstruct.WrapStructError) as error:
            raise DataError(f"{path}: cannot be read again ({error}). Was it moved or changed meanwhile?") from error
        start = header.get_data_offset()
        size = int(np.prod(header.get_data_shape())) * header.get_data_dtype().itemsize
        if len(raw) < start + size:
            raise DataError(f"{path}: holds fewer voxels than its header says. Copy or download it again.")
        return cls(header_bytes, header, raw[start : start + size])

    @property
    def scaling(self) -> tuple[float, float]:
        """What stored values are multiplied by, and what is added then; 1 and 0 where the header states none."""
        slope, inter = self.header.get_slope_inter()
        return (1.0, 0.0) if slope is None else (float(slope), float(inter or 0.0))

    def stored(self) -> NDArray[Any]:
        """The values as stored, on the file's own axes, free to be changed."""
        values = np.frombuffer(self.voxel_bytes, self.header.get_data_dtype())
        return values.reshape(self.header.get_data_shape(), order="F").copy(order="F")

    def in_ras_order(self, stored: NDArray[Any]) -> NDArray[Any]:
        """A view of three axes in RAS+ order; what is written to it lands in `stored`."""
        turned: NDArray[Any] = apply_orientation(  # type: ignore[no-untyped-call]
            stored.reshape(stored.shape[:3], order="F"),
            io_orientation(self.header.get_best_affine()),  # type: ignore[no-untyped-call]
        )
        assert np.shares_memory(turned, stored)
        return turned

    def with_voxels(self, stored: NDArray[Any]) -> bytes:
        """The whole file with other voxels, without extensions."""
        header = bytearray(self.header_bytes)
        field, position = self.header.structarr.dtype.fields["vox_offset"]
        start = len(header) + len(_NO_EXTENSIONS)
        header[position : position + field.itemsize] = np.array(start, dtype=field).tobytes()
        return bytes(header) + _NO_EXTENSIONS + stored.tobytes(order="F")


def _without_texts(header: bytes, layout: np.dtype[Any]) -> bytes:
    assert layout.fields is not None
    blanked = bytearray(header)
    for field, position in (layout.fields[name][:2] for name in _TEXTS if name in layout.fields):
        blanked[position : position + field.itemsize] = bytes(field.itemsize)
    return bytes(blanked)


def _encoded(values: Voxels, dtype: np.dtype[Any], slope: float, inter: float) -> NDArray[Any]:
    """Values as a file stores them: unscaled, and for integers rounded and clipped to what the type holds."""
    unscaled = (values.astype(np.float64) - inter) / slope
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    low, high = float(limits.min), float(limits.max)
    if dtype.kind in "iu":
        unscaled = np.rint(unscaled)
        high = high if int(high) <= limits.max else np.nextafter(high, 0)  # 2**63 - 1 is no float64: the next below is
    encoded: NDArray[Any] = np.clip(unscaled, low, high).astype(dtype)
    return encoded


def _check_shape(in_ras: NDArray[Any], given: NDArray[Any], source: Path) -> None:
    if in_ras.shape != given.shape:
        raise DataError(
            f"{source}: holds {in_ras.shape} voxels, what is to be written has {given.shape}. Was it changed meanwhile?"
        )


def write_file(content: bytes, out: Path) -> None:
    """Write a NIfTI file, compressed if its name says so; the same content gives the same bytes.

    Raises:
        DataError: it cannot be written.
    """
    try:
        write_atomically(out, gzip.compress(content, _GZIP_LEVEL, mtime=0) if out.suffix == ".gz" else content)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}). Free space, or choose another place.") from error
