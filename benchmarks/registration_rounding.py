"""Measures how far rounding moves the face template in a head; puts the table into docs/anonymizers.md.

    python benchmarks/registration_rounding.py FOLDER [--heads 6]

FOLDER holds real IXI heads, as the dataset `ixi` reads them. Each head is registered as it is, and twice with every
voxel off by about a millionth, as another processor may leave it. Nothing between the markers is ever typed.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import numpy as np
from common import insert, table
from numpy.typing import NDArray

from refbench.anonymizers.registration import register
from refbench.anonymizers.template import template_face
from refbench.datasets.base import Dataset
from refbench.datasets.ixi import IXI
from refbench.datasets.phantom import Phantom
from refbench.types import Affine, Head

DOCUMENT = Path(__file__).parents[1] / "docs" / "anonymizers.md"
BEGIN, END = "<!-- rounding: benchmarks/registration_rounding.py -->\n", "<!-- end of rounding -->"
ROUNDING = 1e-6
TRIALS = 2
EVERY = 997


def main() -> None:
    """Measure, print, and write into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--heads", type=int, default=6, help="of each kind")
    given = parser.parse_args()
    cohorts: dict[str, Dataset] = {
        "IXI": IXI(path=given.folder),
        "phantoms, `scale: 0.5`": Phantom(subjects=given.heads, scale=0.5),
        "phantoms, `scale: 0.25`": Phantom(subjects=given.heads, scale=0.25),
    }
    rows = []
    for name, dataset in cohorts.items():
        heads = [dataset.load(scan) for scan in dataset.scans()[: given.heads]]
        moved = np.array([moved_mm(head) for head in heads])
        voxel_mm = np.mean([head.voxel_mm for head in heads])
        rows.append([name, str(len(heads)), f"{voxel_mm:.1f}", f"{moved.mean():.1f}", f"{moved.max():.1f}"])
    text = table(["heads", "how many", "voxels, mm", "face moves, mm", "at most, mm"], rows)
    print(text)
    insert(DOCUMENT, BEGIN, END, f"\n{datetime.date.today().isoformat()}\n\n{text}\n\n")


def moved_mm(head: Head) -> NDArray[np.float64]:
    """How far the points of the template's face lie, on average, from where they lay: mm, one for each trial."""
    rng = np.random.default_rng(0)
    here = face_mm(register(head))
    moved = []
    for _ in range(TRIALS):
        factors = 1 + ROUNDING * rng.standard_normal(head.voxels.shape)
        there = face_mm(register(head.with_voxels((head.voxels * factors).astype(np.float32))))
        moved.append(np.linalg.norm(there - here, axis=1).mean())
    return np.array(moved)


def face_mm(to_head: Affine) -> NDArray[np.float64]:
    """Some points of the template's face, in the head's millimetres: (n, 3)."""
    face = template_face()
    points = np.argwhere(face.voxels > 0.5)[::EVERY]
    affine = to_head @ face.affine
    placed: NDArray[np.float64] = points @ affine[:3, :3].T + affine[:3, 3]
    return placed


if __name__ == "__main__":
    main()
