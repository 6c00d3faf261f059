"""How tools outside this package are run, what they are given to read, and how what they leave is read.

Nothing here knows any tool. Volumes go through NIfTI, or Analyze for the tools that read nothing else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from refbench.errors import DataError, InvalidOutput
from refbench.types import Affine, Head, Voxels

TAIL = 300
"""So many characters of what a tool printed last are quoted when it fails."""

GRID_TOLERANCE = 0.1
"""Corners of the same grid lie at most this part of a voxel's shortest edge apart: headers are rounded."""

ROUNDING = 1e-6
"""Differences below this part of the head's range of intensities are a tool's arithmetic, and nothing it did."""

# Ends the whole group, itself included, as soon as its standard input ends: when this process closes it or dies. The
# polite signal comes first, since a container only hears that one.
_GUARD = 'trap "" TERM; read _; kill -TERM 0; sleep 1; kill -KILL 0'


def run_tool(words: Sequence[str], folder: Path, minutes: float) -> str:
    """Run a program without a shell, and leave nothing of it behind.

    The program and what it starts form a process group of their own. The group is killed when the program has ended,
    when its time is over, and when this process dies.

    Args:
        words: the program and its arguments.
        folder: where it runs.
        minutes: wall time, > 0.

    Returns:
        What it printed, standard output and error as they came.

    Raises:
        DataError: it cannot be started, ends with another exit code than 0, or runs past its time; the end of what it
            printed is quoted.
    """
    code, text = run_to_end(words, folder, minutes)
    if code != 0:
        tail = " ".join(text.split())[-TAIL:] or "it printed nothing"
        raise DataError(f"{words[0]} ended with exit code {code}: {tail}")
    return text


def run_to_end(words: Sequence[str], folder: Path, minutes: float) -> tuple[int, str]:
    """As `run_tool`, but any exit code is well: the code, and what it printed.

    Raises:
        DataError: it cannot be started, or runs past its time.
    """
    with tempfile.TemporaryFile() as printed:
        guard = subprocess.Popen(["/bin/sh", "-c", _GUARD], stdin=subprocess.PIPE, process_group=0)
        try:
            tool = subprocess.Popen(
                words,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                process_group=guard.pid,
            )
            code = _wait(tool, guard, minutes)
        except OSError as problem:
            raise DataError(f"{words[0]} cannot be started: {problem.strerror}") from problem
        finally:
            with suppress(ProcessLookupError, PermissionError):  # some systems: nothing but dead processes in it
                os.killpg(guard.pid, signal.SIGKILL)
            guard.communicate()
        printed.seek(0)
        text = printed.read().decode(errors="replace")
    if code is None:
        tail = " ".join(text.split())[-TAIL:] or "it printed nothing"
        raise DataError(f"{words[0]} ran past {minutes:g} minutes: {tail}")
    return code, text


def write_volume(path: Path, head: Head) -> None:
    """Write a head for a tool to read: float32, NIfTI for `.nii.gz` and `.nii`, Analyze for `.img`.

    Analyze files hold no orientation. Their x axis runs to the left, as FSL and SPM take it.

    Raises:
        DataError: another suffix.
    """
    import nibabel

    voxels = np.asarray(head.voxels, dtype=np.float32)
    image: Any
    if path.suffix == ".img":
        image = nibabel.AnalyzeImage(voxels[::-1], np.diag([-1.0, 1, 1, 1]) * [*head.voxel_mm, 1])  # type: ignore[no-untyped-call]
    elif path.name.endswith((".nii", ".nii.gz")):
        image = nibabel.Nifti1Image(voxels, head.affine)  # type: ignore[no-untyped-call]
        image.set_sform(head.affine, code="scanner")
        image.set_qform(head.affine, code="scanner")
        image.header.set_xyzt_units("mm")
    else:
        raise DataError(f"{path.name} is no name of a volume: it must end in .nii.gz, .nii or .img")
    image.to_filename(path)


def read_volume(path: Path, head: Head, tool: str) -> Voxels:
    """Read what a tool has left, on the grid of the head that it was given.

    Any data type, a fourth axis of one, and axes in another order or direction are the tool's business; an image
    without orientation is taken in the order that `write_volume` writes. A voxel that differs by rounding alone, be it
    to the integers of the file, has not been changed by the tool, and keeps the head's value.

    Args:
        path: NIfTI, Analyze or whatever nibabel reads.
        head: what the tool was given.
        tool: its name, for messages.

    Returns:
        float32 of the head's shape.

    Raises:
        InvalidOutput: it cannot be read, lies on another grid, or holds values that are not finite.
    """
    import nibabel

    try:
        image: Any = nibabel.load(path)
        voxels = np.asarray(image.dataobj, dtype=np.float32)
    except Exception as problem:  # whatever nibabel makes of garbage
        raise InvalidOutput(f"what {tool} left cannot be read: {problem}") from problem
    if voxels.ndim > 3 and set(voxels.shape[3:]) == {1}:
        voxels = voxels.reshape(voxels.shape[:3])
    if voxels.ndim != 3:
        raise InvalidOutput(f"{tool} left a volume of {voxels.shape}, the head has {head.voxels.shape}")
    voxels = _in_order(voxels, _orientation(image), head, path.suffix == ".img", tool)
    if not np.isfinite(voxels).all():
        raise InvalidOutput(f"{tool} left {np.count_nonzero(~np.isfinite(voxels))} voxels that are not finite numbers")
    rounded = np.abs(voxels - head.voxels) < _step(image, head)
    voxels[rounded] = head.voxels[rounded]
    return voxels


def _wait(tool: subprocess.Popen[bytes], guard: subprocess.Popen[bytes], minutes: float) -> int | None:
    """The tool's exit code; None when its time was over and it has been ended."""
    try:
        return tool.wait(timeout=60 * minutes)
    except subprocess.TimeoutExpired:
        assert guard.stdin is not None
        guard.stdin.close()
        tool.wait()
        return None


def _step(image: Any, head: Head) -> float:
    """How far two intensities must lie apart in a file to be different ones."""
    if image.get_data_dtype().kind in "iu":
        return abs(float(getattr(image.dataobj, "slope", 1.0)))
    return ROUNDING * float(np.ptp(head.voxels))


def _orientation(image: Any) -> Affine | None:
    """An image's affine, or None where its file holds none, as plain Analyze does."""
    import nibabel

    if isinstance(image.header, nibabel.Nifti1Header):
        written = int(image.header["sform_code"]) > 0 or int(image.header["qform_code"]) > 0
    else:
        written = not isinstance(image, nibabel.AnalyzeImage)
    return np.asarray(image.affine, dtype=np.float64) if written else None


def _in_order(voxels: Voxels, affine: Affine | None, head: Head, analyze: bool, tool: str) -> Voxels:
    """Bring the axes of a volume into the head's order and direction.

    Raises:
        InvalidOutput: more than that lies between the two grids.
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    if affine is None:
        affine = head.affine
        if analyze:
            voxels = voxels[::-1]
    try:
        axes = io_orientation(np.linalg.inv(head.affine) @ affine)  # type: ignore[no-untyped-call]
    except np.linalg.LinAlgError:
        axes = np.full((3, 2), np.nan)
    if np.isnan(axes).any():
        raise InvalidOutput(f"{tool} left a volume whose affine is no affine of a volume")
    affine = affine @ inv_ornt_aff(axes, voxels.shape)  # type: ignore[no-untyped-call]
    ordered: Voxels = apply_orientation(voxels, axes)  # type: ignore[no-untyped-call]
    if ordered.shape != head.voxels.shape:
        raise InvalidOutput(f"{tool} left a volume of {ordered.shape}, the head has {head.voxels.shape}")
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in ordered.shape], [1])).reshape(4, -1)
    apart_mm = float(np.linalg.norm((affine - head.affine) @ corners, axis=0).max())
    if apart_mm > GRID_TOLERANCE * head.voxel_mm.min():
        raise InvalidOutput(
            f"{tool} left a volume on another grid: its corners lie up to {apart_mm:.3g} mm away from the head's"
        )
    return np.array(ordered, order="C")  # a copy: so far it may be a map of the file
