"""Heads of one phantom for the viewer: the original, what anonymizers made of it, and the strongest attacks on that."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refbench.jobs.anonymize import load_anonymized
from refbench.jobs.task import load_head
from refbench.plots.series import Attack
from refbench.report.page import data_url
from refbench.run_heads import heads_of
from refbench.store import Store
from refbench.types import Affine, Voxels

MOST_VOXELS = 200_000
"""Of one volume; larger ones are averaged over cubes of voxels."""

WHITE_PERCENTILE = 99.5


@dataclass(frozen=True)
class Volumes:
    """NIfTI files as data URLs: of `who`, the original, and by anonymizer the releases and the reconstructions."""

    who: str
    original: str
    released: Mapping[str, str]
    reconstructed: Mapping[str, str]


def phantom_volumes(
    store: Store, keys: Mapping[str, str], who: str, anonymizers: Sequence[str], attacks: Sequence[Attack]
) -> Volumes | None:
    """One person's head under every anonymizer, and after these attacks; None where the store has the head no more."""
    folder = _folder(store, keys, f"head {who}")
    if folder is None:
        return None
    head = load_head(folder)
    white = float(np.percentile(head.voxels, WHITE_PERCENTILE)) or 1.0
    released = {}
    for anonymizer in anonymizers:
        done = _folder(store, keys, f"anonymize {who} {anonymizer}")
        if done is not None:
            released[anonymizer] = _nifti(load_anonymized(head, done).head.voxels, head.affine, white)
    reconstructed = {
        attack.anonymizer: _nifti(heads.reconstructed.voxels, head.affine, white)
        for attack in attacks
        if (heads := heads_of(store, keys, attack, who))
    }
    return Volumes(who, _nifti(head.voxels, head.affine, white), released, reconstructed)


def _folder(store: Store, keys: Mapping[str, str], label: str) -> Path | None:
    key = keys.get(label)
    return store.folder(key) if key and store.has(key) else None


def _nifti(voxels: Voxels, affine: Affine, white: float) -> str:
    """Bytes of grey, 255 for `white`, so small that a page holds many."""
    import nibabel as nib

    times = 1
    while voxels.size / times**3 > MOST_VOXELS:
        times += 1
    small, grid = shrink(np.asarray(voxels), affine, times)
    grey = np.clip(small / white * 255, 0, 255).round().astype(np.uint8)
    image = nib.Nifti1Image(grey, grid)  # type: ignore[no-untyped-call]
    return data_url("application/gzip", gzip.compress(image.to_bytes(), 6, mtime=0))


def shrink(voxels: Voxels, affine: Affine, times: int) -> tuple[Voxels, Affine]:
    """Means over cubes of `times` voxels a side, and their affine; what is left at the far ends is cut off."""
    shape = [side // times for side in voxels.shape]
    cut = voxels[tuple(slice(0, side * times) for side in shape)]
    small = cut.reshape(shape[0], times, shape[1], times, shape[2], times).mean(axis=(1, 3, 5))
    grid = np.array(affine, dtype=np.float64)
    grid[:3, 3] += grid[:3, :3] @ np.full(3, (times - 1) / 2)
    grid[:3, :3] *= times
    return small.astype(np.float32), grid
