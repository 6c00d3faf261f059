"""What the IXI project publishes: where, under which names and on which terms."""

from __future__ import annotations

import re

PAGE = "https://brain-development.org/ixi-dataset/"
SOURCE = "https://biomedic.doc.ic.ac.uk/brain-development/downloads/IXI/"
LICENCE = "CC BY-SA 3.0 (https://creativecommons.org/licenses/by-sa/3.0/)"

ARCHIVE = "IXI-T1.tar"
ARCHIVE_MD5 = "34901a0593b41dd19c1a1f746eac2d58"
ARCHIVE_BYTES = 4.8e9  # about; the server tells the exact size
SUBJECTS = 581

SPREADSHEET = "IXI.xls"
SPREADSHEET_MD5 = "066002afe250e4375d132266fcfceac5"

NAME = re.compile(r"(?P<id>(?P<subject>IXI\d{3})-(?P<site>Guys|HH|IOP)-\d{4})-T1\.nii(\.gz)?")
"""Name of a T1 file."""
