"""Any external tool that reads one file and writes another."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.errors import DataError, InvalidOutput
from refbench.plugin import param
from refbench.types import Head, Voxels


class Command(Anonymizer):
    """Runs an external tool on the head, without a shell, in a folder of its own.

    For example FreeSurfer's, with atlases that are not redistributable:

        command: "mri_deface {input} $FREESURFER_HOME/average/talairach_mixed_with_skull.gca
                  $FREESURFER_HOME/average/face.gca {output}"

    `{input}` and `{output}` stand for the files; variables of the environment are filled in. A tool that is not
    installed is skipped, and every table says so.
    """

    command: str = param(..., "command line; {input} and {output} stand for the two files", min_length=1)
    title: str = param("", "what tables call it; the program's name if not given")
    input: str = param("head.nii.gz", "name of the file the tool reads (.nii.gz, .nii, or .img for Analyze)")
    output: str = param("anonymized.nii.gz", "name, or path below the folder, of the file it leaves")
    version_command: str = param("", "prints the tool's version, which is part of the cache key")
    minutes: float = param(30.0, "wall time for one head", unit="minutes", gt=0)

    def label(self, name: str) -> str:
        """The tool's own name."""
        return self.title or Path(self._words()[0]).name

    def missing(self) -> str:
        """Say which program or variable this machine lacks."""
        unset = [word for word in self._words() if "$" in word]
        if unset:
            return f"{unset[0]} names a variable that is not set"
        if shutil.which(self._words()[0]) is None:
            return f"{self._words()[0]} not found on PATH"
        return ""

    def tool_versions(self) -> Mapping[str, str]:
        """What the version command prints, or nothing where the tool is missing."""
        if not self.version_command or self.missing():
            return {}
        return {self.label(""): _version(self.version_command)}

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head:
        """Write the head, run the tool, read what it left.

        Raises:
            DataError: the tool failed, ran out of time or left no output; the end of what it printed is quoted.
            InvalidOutput: the output cannot be read, or has another shape.
        """
        with tempfile.TemporaryDirectory(prefix="refbench-command-") as name:
            folder = Path(name)
            _write(folder / self.input, head)
            files = {"input": str(folder / self.input), "output": str(folder / self.output)}
            self._run([word.format_map(files) for word in self._words()], folder)
            if not (folder / self.output).exists():
                raise DataError(f"{self.label('')} ended well but left no {self.output}")
            return head.with_voxels(_read(folder / self.output, head, self.label("")))

    def _words(self) -> list[str]:
        return [os.path.expandvars(word) for word in shlex.split(self.command)]

    def _run(self, words: list[str], folder: Path) -> None:
        try:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60 * self.minutes)
        except subprocess.TimeoutExpired:
            raise DataError(f"{words[0]} ran past {self.minutes:g} minutes") from None
        except OSError as error:
            raise DataError(f"{words[0]} cannot be started: {error.strerror}") from error
        if done.returncode != 0:
            tail = " ".join((done.stdout + done.stderr).split())[-300:]
            raise DataError(f"{words[0]} ended with exit code {done.returncode}: {tail or 'it printed nothing'}")


def _image_class(path: Path) -> Any:
    import nibabel

    return nibabel.Spm99AnalyzeImage if path.suffix == ".img" else nibabel.Nifti1Image


def _write(path: Path, head: Head) -> None:
    _image_class(path)(np.asarray(head.voxels), head.affine).to_filename(path)


def _read(path: Path, head: Head, tool: str) -> Voxels:
    try:
        image = _image_class(path).from_filename(path)
        voxels = np.asarray(image.get_fdata(dtype=np.float32))
    except Exception as error:  # whatever nibabel makes of garbage
        raise InvalidOutput(f"what {tool} left cannot be read: {error}") from error
    voxels = voxels.reshape(voxels.shape[:3])
    if voxels.shape != head.voxels.shape:
        raise InvalidOutput(f"{tool} left a volume of {voxels.shape}, the head has {head.voxels.shape}")
    return voxels


@cache
def _version(command: str) -> str:
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
    return " ".join((done.stdout + done.stderr).split())[:200]
