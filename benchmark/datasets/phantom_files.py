"""A phantom cohort as files: a BIDS data set with the true labels, faces and scanner settings beside the heads."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refbench import __version__
from refbench.bids_derivative import BIDS_VERSION, IGNORED
from refbench.bids_names import DESCRIPTION
from refbench.datasets.base import Scan
from refbench.datasets.bids import TABLE
from refbench.datasets.phantom import Phantom, face_parameters
from refbench.datasets.phantom_person import draw_person
from refbench.datasets.phantom_protocol import scanner_parameters
from refbench.errors import DataError
from refbench.nifti_output import write_file
from refbench.processes import in_processes
from refbench.store import write_json, write_text
from refbench.types import Affine

FACES, VISITS = "phantom_truth.csv", "phantom_scanners.csv"
LABELS = Path("derivatives", "labels")

Row = Mapping[str, str | float]


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
        DataError: the folder holds something, or cannot be made, or a process died.
        RefbenchError: a file cannot be written.
    """
    dataset = Phantom.model_validate(cohort)
    scans = dataset.scans()
    _make(folder)
    _write_tables(dataset, scans, folder)
    try:
        for done, _ in enumerate(in_processes(partial(_write_head, dataset, folder), scans, jobs), start=1):
            progress(done, len(scans))
    except BrokenProcessPool as error:
        raise DataError(f"{folder}: a process died, most likely because memory was full. Take fewer jobs.") from error


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
    common = {"BIDSVersion": BIDS_VERSION, "GeneratedBy": made_by}
    about = {"Name": f"Phantoms: {dataset.label('phantom')}", "DatasetType": "raw", **common}
    write_json(folder / DESCRIPTION, about)
    about = {"Name": "Labels of phantoms, known because they were made", "DatasetType": "derivative", **common}
    write_json(folder / LABELS / DESCRIPTION, about)
    write_json(
        folder / "participants.json", {"age": {"Units": "years"}, "sex": {"Levels": {"F": "female", "M": "male"}}}
    )
    write_text(folder / IGNORED, f"{FACES}\n{VISITS}\n")
    people = [scan for scan in scans if scan.session == "1"]
    rows: list[Row] = [{"participant_id": f"sub-{scan.subject}", **scan.facts, "site": scan.site} for scan in people]
    _write_table(folder / TABLE, rows, "\t")
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
    write_file(image.to_bytes(), path)


def _write_table(path: Path, rows: Sequence[Row], delimiter: str = ",") -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
