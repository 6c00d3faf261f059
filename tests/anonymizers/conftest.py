"""Heads to try anonymizers on: the face template itself, whose registration is known, and real ones where present."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import MadeOnce

from refbench.anonymizers.brain import deepbet_brain
from refbench.anonymizers.registration import register
from refbench.anonymizers.template import template_head
from refbench.types import Head


def _read(file: Path) -> Head:
    image = nib.as_closest_canonical(nib.load(file))
    return Head(np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64), file.name)


@pytest.fixture
def template() -> Head:
    """The template's mean head: it lies on itself."""
    head = template_head()
    return Head(head.voxels.copy(), head.affine, "template", registration=np.eye(4))


@pytest.fixture
def real_head(heads_folder: Path) -> Callable[[str], Head]:
    """Reads one of the three real heads by its letter."""
    return lambda letter: _read(heads_folder / f"head_{letter}_T1w.nii.gz")


@pytest.fixture
def ixi_heads(ixi_folder: Path) -> list[Head]:
    """Three real heads of IXI at 2 mm, each with its `brain` label."""
    heads = []
    for file in sorted((ixi_folder / "T1").glob("*.nii.gz"))[::50]:
        head = _read(file)
        regions = _read(ixi_folder / "brain_regions" / file.name.replace(".nii.gz", "_regions.nii.gz"))
        heads.append(Head(head.voxels, head.affine, head.subject, labels={"brain": regions.voxels > 0}))
    return heads


@pytest.fixture
def registered(made_once: MadeOnce) -> Callable[[Head], Head]:
    """Adds the registration of a real head, known by its name, which takes seconds to find."""

    def registered(head: Head) -> Head:
        found = made_once(f"registration_{head.subject}", lambda folder: np.save(folder / "found.npy", register(head)))
        return replace(head, registration=np.load(found / "found.npy"))

    return registered


@pytest.fixture
def prepared(made_once: MadeOnce, registered: Callable[[Head], Head]) -> Callable[[Head], Head]:
    """Adds the registration and the brain of a real head, known by its name, which take seconds each to find."""

    def prepared(head: Head) -> Head:
        found = made_once(f"brain_{head.subject}", lambda folder: np.save(folder / "found.npy", deepbet_brain(head)))
        return replace(registered(head), brain=np.load(found / "found.npy"))

    return prepared
