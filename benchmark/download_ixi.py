"""Getting IXI's T1 heads: spreadsheet, archive, unpacked files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from refbench.datasets.ixi_source import (
    ARCHIVE,
    ARCHIVE_MD5,
    SOURCE,
    SPREADSHEET,
    SPREADSHEET_MD5,
)
from refbench.datasets.ixi_tar import unpack
from refbench.download import download
from refbench.errors import DataError


class Listener(Protocol):
    """Who is told how it goes on."""

    def downloading(self, name: str) -> Callable[[int, int | None], object]:
        """A file comes now; returns what is told how many bytes of how many have come."""

    def unpacking(self, name: str) -> Callable[[int, int], object]:
        """An archive is unpacked now; returns what is told how many files of how many are done."""

    def remark(self, text: str) -> None:
        """Something that the user should know."""


def download_ixi(folder: Path, listener: Listener, *, source: str = SOURCE, any_checksum: bool = False) -> Path:
    """Download and unpack IXI's T1 heads into `folder`, as far as they are not there; returns the folder of heads.

    Args:
        folder: gets IXI.xls, IXI-T1.tar and IXI-T1/.
        listener: see there.
        source: address below which IXI.xls and IXI-T1.tar lie.
        any_checksum: take files with other contents than the project published, from a mirror that packed them anew.

    Raises:
        DataError: see `refbench.download.download` and `refbench.datasets.ixi_tar.unpack`. Only the heads must come: a
            missing spreadsheet is a remark.
    """
    folder = folder.expanduser().absolute()
    source = f"{source.rstrip('/')}/"
    sheet, archive, heads = folder / SPREADSHEET, folder / ARCHIVE, folder / Path(ARCHIVE).stem
    try:
        checksum = None if any_checksum else SPREADSHEET_MD5
        download(source + SPREADSHEET, sheet, md5=checksum, progress=listener.downloading(SPREADSHEET))
    except DataError as error:
        listener.remark(f"no ages and sexes: {error}")
    if heads.exists() and not archive.exists():
        listener.remark(f"{heads} is there already; remove it to have it downloaded again")
    else:
        checksum = None if any_checksum else ARCHIVE_MD5
        download(source + ARCHIVE, archive, md5=checksum, progress=listener.downloading(ARCHIVE))
        unpack(archive, heads, listener.unpacking(ARCHIVE))
    return heads
