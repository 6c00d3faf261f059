"""How fast volumes are read and sliced beside plain nibabel and scipy, and what preparing a cohort takes in memory.

    python benchmarks/preparation.py [--people 20 60 180] [--rounds 5] [--anyway] [--dry]

Volumes are phantoms of IXI's size, written as IXI's are: int16, gzip, axes to posterior, superior and right. Both ways
read the same files in turn, in one process and one thread; the best of all rounds counts, in seconds of the processor.
Cohorts are small phantoms; each is prepared (loaded, anonymized twice, checked, sliced) in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from common import arguments, publish, table
from nibabel.orientations import axcodes2ornt, ornt_transform
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from refbench.attackers.pace_choice import processor
from refbench.datasets.nifti import read_head
from refbench.datasets.phantom import Phantom
from refbench.slicing import PAPER_STEP_VOXELS, SliceOptions, cut
from refbench.types import AnonymizedHead

MOST_LOAD = 0.5
VOLUMES, COUNT, SIZE = 2, 21, 256
CASES: dict[str, dict[str, Any]] = {
    "the paper's slices": {"placement": "paper"},
    "over the face": {},
    "over the face, pixels of 1 mm": {"pixel_mm": 1.0},
}

Image = NDArray[np.float32]


def write_volumes(folder: Path) -> list[Path]:
    """Phantoms in files like IXI's."""
    dataset, files = Phantom(subjects=VOLUMES, scale=1.0), []
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt("PSR"))  # type: ignore[no-untyped-call]
    for scan in dataset.scans():
        head = dataset.load(scan)
        image = nib.Nifti1Image(np.round(head.voxels).astype(np.int16), head.affine)  # type: ignore[no-untyped-call]
        files.append(folder / f"{scan.subject}.nii.gz")
        nib.save(image.as_reoriented(turn), files[-1])  # type: ignore[no-untyped-call]
    return files


def plainly(file: Path, options: SliceOptions) -> Image:
    """Slices as one would first write it: the whole volume in float64, resampled as a whole, and then cut."""
    image = nib.as_closest_canonical(nib.load(file))  # type: ignore[no-untyped-call]
    voxels, edges = image.get_fdata(), np.array(image.header.get_zooms())
    white = np.percentile(voxels, options.percentile)
    if options.placement == "paper":
        columns = round(len(voxels) / 2) + PAPER_STEP_VOXELS * (np.arange(COUNT) - COUNT // 2)
    else:
        tissue = voxels > 0.4 * threshold_otsu(voxels)  # type: ignore[no-untyped-call]
        labels, _ = ndimage.label(tissue)
        head = ndimage.binary_fill_holes(labels == np.bincount(labels.ravel())[1:].argmax() + 1)
        depth = np.flatnonzero(head.any(axis=(0, 2)))
        across = np.flatnonzero(head[:, depth[-1] - len(depth) // 3 :].any(axis=(1, 2)))
        columns = np.linspace(across[0], across[-1], 2 * COUNT + 1)[1::2].round().astype(int)
    if options.pixel_mm is not None:
        zoom = (1, *(edges[1:] / options.pixel_mm))
        voxels = ndimage.zoom(voxels, zoom, order=1, mode="nearest", grid_mode=True)
    sizes = np.array(voxels.shape[1:])
    before = (SIZE - sizes) // 2
    planes = np.pad(voxels[columns], ((0, 0), *zip(before, SIZE - sizes - before, strict=True)))
    slices: Image = np.clip(planes / white, 0, 1).transpose(0, 2, 1)[:, ::-1, ::-1].astype(np.float32)
    return slices


def by_refbench(file: Path, options: SliceOptions) -> Image:
    """What the jobs `head` and `slice` compute: slices of the original and of the release, and of two masks."""
    head = read_head(file)
    nowhere = np.zeros(head.voxels.shape, dtype=bool)
    return cut(head, AnonymizedHead(head, nowhere), nowhere, options).original


def processor_seconds(work: Callable[[], Any]) -> float:
    """Once."""
    started = time.process_time()
    work()
    return time.process_time() - started


def speeds(files: list[Path], rounds: int) -> list[dict[str, Any]]:
    """Volumes per second of both ways, case by case."""
    found = []
    for name, given in CASES.items():
        options = SliceOptions(count=COUNT, size=SIZE, **given)
        if options.placement == "paper":  # nothing is sought or resampled: both must give the same
            np.testing.assert_allclose(by_refbench(files[0], options), plainly(files[0], options), atol=1e-6)
        taken: dict[str, list[float]] = {"plain": [], "refbench": []}
        for number in range(rounds):
            file = files[number % len(files)]
            taken["plain"].append(processor_seconds(partial(plainly, file, options)))
            taken["refbench"].append(processor_seconds(partial(by_refbench, file, options)))
        found.append({"name": name, **{way: 1 / min(seconds) for way, seconds in taken.items()}})
        print(found[-1], flush=True)
    return found


def cohorts(sizes: list[int]) -> list[dict[str, float]]:
    """What preparing cohorts of several sizes takes."""
    found = []
    for people in sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(Path(__file__).with_name("prepare_cohort.py")), str(people), folder]
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found.append(json.loads(said.splitlines()[-1]))
        print(found[-1], flush=True)
    return found


def main() -> None:
    """Measure, print and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=[20, 60, 180])
    parser.add_argument("--rounds", type=int, default=5, help="of every timing")
    given = arguments(parser, MOST_LOAD)
    with tempfile.TemporaryDirectory() as folder:
        rates = speeds(write_volumes(Path(folder)), given.rounds)
    prepared = cohorts(given.people)
    rows = [
        [one["name"], f"{one['plain']:.1f}", f"{one['refbench']:.1f}", f"{one['refbench'] / one['plain']:.1f}"]
        for one in rates
    ]
    memory = [
        [
            str(one["people"]),
            f"{one['runner_mb']:.0f}",
            f"{one['job_mb']:.0f}",
            f"{one['seconds']:.0f}",
            f"{one['seconds'] / one['people']:.2f}",
            f"{one['disk_mb'] / one['people']:.1f}",
        ]
        for one in prepared
    ]
    text = (
        table([f"{COUNT} slices of a volume", "plain, volumes/s", "refbench, volumes/s", "ratio"], rows)
        + "\n\n"
        + table(
            ["people", "runner, MB", "largest job, MB", "seconds", "seconds a person", "MB a person on disk"], memory
        )
    )
    if given.dry:
        print(text)
    else:
        publish("preparation", text, {"speeds": rates, "cohorts": prepared}, processor())


if __name__ == "__main__":
    main()
