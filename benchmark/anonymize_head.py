"""Anonymizes one NIfTI file where it lies, judges the release, and records what became of it beside the release."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.brain import brain_of
from refbench.anonymizers.face_surface import facial_skin
from refbench.anonymizers.registration import register
from refbench.anonymizers.verdict import judge
from refbench.checksums import sha256
from refbench.datasets.nifti import read_head
from refbench.errors import DataError, PluginError, RefbenchError, Unavailable
from refbench.fingerprint import code_fingerprint, digest
from refbench.jobs.anonymize import anonymize
from refbench.nifti_output import encode_release, write_mask, write_release
from refbench.nifti_tree import HeadFile
from refbench.store import write_text
from refbench.suite import Chosen
from refbench.types import Outcome

UNFINISHED = "was begun and not finished; anonymize it again"
NO_FACE = "no face was found in it (defaced before, or cut off), so nothing is written; check the scan, or go on anyway"
UNCHANGED = "nothing was changed, so nothing is written"


@dataclass(frozen=True)
class Method:
    """How heads are anonymized.

    Attributes:
        chosen: the anonymizer with its parameters. plugin_files: where it is defined, if not in a distribution.
        seed: decides its random numbers, together with the voxels of the head.
        anyway: go on where no face is found.
    """

    chosen: Chosen
    seed: int = 0
    anyway: bool = False
    plugin_files: tuple[Path, ...] = ()

    @property
    def anonymizer(self) -> Anonymizer:
        """The plug-in."""
        assert isinstance(self.chosen.plugin, Anonymizer)
        return self.chosen.plugin

    @cached_property
    def identity(self) -> str:
        """Digest of all that decides a release and its outcome, apart from the head."""
        return digest(
            {
                "name": self.chosen.name,
                "revision": self.anonymizer.revision,
                "params": self.chosen.params,
                "seed": self.seed,
                "tools": dict(self.anonymizer.tool_versions()),
                "code": [code_fingerprint(type(self.anonymizer).__module__), code_fingerprint(judge.__module__)],
            }
        )

    def record(self, file: HeadFile, note: str) -> HeadRecord:
        """The record of a head of which nothing was released, and why."""
        plugin = self.anonymizer
        paths = {name: value.name for name in self.chosen.params if isinstance(value := getattr(plugin, name), Path)}
        return HeadRecord(
            file.name,
            self.chosen.label,
            outcome="failed",
            note=note,
            method=self.identity,
            params=self.chosen.params | paths,
            tools=dict(plugin.tool_versions()),
            seed=self.seed,
            anyway=self.anyway,
        )


@dataclass(frozen=True)
class HeadRecord:
    """What became of one head; the contents of `X_anonymized.json`.

    Attributes:
        file: the head, relative to what was anonymized. anonymizer: its label.
        outcome, note: as `refbench.anonymizers.verdict` found, `failed` where there is nothing to judge.
        released: whether a volume was written.
        figures: see `refbench.anonymizers.verdict.Figures`; empty where nothing was judged.
        input_sha256, output_sha256: of the files' bytes. method: `Method.identity`.
        params: all parameters of the anonymizer; of paths only the name, as records are shared. tools: its versions.
        anyway: whether it was to go on without a face. seconds: of wall time.
    """

    file: str
    anonymizer: str
    outcome: Outcome
    note: str
    released: bool = False
    figures: dict[str, Any] = field(default_factory=dict)
    input_sha256: str = ""
    output_sha256: str = ""
    method: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    anyway: bool = False
    seconds: float = 0.0

    def fits(self, file: HeadFile, method: Method) -> bool:
        """Whether doing the head again would come to the same.

        Raises:
            DataError: the head, or what was released of it, cannot be read.
        """
        if self.outcome == "failed" or self.method != method.identity or self.input_sha256 != _sha256(file.source):
            return False
        if self.released:
            return file.mask.exists() and self.output_sha256 == _sha256(file.out)
        return self.anyway or not method.anyway or self.outcome != "no face found"


def read_record(path: Path) -> HeadRecord | None:
    """A record, or None where there is none, or one of another version."""
    try:
        return HeadRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def anonymize_file(file: HeadFile, method: Method) -> HeadRecord:
    """Anonymize one head in this process; whatever becomes of it is recorded beside its place.

    Raises:
        Unavailable, PluginError: the anonymizer, or what judges its results, cannot be used; no head would fare better.
        RefbenchError: nothing can be written there.
    """
    started = time.monotonic()
    begun = method.record(file, UNFINISHED)
    write_record(file, begun)  # from here on it is known that what lies there is ours
    file.remove_release()  # nobody shall take an older release for what is about to be made
    try:
        record = _attempt(file, method, begun)
    except (Unavailable, PluginError):
        raise
    except MemoryError:
        record = replace(begun, note="memory was full; close other programs, or take fewer jobs")
    except RefbenchError as error:
        record = replace(begun, note=str(error).replace(str(file.source), file.name))
    except Exception as error:  # an anonymizer may raise anything
        record = replace(begun, note=f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
    if not record.released:
        file.remove_release()  # a mask that was written before the volume could not be
    record = replace(record, seconds=round(time.monotonic() - started, 2))
    write_record(file, record)
    return record


def write_record(file: HeadFile, record: HeadRecord) -> None:
    """Write, or replace, the record of a head.

    Raises:
        RefbenchError: it cannot be written.
    """
    write_text(file.record, json.dumps(asdict(record), indent=1))


def _attempt(file: HeadFile, method: Method, begun: HeadRecord) -> HeadRecord:
    begun = replace(begun, input_sha256=_sha256(file.source))
    head = read_head(file.source, subject=file.name)
    rng = np.random.default_rng([method.seed, int(hashlib.sha256(head.voxels.data).hexdigest()[:15], 16)])
    head.voxels.setflags(write=False)
    head = replace(head, registration=register(head))
    skin = facial_skin(head)
    if not skin.has_face and not method.anyway:
        figures = {"face_found": skin.found, "face_cut": skin.cut}
        return replace(begun, outcome="no face found", note=NO_FACE, figures=figures)
    brain = brain_of(head)
    claimed = anonymize(method.anonymizer, replace(head, brain=brain), rng, method.chosen.name)
    release = encode_release(file.source, claimed.head.voxels, claimed.changed)
    # Judged is what the file will hold: rounding can undo a change, and clipping a mild one make worse.
    as_written = replace(claimed, head=head.with_voxels(release.voxels), changed=release.changed)
    outcome, note, measured = judge(head, skin, brain, "deepbet", as_written)
    judged = replace(begun, outcome=outcome, note=note, figures=measured.as_dict())
    if not release.changed.any():
        return replace(judged, note=f"{note}; {UNCHANGED}".removeprefix("; "))
    if outcome == "failed" or (outcome == "no face found" and not method.anyway):
        return judged
    write_mask(file.source, release.changed, file.mask)
    write_release(release, file.out)
    return replace(judged, released=True, output_sha256=_sha256(file.out))


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from error
