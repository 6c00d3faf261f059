"""Which heads lie in a folder or a BIDS data set, and where their releases go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from refbench.bids_names import DESCRIPTION, BidsName
from refbench.datasets.files import name_without_extension
from refbench.errors import DataError, RefbenchError

SUFFIXES = (".nii", ".nii.gz")
MASK, RECORD = "_changed.nii.gz", "_anonymized.json"
BIDS_MASK = "defacemask"
T1_WEIGHTED = ("_T1w.nii", "_T1w.nii.gz")
NO_RAW_DATA = {"derivatives", "sourcedata", "code"}
"""Folders of a BIDS data set whose heads are not its own."""


@dataclass(frozen=True)
class HeadFile:
    """One head to anonymize.

    Attributes:
        source: the file. out: its release. name: the file relative to what is anonymized, for people.
        data_set: the BIDS data set that it lies in, if its release shall be named as a derivative of it.
    """

    source: Path
    out: Path
    name: str
    data_set: Path | None = None

    @classmethod
    def of_data_set(cls, source: Path, root: Path, out: Path) -> HeadFile:
        """A head of a BIDS data set; the entity `desc`, which is there for derivatives, tells its release from it."""
        relative = source.relative_to(root)
        name = BidsName.parse(source.name)
        if name is None:
            return cls(source, out / relative, relative.as_posix())
        before = name.entities.get("desc")
        released = name.having("desc", f"{before}Anonymized" if before else "anonymized")
        return cls(source, out / relative.with_name(str(released)), relative.as_posix(), root)

    @property
    def mask(self) -> Path:
        """Where the mask of what was changed goes."""
        name = BidsName.parse(self.out.name) if self.data_set else None
        if name is None:
            return self.out.with_name(f"{name_without_extension(self.out)}{MASK}")
        mask = replace(name.having("mod", name.suffix), suffix=BIDS_MASK, extension=".nii.gz")
        return self.out.with_name(str(mask))

    @property
    def sidecar(self) -> Path:
        """Where it is told, beside the release, how it was de-identified."""
        return self.out.with_name(f"{name_without_extension(self.out)}.json")

    @property
    def record(self) -> Path:
        """Where the record of what became of it goes."""
        return self.out.with_name(f"{name_without_extension(self.out)}{RECORD}")

    @property
    def released(self) -> tuple[Path, Path, Path]:
        """What only a head that was released has."""
        return self.out, self.mask, self.sidecar

    def remove_release(self) -> None:
        """Remove what an earlier release left."""
        for path in self.released:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class HeadTree:
    """What there is to anonymize.

    Attributes:
        files: the heads, in order of their names. left_out: how many other NIfTI files lie there.
        data_set: the folder, if it is a BIDS data set.
    """

    files: tuple[HeadFile, ...]
    left_out: int = 0
    data_set: Path | None = None


def head_files(source: Path, out: Path) -> HeadTree:
    """The heads below a folder, or the one that a file is.

    A folder is a BIDS data set if it holds `dataset_description.json` or folders `sub-*`; of it only the T1-weighted
    heads (`*_T1w`) of the raw data are taken, else all .nii and .nii.gz files. Hidden files and folders never are.

    Args:
        source: a .nii or .nii.gz file, or a folder.
        out: for a folder, where its tree is mirrored; for a file, another file name, or a folder.

    Raises:
        DataError: there is no such file or folder, or no head in it.
        RefbenchError: `out` lies inside the folder, an input or a file of somebody else would be written over, or two
            heads would go to one place.
    """
    if not source.is_dir():
        return HeadTree((_single(source, out),))
    root, target = source.resolve(), out.resolve()
    if target == root or root in target.parents:
        raise RefbenchError(f"{out}: lies in {source}, whose files must stay as they are. Choose a place outside it.")
    if out.exists() and not out.is_dir():
        raise RefbenchError(f"{out}: is a file, and {source} a folder. Choose a folder for what is released.")
    volumes = [path for path in sorted(source.rglob("*")) if _is_volume(path, source)]
    is_bids = _is_bids(source)
    if is_bids:
        files = [HeadFile.of_data_set(path, source, out) for path in volumes if _is_raw_t1(path.relative_to(source))]
    else:
        names = [path.relative_to(source).as_posix() for path in volumes]
        files = [HeadFile(path, out / name, name) for path, name in zip(volumes, names, strict=True)]
    if not files:
        wanted = "*_T1w.nii or *_T1w.nii.gz (it is a BIDS data set)" if is_bids else ".nii or .nii.gz"
        raise DataError(f"{source}: holds no {wanted}. Correct the path, or convert the scans (dcm2niix).")
    _check_places(files, volumes)
    return HeadTree(tuple(files), len(volumes) - len(files), source if is_bids else None)


def _single(source: Path, out: Path) -> HeadFile:
    if not source.exists():
        raise DataError(f"{source}: no such file or folder. Correct the path.")
    place = out if out.name.endswith(SUFFIXES) and not out.is_dir() else out / source.name
    if not place.name.endswith(SUFFIXES):
        raise RefbenchError(f"{place}: the release of {source} must be named .nii or .nii.gz. Give it a name.")
    file = HeadFile(source, place, source.name)
    _check_places([file], [source])
    return file


def _is_bids(folder: Path) -> bool:
    return (folder / DESCRIPTION).exists() or any(path.is_dir() for path in folder.glob("sub-*"))


def _is_volume(path: Path, root: Path) -> bool:
    """A link whose file is missing is one too, it must be reported; the mask of an earlier release is none."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    is_mask = path.name.endswith(MASK) and path.with_name(path.name.removesuffix(MASK) + RECORD).exists()
    return path.name.endswith(SUFFIXES) and not hidden and not is_mask and not path.is_dir()


def _is_raw_t1(path: Path) -> bool:
    return path.name.endswith(T1_WEIGHTED) and path.parts[0] not in NO_RAW_DATA


def _check_places(files: Sequence[HeadFile], inputs: Sequence[Path]) -> None:
    """Refuse to write over an input or over somebody else's file, or two things to one place."""
    taken = {path.resolve(): path for path in inputs}
    for file in files:
        for place in (*file.released, file.record):
            there = place.resolve()
            if there in taken:
                raise RefbenchError(
                    f"{file.source}: {place} would be written over, which belongs to {taken[there]}. Choose another "
                    "place, or rename the file."
                )
            taken[there] = file.source
        foreign = next((path for path in file.released if path.exists()), None)
        if foreign and not file.record.exists():
            raise RefbenchError(
                f"{foreign}: is there already, without a record of `refbench anonymize`. Move it, or choose another "
                "place."
            )
