"""Writes phantoms as the IXI project would have: its names, its three sites, its axes and its tilt.

    python tests/made_up_ixi.py FOLDER [PEOPLE [SCALE]]

makes FOLDER/IXI-T1.tar, FOLDER/IXI-T1/ and FOLDER/IXI.csv. At scale 1 a volume is stored as 256 x 256 x 150 voxels
(146 at IOP) of 0.9375 x 0.9375 x 1.2 mm whose axes point to posterior, superior and right, tilted by 7 degrees about
the left-right axis; int16, sform and qform of code 1.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from refbench.datasets.phantom import Phantom
from refbench.types import Head

AXES = ("P", "S", "R")
TILT_DEGREES = 7.0
COLUMNS = ("IXI_ID", "SEX_ID (1=m, 2=f)", "HEIGHT", "WEIGHT", "DATE_AVAILABLE", "AGE")


def write_cohort(
    folder: Path, people: int = 60, scale: float = 0.25, *, seed: int = 0, regions: Path | None = None
) -> list[Path]:
    """Write the heads into `folder`, in order of their names, and where their brains are into `regions`."""
    for place in filter(None, (folder, regions)):
        place.mkdir(parents=True, exist_ok=True)
    dataset = Phantom(subjects=people, scale=scale, seed=seed)
    files = []
    for number, scan in enumerate(dataset.scans(), start=1):
        # Some numbers are of nobody, as in IXI.
        file = folder / f"IXI{2 + number + number // 7:03d}-{scan.site}-{800 + 3 * number:04d}-T1.nii.gz"
        head = dataset.load(scan)
        write_head(file, head)
        if regions:
            brain = head.with_voxels(head.labels["brain"].astype(np.float32))
            write_head(regions / file.name.replace("-T1.nii", "-T1_regions.nii"), brain)
        files.append(file)
    return files


def write_head(file: Path, head: Head) -> None:
    """Write one head with IXI's axes, tilt and data type."""
    affine = tilted(head)
    change = ornt_transform(io_orientation(affine), axcodes2ornt(AXES))
    voxels = nib.apply_orientation(np.round(head.voxels).astype(np.int16), change)
    image = nib.Nifti1Image(voxels, affine @ inv_ornt_aff(change, head.voxels.shape))
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    file.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def tilted(head: Head) -> np.ndarray:
    """The head's affine, its grid turned about its centre to IXI's angle."""
    angle, middle = np.deg2rad(TILT_DEGREES), (np.array(head.voxels.shape) - 1) / 2
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn * head.voxel_mm
    affine[:3, 3] = (head.affine @ [*middle, 1])[:3] - affine[:3, :3] @ middle
    return affine


def write_spreadsheet(path: Path, people: int = 60, *, seed: int = 0) -> None:
    """Write the table of who they are, as a spreadsheet program exports it, with the peculiarities of IXI's own.

    The first person stands in it twice, the second has no age, and somebody has no scan.
    """
    facts = [scan.facts for scan in Phantom(subjects=people, seed=seed).scans()]
    rows = [
        [2 + n + n // 7, 1 if fact["sex"] == "M" else 2, 0, 0, 1, "" if n == 2 else f"{fact['age']:.6f}"]
        for n, fact in enumerate(facts, start=1)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, rows[0], *rows, [999, 1, 170, 70, 0, 40]])


def packed(files: dict[str, bytes]) -> bytes:
    """A plain tar archive of files by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def main() -> None:
    folder, *rest = sys.argv[1:]
    people, scale = int(rest[0]) if rest else 60, float(rest[1]) if rest[1:] else 0.25
    files = write_cohort(Path(folder) / "IXI-T1", people, scale)
    Path(folder, "IXI-T1.tar").write_bytes(packed({file.name: file.read_bytes() for file in files}))
    write_spreadsheet(Path(folder) / "IXI.csv", people)


if __name__ == "__main__":
    main()
