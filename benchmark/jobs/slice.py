"""Job `slice`: cut the same slices from a released head and from its original."""

import json

import numpy as np

from refbench.jobs.anonymize import load_anonymized
from refbench.jobs.task import Task, load_head, load_mask
from refbench.slice_storage import encode
from refbench.slicing import SliceOptions, cut


def run(task: Task) -> None:
    """Write original.npy and anonymized.npy (images, see `slice_storage`), changed.npy and face.npy (bool)."""
    head = load_head(task.inputs[task.identity["head"]])
    anonymized = load_anonymized(head, task.inputs[task.identity["anonymized"]])
    face = load_mask(task.inputs[task.identity["face"]] / "face.npz")
    options = SliceOptions.model_validate(task.identity["options"])
    slices = cut(head, anonymized, face, options)
    np.save(task.out / "original.npy", encode(slices.original, options.storage))
    np.save(task.out / "anonymized.npy", encode(slices.anonymized, options.storage))
    np.save(task.out / "changed.npy", slices.changed)
    np.save(task.out / "face.npy", slices.face)
    (task.out / "geometry.json").write_text(json.dumps({"count": len(slices.original), **slices.geometry}))
