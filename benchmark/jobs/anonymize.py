"""Job `anonymize`: hide one face, and keep only what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np

from refbench.anonymizers.base import Anonymizer, Need
from refbench.errors import InvalidOutput
from refbench.jobs.task import Task, check_head, load_head, load_mask, save_mask
from refbench.types import AnonymizedHead, Head


def run(task: Task) -> None:
    """Write changed.npz (mask), values.npy (float32, the released voxels there) and claim.json, the tool's own word."""
    anonymizer = task.plugin(task.identity["anonymizer"])
    assert isinstance(anonymizer, Anonymizer)
    found = {need: task.inputs[task.identity[need]] for need in get_args(Need) if need in task.identity}
    head = load_head(task.inputs[task.identity["head"]], **found)
    rng = np.random.default_rng([task.identity["seed"], int(task.identity["head"], 16)])
    result = anonymize(anonymizer, head, rng, task.identity["anonymizer"]["name"])
    save_mask(task.out / "changed.npz", result.changed)
    np.save(task.out / "values.npy", result.head.voxels[result.changed])
    (task.out / "claim.json").write_text(json.dumps({"outcome": result.outcome, "note": result.note}))


def anonymize(anonymizer: Anonymizer, head: Head, rng: np.random.Generator, name: str) -> AnonymizedHead:
    """Run an anonymizer and hold it to its contract; the mask of what changed is always derived, never believed.

    Raises:
        InvalidOutput: another shape, grid or type, or voxels that are not finite.
    """
    returned = anonymizer.anonymize(head, rng)
    claimed = returned if isinstance(returned, AnonymizedHead) else None
    after = check_head(claimed.head if claimed else returned, f"what {name} returned")
    if after.voxels.shape != head.voxels.shape:
        raise InvalidOutput(f"{name} returned voxels of shape {after.voxels.shape}, the head has {head.voxels.shape}")
    if not np.allclose(after.affine, head.affine, atol=1e-4):
        raise InvalidOutput(f"{name} returned another affine; an anonymizer keeps the grid of the head")
    if claimed is None:
        return AnonymizedHead.compare(head, after)
    return AnonymizedHead.compare(head, after, claimed.outcome, claimed.note)


def load_anonymized(head: Head, folder: Path) -> AnonymizedHead:
    """The released head: the original with the changed voxels put in."""
    changed = load_mask(folder / "changed.npz")
    voxels = np.array(head.voxels)
    voxels[changed] = np.load(folder / "values.npy")
    claim = json.loads((folder / "claim.json").read_text())
    return AnonymizedHead(head.with_voxels(voxels), changed, claim["outcome"], claim["note"])
