"""A phantom cohort as files: a BIDS data set with the true labels, faces and scanner settings beside the heads."""

from __future__ import annotations

import csv
import gzip
import io
import json
import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refbench import __version__
from refbench.datasets.base import Scan
from refbench.datasets.phantom import Phantom, face_parameters
from refbench.datasets.phantom_person import draw_person
from refbench.datasets.phantom_protocol import scanner_parameters
from refbench.errors import DataError
from refbench.store import write_atomically
from refbench.types import Affine

PEOPLE, FACES, VISITS = "participants.tsv", "phantom_truth.csv", "phantom_scanners.csv"
LABELS = Path("derivatives", "labels")

Row = Mapping[str, str | float]

_BIDS_VERSION = "1.10.0"
_GZIP_LEVEL = 4


def write_cohort(
    cohort: Mapping[str, Any],
    folder: Path,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Write a cohort into a new folder; the same cohort gives the same bytes, however many jobs write it.

        participants.tsv          age, sex and site of each person
        phantom_truth.csv         the measures of each person's face, and what decides the inside of the head
        phantom_scanners.csv      the settings of each visit's scanner
        sub-*/[ses-*/]anat/       the heads, int16
        derivatives/labels/       their labels, one file each, uint8

    Args:
        cohort: parameters of the dataset `phantom`: which people, at which scale.
        folder: is made; it may exist if it is empty.
        jobs: processes; each holds one head at a time.
        progress: told how many heads of how many are written.

    Raises:
        DataError: the folder holds something, or cannot be written, or a process died.
    """
    dataset = Phantom.model_validate(cohort)
    scans = dataset.scans()
    _make(folder)
    try:
        _write_tables(dataset, scans, folder)
        # A fresh server, not a fork: this process may have threads and much memory.
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(min(jobs, len(scans)), mp_context=context, initializer=_begin) as pool:
            for done, _ in enumerate(pool.map(partial(_write_head, dataset, folder), scans), start=1):
                progress(done, len(scans))
    except BrokenProcessPool as error:
        raise DataError(f"{folder}: a process died, most likely because memory was full. Take fewer jobs.") from error
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}). Free space, or choose another place."
        ) from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}). Choose another place.") from error
    if occupied:
        raise DataError(f"{folder}: holds something already. Give a new folder, so that nothing is mixed up.")


def _write_tables(dataset: Phantom, scans: Sequence[Scan], folder: Path) -> None:
    """All that is known before a head is made."""
    made_by = [{"Name": "refbench", "Version": __version__}]
    common = {"BIDSVersion": _BIDS_VERSION, "GeneratedBy": made_by}
    about = {"Name": f"Phantoms: {dataset.label('phantom')}", "DatasetType": "raw", **common}
    _write_json(folder / "dataset_description.json", about)
    about = {"Name": "Labels of phantoms, known because they were made", "DatasetType": "derivative", **common}
    _write_json(folder / LABELS / "dataset_description.json", about)
    _write_json(
        folder / "participants.json", {"age": {"Units": "years"}, "sex": {"Levels": {"F": "female", "M": "male"}}}
    )
    write_atomically(folder / ".bidsignore", f"{FACES}\n{VISITS}\n")
    first = {scan.subject: scan for scan in reversed(scans)}
    people = [first[subject] for subject in dict.fromkeys(scan.subject for scan in scans)]
    rows: list[Row] = [{"participant_id": f"sub-{scan.subject}", **scan.facts, "site": scan.site} for scan in people]
    _write_table(folder / PEOPLE, rows, "\t")
    faces: list[Row] = [{"subject": scan.subject, **_truth(scan)} for scan in people]
    _write_table(folder / FACES, faces)
    visits: list[Row] = [
        {"subject": scan.subject, "session": scan.session, "site": scan.site, **scanner_parameters(scan.recipe)}
        for scan in scans
    ]
    _write_table(folder / VISITS, visits)


def _truth(scan: Scan) -> dict[str, float]:
    person = draw_person(scan.recipe["seed"], scan.recipe["person"])
    inside = {"skull": person.skull, "scalp": person.scalp, "atrophy": person.atrophy}
    return {**face_parameters(scan.recipe), **inside}


def _begin() -> None:
    """What each process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for them


def _write_head(dataset: Phantom, folder: Path, scan: Scan) -> None:
    head = dataset.load(scan)
    visit = [f"sub-{scan.subject}", *([f"ses-{scan.session}"] if dataset.sessions > 1 else [])]
    place, name = Path(*visit, "anat"), "_".join(visit)
    _write_volume(folder / place / f"{name}_T1w.nii.gz", np.rint(head.voxels).astype(np.int16), head.affine)
    for label, mask in head.labels.items():
        _write_volume(folder / LABELS / place / f"{name}_label-{label}_mask.nii.gz", mask.astype(np.uint8), head.affine)


def _write_volume(path: Path, voxels: NDArray[np.integer], affine: Affine) -> None:
    image = nib.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
    image.set_sform(image.affine, 1)  # type: ignore[no-untyped-call]
    image.set_qform(image.affine, 1)  # type: ignore[no-untyped-call]
    write_atomically(path, gzip.compress(image.to_bytes(), _GZIP_LEVEL, mtime=0))


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    write_atomically(path, json.dumps(content, indent=2) + "\n")


def _write_table(path: Path, rows: Sequence[Row], delimiter: str = ",") -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
