"""Folders of NIfTI files of a few kilobytes that a whole run goes through in seconds; a plug-in file for suites."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from refbench.datasets.base import Scan
from refbench.datasets.folder import Folder
from refbench.plugin import param
from refbench.types import Head

SHAPE = (12, 14, 13)
AFFINE = np.diag([14.0, 14.0, 14.0, 1.0])


class SmallHeads(Folder):
    """A folder whose heads bring their labels, so that no head needs to be registered."""

    vanishes: str = param("", "name of a file that is taken away after the run was planned, before it is read")

    def label_names(self) -> frozenset[str]:
        return frozenset({"brain", "face"})

    def load(self, scan: Scan) -> Head:
        if scan.files[0].name == self.vanishes:
            scan.files[0].unlink()
        head = super().load(scan)
        tissue = head.voxels > head.voxels.max() / 2
        x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in tissue.shape), indexing="ij")
        return replace(head, labels={"face": tissue & (y > 0.3), "brain": (x**2 + (y + 0.3) ** 2 + z**2) < 0.1})


def suite(**dataset: object) -> dict[str, object]:
    """Keys of a suite on the folder `heads`, for `Workplace.suite`; the names of the files say site and subject."""
    plugins = [str(Path(__file__)), str(Path(__file__).with_name("tiny_plugins.py"))]
    heads = {"path": "heads", "pattern": "(?P<site>[AB])(?P<subject>[0-9]+)", **dataset}
    return {"plugins": plugins, "dataset": {"small_heads": heads}, "slices": {"count": 3, "size": 16}}


def small_head(number: int) -> np.ndarray:
    """A ball with a nose and a texture of its own, int16."""
    rng = np.random.default_rng(number)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    head = (x**2 + y**2 + z**2 < 0.7) | (x**2 + (y - 0.8) ** 2 + z**2 < 0.08)
    return np.where(head, 600 + rng.integers(0, 90, SHAPE), rng.integers(0, 9, SHAPE)).astype(np.int16)


def write(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """One file, compressed if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def without_affine(image: nib.Nifti1Image) -> bytes:
    """The image's file with an affine of zeros."""
    image.set_qform(None, 0)
    raw = bytearray(image.to_bytes())
    raw[280:328] = bytes(48)  # srow_x, srow_y, srow_z
    return bytes(raw)


def write_heads(folder: Path, people: int, suffix: str = ".nii") -> list[Path]:
    """A00, B01, A02 and so on: every second of site B."""
    return [write(folder / f"{'AB'[n % 2]}{n:02}{suffix}", small_head(n)) for n in range(people)]
