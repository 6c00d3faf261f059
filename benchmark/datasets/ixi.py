"""The IXI data set: 581 T1-weighted heads from three hospitals in London."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from refbench.datasets.base import Dataset, Scan
from refbench.datasets.files import find_files, usable
from refbench.datasets.ixi_people import People, read_people
from refbench.datasets.ixi_source import NAME, SPREADSHEET
from refbench.datasets.ixi_tar import unpacked
from refbench.errors import DataError
from refbench.plugin import param
from refbench.types import Head

Site = Literal["Guys", "HH", "IOP"]

FOLDERS = ("", "T1", "IXI-T1")
TABLES = ("participants.csv", "IXI.csv", SPREADSHEET)
REGIONS = "brain_regions"


class IXI(Dataset):
    """T1-weighted heads of the IXI project (brain-development.org, CC BY-SA 3.0).

    Sites are Guy's Hospital (`Guys`, Philips 1.5 T), Hammersmith Hospital (`HH`, Philips 3 T) and the Institute of
    Psychiatry (`IOP`, GE 1.5 T). Files are known by IXI's own names, `IXI013-HH-1212-T1.nii.gz`, in the folder or in
    its subfolder `IXI-T1` or `T1`; whatever else lies there (T2, PD, angiograms) is passed over. Each subject came
    once. `IXI-T1.tar` itself is unpacked the first time, into the folder `IXI-T1` beside it.

    Age and sex come from the project's spreadsheet, or from a table with columns `id` (`IXI013-HH-1212`), `age` (years)
    and `sex`: `csv`, or else `participants.csv`, `IXI.csv` or `IXI.xls` in the folder or beside it. Who is not in it
    just has no age and sex.

    Brain regions, where there are any (`IXI013-HH-1212-T1_regions.nii.gz`, above 0 = brain), come from a folder
    `brain_regions` in the folder or beside it; anonymizers are then checked against them.

    Relative paths start at the folder of the suite file, or in Python at the current folder.
    """

    path: Path = param(..., "folder of the files, the one above their folder IXI-T1 or T1, or IXI-T1.tar")
    csv: Path | None = param(None, "IXI.xls, or a table of `id`, `age`, `sex`; found by itself beside the files")
    sites: tuple[Site, ...] | None = param(None, "sites to take (Guys, HH, IOP); all when not given", min_length=1)
    limit: int | None = param(None, "take only the first subjects by file name, for trials", unit="subjects", ge=1)

    def label_names(self) -> frozenset[str]:
        """`brain` where there is a folder of brain regions.

        Raises:
            DataError: missing folder, or an archive that cannot be unpacked.
        """
        return frozenset({"brain"} if self._regions(self._folder_of_files()) else ())

    def scans(self) -> list[Scan]:
        """One scan per subject, in order of file names.

        Raises:
            DataError: missing folder, an archive that cannot be unpacked, no T1 file of these sites, an unusable
                table, or brain regions that one of them lacks.
        """
        folder = self._folder_of_files()
        people, regions = self._people(folder), self._regions(folder)
        scans = []
        for file in find_files(folder, "IXI*"):
            match = NAME.fullmatch(file.name)
            if match and (self.sites is None or match["site"] in self.sites):
                person = people.get(match["subject"], {})
                files = (file, _regions_of(file, regions)) if regions else (file,)
                scans.append(Scan(subject=match["subject"], site=match["site"], files=files, facts=person))
        if not scans:
            raise DataError(f"{folder}: no T1 file of the sites {', '.join(self.sites or ())}. Correct `sites`.")
        return usable(scans)[: self.limit]

    def load(self, scan: Scan) -> Head:
        """Read the file, and the brain regions where there are any; see `refbench.datasets.nifti`."""
        from refbench.datasets.nifti import read_head, read_label

        head = read_head(scan.files[0], subject=scan.subject, session=scan.session, site=scan.site)
        regions = scan.files[1:]
        return replace(head, labels={"brain": read_label(regions[0], head)} if regions else {})

    def _folder_of_files(self) -> Path:
        path = self.path.expanduser().absolute()
        if path.is_file():
            return unpacked(path)
        for folder in (path / name for name in FOLDERS):
            if folder.is_dir() and any(NAME.fullmatch(file.name) for file in folder.iterdir()):
                return folder
        problem = "no file is named like IXI013-HH-1212-T1.nii.gz" if path.is_dir() else "no such folder"
        raise DataError(f"{path}: {problem}. Set `path` to the files of IXI-T1.tar; `refbench data ixi` gets them.")

    def _regions(self, folder: Path) -> Path | None:
        return next((place for place in (folder / REGIONS, folder.parent / REGIONS) if place.is_dir()), None)

    def _people(self, folder: Path) -> People:
        nearby = (place / name for place in (folder, folder.parent) for name in TABLES)
        table = self.csv or next((file for file in nearby if file.is_file()), None)
        return read_people(table.expanduser().absolute()) if table else {}


def _regions_of(file: Path, regions: Path) -> Path:
    found = regions / file.name.replace("-T1.nii", "-T1_regions.nii")
    if not found.is_file():
        raise DataError(f"{found}: no such file, and others of {regions} are there. Add it, or move the folder away.")
    return found
