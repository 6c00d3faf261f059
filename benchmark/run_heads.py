"""Heads of a finished run as its store holds them: the original, its release, and the stacked reconstruction."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refbench.believed import believed
from refbench.datasets.base import scan_name
from refbench.errors import RefbenchError
from refbench.jobs.anonymize import load_anonymized
from refbench.jobs.candidates import stacked_from
from refbench.jobs.task import load_head
from refbench.leaderboard import default_view
from refbench.plots.series import Attack, strongest_attacks
from refbench.registry import closest
from refbench.results import Run
from refbench.run_jobs import CellImages, job_keys, shows_real_people
from refbench.slicing import SliceOptions
from refbench.store import Store, write_bytes
from refbench.types import Head


@dataclass(frozen=True)
class Heads:
    """One person's head in its three states, on one grid."""

    original: Head
    released: Head
    reconstructed: Head


def heads_of(store: Store, keys: Mapping[str, str], attack: Attack, who: str) -> Heads | None:
    """One person's head under one attack; None where the store has not all of it any more.

    Args:
        store: of the run.
        keys: label of a job to its key, see `refbench.run_jobs.job_keys`.
        attack: the cell.
        who: the scan, as the labels of jobs call it.
    """
    found = CellImages.find(store, keys, who, attack.anonymizer, attack.attacker, attack.seed)
    cut = store.identity(found.slices) if found else {}
    if found is None or not all(store.has(cut[job]) for job in ("head", "anonymized")):
        return None
    original = load_head(store.folder(cut["head"]))
    released = load_anonymized(original, store.folder(cut["anonymized"])).head
    options = SliceOptions.model_validate(cut["options"])
    made = found.reconstructed(options.count)
    return Heads(original, released, stacked_from(found.folder, released, made, options))


def write_heads(run: Run, store: Store, out: Path, *, attacker: str | None = None, faces: bool = False) -> int:
    """Write the heads of all test scans under the strongest attack on each anonymizer, or under one attacker.

    Returns:
        how many files were written: `ANONYMIZER/SCAN_original.nii.gz`, `_released`, `_reconstructed`.

    Raises:
        RefbenchError: the run has no such attacker, the store has its heads no more, a file cannot be written, or
            they are real people's and `faces` is not given.
    """
    keys = job_keys(run)
    if not faces and shows_real_people(keys, store):
        raise RefbenchError(
            f"{run.folder.name} is about real people, or people unknown here: their heads show their faces. Whoever "
            "may have them, here and nowhere else, adds --faces"
        )
    attacks = _attacks(run, attacker)
    people = run.subjects[run.subjects["part"] == "test"].drop_duplicates(["subject", "session"])
    scans = [scan_name(str(who), str(visit)) for who, visit in zip(people["subject"], people["session"], strict=True)]
    written = 0
    for attack in attacks:
        for who in scans:
            heads = heads_of(store, keys, attack, who)
            for state, head in vars(heads).items() if heads else ():
                save_nifti(head, out / _plain(attack.anonymizer) / f"{_plain(who)}_{state}.nii.gz")
                written += 1
    if not written:
        raise RefbenchError(f"the store has the heads of {run.folder.name} no more: run its suite again with --whole")
    return written


def _attacks(run: Run, attacker: str | None) -> list[Attack]:
    if attacker is None:
        view = default_view(run)
        return strongest_attacks(believed(run), view.region, view.by)
    known = sorted(run.cells["attacker"].unique())
    if attacker not in known:
        raise RefbenchError(f"{run.folder.name} has no attacker {attacker!r}{closest(attacker, known)}")
    cells = run.cells[run.cells["attacker"] == attacker].drop_duplicates("anonymizer")
    return [Attack(cell["anonymizer"], attacker, int(cell["seed"])) for _, cell in cells.iterrows()]


def _plain(name: str) -> str:
    """A label as the name of a file or folder."""
    return re.sub(r"[^\w.=-]+", "_", name).strip("_")


def save_nifti(head: Head, path: Path) -> None:
    """Write a head as compressed float32 NIfTI with its affine and nothing else: no names, no texts.

    Raises:
        RefbenchError: it cannot be written.
    """
    import nibabel as nib

    image = nib.Nifti1Image(np.asarray(head.voxels, dtype=np.float32), head.affine)  # type: ignore[no-untyped-call]
    write_bytes(path, gzip.compress(image.to_bytes(), 6, mtime=0))
