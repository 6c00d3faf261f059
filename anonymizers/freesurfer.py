"""FreeSurfer's own mri_deface, where it is installed with its two atlases.

surfer.nmr.mgh.harvard.edu; its licence does not allow to hand the atlases on.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from refbench.anonymizers.external import read_volume, run_tool, write_volume
from refbench.errors import DataError
from refbench.types import Head

PROGRAM = "mri_deface"
BRAIN_ATLAS, FACE_ATLAS = "talairach_mixed_with_skull.gca", "face.gca"

MINUTES = 60.0
"""One head takes about four minutes."""


class FreeSurfer(NamedTuple):
    """The program with its atlases of brain and face; None stands for those below $FREESURFER_HOME/average."""

    brain_atlas: Path | None = None
    face_atlas: Path | None = None

    def missing(self) -> str:
        """What this machine lacks to run it and where to get it, as one phrase; empty if nothing."""
        if shutil.which(PROGRAM) is None:
            return f"{PROGRAM} not found on PATH: install FreeSurfer and source its SetUpFreeSurfer.sh, or take {_HINT}"
        for name, path in self.atlases().items():
            if path is None:
                return f"{name} not found, as FREESURFER_HOME is not set: source SetUpFreeSurfer.sh, or set {_KEYS}"
            if not path.is_file():
                return f"{name} not found: FreeSurfer has it in its folder average; set {_KEYS}, or take {_HINT}"
        return ""

    def atlases(self) -> dict[str, Path | None]:
        """The two files by the names that FreeSurfer gives them; None where nothing says where one is."""
        home = os.environ.get("FREESURFER_HOME")
        folder = Path(home) / "average" if home else None
        given = {BRAIN_ATLAS: self.brain_atlas, FACE_ATLAS: self.face_atlas}
        return {name: path or (folder and folder / name) for name, path in given.items()}

    def title(self) -> str:
        """`FreeSurfer 7.4.1`, or `FreeSurfer` where it does not say its version."""
        return f"FreeSurfer {_version(os.environ.get('FREESURFER_HOME'), shutil.which(PROGRAM))}".strip()

    def versions(self) -> dict[str, str]:
        """Version of the program and fingerprints of the atlases; nothing where it is missing."""
        if self.missing():
            return {}
        atlases = {name: _fingerprint(path, path.stat().st_mtime_ns) for name, path in self.atlases().items() if path}
        return {PROGRAM: self.title(), **atlases}

    def mri_deface(self, head: Head) -> Head:
        """Let the program remove the face.

        Raises:
            DataError: it failed, took more than an hour or left nothing.
            InvalidOutput: what it left cannot be read or has another shape.
        """
        with tempfile.TemporaryDirectory(prefix="refbench-mri-deface-") as name:
            folder = Path(name)
            write_volume(folder / "head.nii.gz", head)
            atlases = [str(path.resolve()) for path in self.atlases().values() if path]
            said = run_tool([PROGRAM, "head.nii.gz", *atlases, "defaced.nii.gz"], folder, MINUTES)
            if not (folder / "defaced.nii.gz").exists():
                raise DataError(f"{PROGRAM} ended well but left no volume. It said: {' '.join(said.split())[-300:]}")
            return head.with_voxels(read_volume(folder / "defaced.nii.gz", head, PROGRAM))


_HINT = "backend: native"
_KEYS = "brain_atlas and face_atlas"


@cache
def _version(home: str | None, program: str | None) -> str:
    """From the stamp in FreeSurfer's folder, else from the program itself; empty where neither tells."""
    stamp = Path(home or ".") / "build-stamp.txt"
    said = stamp.read_text(errors="replace") if home and stamp.is_file() else ""
    if not said and program:
        try:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout
        except (OSError, subprocess.SubprocessError):
            return ""
    found = re.search(r"(?<![\w.])v?(\d+\.\d+\.\d+)(?![\w.])", said)
    return found.group(1) if found else ""


@cache
def _fingerprint(path: Path, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
