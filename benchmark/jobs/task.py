"""What a job is given to work with, and how heads, masks and slices lie on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from refbench.errors import InvalidOutput, NobodyLeft
from refbench.plugin import Plugin
from refbench.slice_storage import decode
from refbench.types import Head, Images, Mask, ReleasedSlices


@dataclass(frozen=True)
class Task:
    """One job while it runs.

    Attributes:
        identity: what was hashed into the job's key; all that may decide the result.
        where: paths of files; they decide nothing.
        inputs: key to folder of every finished input.
        out: an empty folder for the result. scratch: survives a kill of this job.
        plugin: builds the plug-in that a part of `identity` describes.
        device: `cpu` or `cuda`. report: takes (done, total, losses).
        remarks: JSON values by name, for the job's record.
    """

    identity: Mapping[str, Any]
    where: Mapping[str, Any]
    inputs: Mapping[str, Path]
    out: Path
    scratch: Path
    plugin: Callable[[Mapping[str, Any]], Plugin]
    device: str
    report: Callable[[int, int, dict[str, float]], None]
    remarks: dict[str, Any] = field(default_factory=dict)


def save_mask(path: Path, mask: Mask) -> None:
    """Eight voxels a byte; the shape is kept in the same npz."""
    np.savez(path, bits=np.packbits(mask), shape=np.asarray(mask.shape))


def load_mask(path: Path) -> Mask:
    """What `save_mask` wrote, bool."""
    with np.load(path) as stored:
        shape = tuple(stored["shape"])
        return np.unpackbits(stored["bits"], count=int(np.prod(shape))).astype(bool).reshape(shape)


def save_head(folder: Path, head: Head) -> None:
    """Voxels (memory-mappable), affine and labels; no names, no paths."""
    np.save(folder / "voxels.npy", head.voxels)
    np.save(folder / "affine.npy", head.affine)
    for name, mask in head.labels.items():
        save_mask(folder / f"label_{name}.npz", mask)


def load_head(
    folder: Path, *, registration: Path | None = None, brain: Path | None = None, average: Path | None = None
) -> Head:
    """A head without labels, voxels mapped read-only; the others are folders of finished jobs of these names."""
    return Head(
        voxels=np.load(folder / "voxels.npy", mmap_mode="r"),
        affine=np.load(folder / "affine.npy"),
        registration=None if registration is None else np.load(registration / "registration.npy"),
        brain=None if brain is None else load_mask(brain / "brain.npz"),
        average=None if average is None else np.load(average / "average.npy"),
    )


def load_labels(folder: Path) -> dict[str, Mask]:
    """The truth that came with a head, by name."""
    files = sorted(folder.glob("label_*.npz"))
    return {file.stem.removeprefix("label_"): load_mask(file) for file in files}


def check_head(head: Any, what: str) -> Head:
    """A head as the contract wants it.

    Raises:
        InvalidOutput: what is wrong with it; `what` says whose it is.
    """
    if not isinstance(head, Head):
        raise InvalidOutput(f"{what} is a {type(head).__name__}, not a Head")
    voxels, affine = head.voxels, head.affine
    if not isinstance(voxels, np.ndarray) or voxels.ndim != 3 or voxels.dtype != np.float32:
        kind = f"{voxels.dtype} {voxels.shape}" if isinstance(voxels, np.ndarray) else type(voxels).__name__
        raise InvalidOutput(f"voxels of {what} must be float32 (x, y, z), not {kind}")
    if not np.isfinite(voxels).all():
        raise InvalidOutput(f"{what} has {int((~np.isfinite(voxels)).sum())} voxels that are NaN or infinite")
    if np.shape(affine) != (4, 4) or not np.isfinite(affine).all():
        raise InvalidOutput(f"the affine of {what} must be a finite 4 x 4 matrix")
    return head


def check_images(images: Any, shape: tuple[int, ...], what: str) -> Images:
    """Images as the contract wants them, clipped to 0-1.

    Raises:
        InvalidOutput: another type, shape, or values that are not finite.
    """
    if not isinstance(images, np.ndarray) or images.shape != shape or images.dtype != np.float32:
        kind = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InvalidOutput(f"{what} must be float32 {shape}, not {kind}")
    if not np.isfinite(images).all():
        raise InvalidOutput(f"{what} holds {int((~np.isfinite(images)).sum())} pixels that are NaN or infinite")
    return np.clip(images, 0, 1)


def gather(folders: Sequence[Path], name: str) -> np.ndarray[Any, Any]:
    """One array of the slices of many scans, [scans x count, h, w]; images are float32, 0-1.

    Scan after scan, so that all of them are in memory once: mapped files would count until the last is copied.

    Raises:
        NobodyLeft: there is no scan.
    """
    if not folders:
        raise NobodyLeft("nobody is left: the preparation of every subject of this part failed")
    files = [folder / f"{name}.npy" for folder in folders]
    counts = [len(np.load(file, mmap_mode="r")) for file in files]
    none = decode(np.load(files[0], mmap_mode="r")[:0])  # tells what they will be
    whole = np.empty((sum(counts), *none.shape[1:]), none.dtype)
    for file, end, count in zip(files, np.cumsum(counts), counts, strict=True):
        whole[end - count : end] = decode(np.load(file))
    return whole


def released_slices(folders: Sequence[Path], *, with_changed: bool) -> ReleasedSlices:
    """The released slices of several scans, in the order of `folders`."""
    counts = [json.loads((folder / "geometry.json").read_text())["count"] for folder in folders]
    return ReleasedSlices(
        images=gather(folders, "anonymized"),
        release=np.repeat(np.arange(len(folders)), counts),
        position=np.concatenate([np.arange(count) for count in counts]),
        changed=gather(folders, "changed") if with_changed else None,
    )
