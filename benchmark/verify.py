"""Reads every scan of a dataset once, and tells which files cannot be used and which stand out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from refbench.datasets.base import Dataset, Scan
from refbench.errors import DataError, RefbenchError
from refbench.fingerprint import digest, file_digest
from refbench.processes import in_processes

VOXEL_MM_DECIMALS = 2
COPY = "One of them has the name of somebody else: find out which and get the right file, or take one away."


@dataclass(frozen=True)
class Grid:
    """Number of voxels and their edges in mm, along x, y and z."""

    shape: tuple[int, ...]
    voxel_mm: tuple[float, ...]

    def __str__(self) -> str:
        return f"{_times(self.shape)} voxels of {_times(self.voxel_mm)} mm"


@dataclass(frozen=True)
class Read:
    """A scan that could be loaded. `content`: digest of its file and recipe; empty for one that has no file."""

    grid: Grid
    content: str


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        checked: how many scans were read.
        unusable: a message for each scan that cannot be loaded, or is a copy of an earlier one; it names the file.
        unusual: a message for each that can, though its grid is another than that of most scans of its site.
    """

    checked: int
    unusable: tuple[str, ...]
    unusual: tuple[str, ...]


def verify(
    dataset: Dataset,
    *,
    jobs: int = 1,
    plugin_files: Sequence[Path] = (),
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Verdict:
    """Load every scan, `jobs` at a time, and judge them all.

    Args:
        dataset: whose scans.
        jobs: processes; each holds one head at a time.
        plugin_files: where the dataset's class comes from, if from a file.
        progress: told how many scans of how many are done.

    Raises:
        DataError: the dataset cannot be listed, or a process died.
    """
    scans = dataset.scans()
    found: list[Read | str] = []
    try:
        for result in in_processes(partial(_read_or_problem, dataset), scans, jobs, plugin_files):
            found.append(result)
            progress(len(found), len(scans))
    except BrokenProcessPool as error:
        raise DataError(
            f"the process that read {_name(scans[len(found)])}, or a file soon after, died, most likely because "
            "memory was full. Take fewer jobs."
        ) from error
    found = _without_copies(scans, found)
    unusable = tuple(result for result in found if isinstance(result, str))
    grids = [result if isinstance(result, str) else result.grid for result in found]
    return Verdict(len(scans), unusable, tuple(_unusual(scans, grids)))


def _read_or_problem(dataset: Dataset, scan: Scan) -> Read | str:
    if scan.problem:
        return scan.problem
    try:
        head = dataset.load(scan)
    except RefbenchError as error:
        return str(error)
    except MemoryError:
        return f"{_name(scan)}: does not fit into memory. Its header may be damaged: convert or download it again."
    except Exception as error:  # whatever a plug-in makes of a file it cannot read: the others are still looked at
        return f"{_name(scan)}: cannot be loaded ({type(error).__name__}: {error}). Convert or download it again."
    edges = (round(float(edge), VOXEL_MM_DECIMALS) for edge in head.voxel_mm)
    content = digest([file_digest(scan.files[0]), scan.recipe]) if scan.files else ""
    return Read(Grid(head.voxels.shape, tuple(edges)), content)


def _without_copies(scans: Sequence[Scan], found: Sequence[Read | str]) -> list[Read | str]:
    """A copy is no scan of its own: it says whose it is."""
    first: dict[str, Scan] = {}
    told: list[Read | str] = []
    for scan, result in zip(scans, found, strict=True):
        other = scan if isinstance(result, str) or not result.content else first.setdefault(result.content, scan)
        told.append(result if other is scan else f"{_name(scan)}: the same content as {_name(other)}. {COPY}")
    return told


def _unusual(scans: Sequence[Scan], found: Sequence[Grid | str]) -> list[str]:
    """Those that differ from most of their site, where most of a site are alike."""
    usual: dict[str, Grid] = {}
    for site in dict.fromkeys(scan.site for scan in scans):
        grids = [grid for scan, grid in zip(scans, found, strict=True) if scan.site == site and isinstance(grid, Grid)]
        for grid, count in Counter(grids).most_common(1):
            if 2 * count > len(grids):
                usual[site] = grid
    return [
        f"{_name(scan)}: {grid}, most of {scan.site} are {usual[scan.site]}."
        for scan, grid in zip(scans, found, strict=True)
        if isinstance(grid, Grid) and grid != usual.get(scan.site, grid)
    ]


def _name(scan: Scan) -> str:
    return str(scan.files[0]) if scan.files else scan.who


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
