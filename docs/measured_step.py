"""One step of `measure_anonymizer_speed.py`, in the process that is measured: JSON in as an argument, JSON out.

What a step reads and leaves lies in one folder per head: head.nii, brain.nii, registration.npy, average.npy.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import scipy.ndimage  # noqa: F401  as in a job, it is there before the clock starts

from refbench.anonymizers.average import average_head
from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.brain import deepbet_brain
from refbench.anonymizers.registration import register
from refbench.datasets.nifti import read_head, read_label
from refbench.datasets.phantom import Phantom
from refbench.errors import DataError
from refbench.registry import Registry
from refbench.types import AnonymizedHead, Head, Voxels

UNITS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Do a step; what it returns, and the most memory it took in MB."""
    step: Callable[..., dict[str, Any]] = STEPS[order.pop("step")]
    result = step(**{**order, "folder": Path(order["folder"])})
    # A program that it waits for runs beside it. Its count starts at this process's own, so the sum is at most too big.
    mine, others = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {**result, "mb": (mine + others) / UNITS_PER_MB}


def prepare(folder: Path, file: str | None) -> dict[str, Any]:
    """Write the head of a file, or a phantom, and the average head of no training subjects."""
    phantom = Phantom(subjects=1, scale=1.0)
    head = read_head(Path(file)) if file else phantom.load(phantom.scans()[0])
    _write(folder / "head.nii", head.voxels, head)
    np.save(folder / "average.npy", average_head(()))
    return {"size": " x ".join(map(str, head.voxels.shape))}


def load(folder: Path) -> dict[str, Any]:
    """Read the head and nothing else."""
    started = time.perf_counter()
    _head(folder)
    return {"seconds": time.perf_counter() - started}


def registration(folder: Path) -> dict[str, Any]:
    """Register the head to the face template."""
    head = _head(folder)
    started = time.perf_counter()
    to_head = register(head)
    seconds = time.perf_counter() - started
    np.save(folder / "registration.npy", to_head)
    return {"seconds": seconds}


def brain(folder: Path) -> dict[str, Any]:
    """Find the brain, the network's libraries and weights included."""
    head = _head(folder)
    started = time.perf_counter()
    mask = deepbet_brain(head)
    seconds = time.perf_counter() - started
    _write(folder / "brain.nii", mask.astype(np.uint8), head)
    return {"seconds": seconds}


def anonymize(folder: Path, name: str, params: dict[str, str]) -> dict[str, Any]:
    """The anonymizer alone: all that it needs is given."""
    anonymizer = _anonymizer(name, params)
    if anonymizer.missing():
        return {"problem": anonymizer.missing().partition(":")[0]}
    head = _head(folder, *anonymizer.needs())
    started = time.perf_counter()
    try:
        anonymizer.anonymize(head, np.random.default_rng(0))
    except DataError as error:
        return {"problem": f"failed: {error}"}
    return {"seconds": time.perf_counter() - started, "needs": sorted(anonymizer.needs())}


def release(folder: Path, name: str) -> dict[str, Any]:
    """All that a program does: read the head (and the brain), register if need be, anonymize, write."""
    anonymizer = _anonymizer(name, {})
    head = _head(folder, *(anonymizer.needs() & {"brain"}))
    released = anonymizer.anonymize(head, np.random.default_rng(0))
    _write(folder / "native.nii", (released.head if isinstance(released, AnonymizedHead) else released).voxels, head)
    return {}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    step.__name__: step for step in (prepare, load, registration, brain, anonymize, release)
}


def _anonymizer(name: str, params: dict[str, str]) -> Anonymizer:
    made = Registry.discover().find("anonymizer", name).load().model_validate(params)
    assert isinstance(made, Anonymizer)
    return made


def _head(folder: Path, *fields: str) -> Head:
    """The head with those of its fields that the harness would hand over."""
    head = read_head(folder / "head.nii", subject=folder.name)
    found: dict[str, Any] = {
        field: read_label(folder / "brain.nii", head) if field == "brain" else np.load(folder / f"{field}.npy")
        for field in fields
    }
    return replace(head, **found)


def _write(file: Path, voxels: Voxels, head: Head) -> None:
    nibabel.Nifti1Image(voxels, head.affine).to_filename(file)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
