"""What makes a folder of released heads a BIDS derivative data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from refbench import __version__
from refbench.bids_names import DESCRIPTION, read_object
from refbench.errors import DataError, RefbenchError
from refbench.nifti_tree import BIDS_MASK, RECORD
from refbench.sidecar import RAW
from refbench.store import write_json, write_text

if TYPE_CHECKING:
    from refbench.anonymize_head import HeadRecord

BIDS_VERSION = "1.10.0"
IGNORED = ".bidsignore"
OF_MASKS = {
    "Description": "1 where a voxel of the released head differs from the original, else 0",
    "SkullStripped": False,
}


def check_place(out: Path) -> None:
    """Raise RefbenchError if another data set lies where the derivative is to go."""
    path = out / DESCRIPTION
    if path.exists() and not _is_ours(path):
        raise RefbenchError(f"{path}: belongs to another data set. Choose a folder of its own for what is released.")


def describe(source: Path, out: Path, method: HeadRecord, summary: str) -> None:
    """Write what describes the data set as a whole; no more of the source than its name and its DOI is taken over.

    Args:
        source: the BIDS data set whose heads are anonymized.
        out: the derivative.
        method: any record of the method that it is made by.
        summary: name of the table of what became of the heads.

    Raises:
        RefbenchError: it cannot be written.
    """
    write_json(out / DESCRIPTION, description(source, method))
    write_json(out / f"{BIDS_MASK}.json", OF_MASKS)
    write_text(out / IGNORED, f"*{RECORD}\n{summary}\n")


def description(source: Path, method: HeadRecord) -> dict[str, Any]:
    """The contents of `dataset_description.json`.

    The source is named by its DOI, or else as a folder beside the derivative: where it lies on this machine is nobody's
    business.
    """
    try:
        raw = read_object(source / DESCRIPTION)
    except DataError:
        raw = {}
    name, doi = raw.get("Name"), raw.get("DatasetDOI")
    beside = f"../{source.resolve().name}"
    link = doi if isinstance(doi, str) and doi else beside
    return {
        "Name": f"{name if isinstance(name, str) and name else 'Heads'}, faces hidden by {method.anonymizer}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "DatasetLinks": {RAW: link},
        "GeneratedBy": [
            {"Name": "refbench", "Version": __version__, "Description": f"refbench anonymize: {method.anonymizer}"},
            {
                "Name": method.anonymizer,
                "Version": ", ".join(f"{tool} {version}" for tool, version in method.tools.items()) or __version__,
                "Description": "the anonymizer, with its parameters",
                "Parameters": method.params,
            },
        ],
        "SourceDatasets": [{"URL": link} if link == beside else {"DOI": link}],
    }


def _is_ours(path: Path) -> bool:
    try:
        made_by = read_object(path).get("GeneratedBy")
    except DataError:
        return False
    first = made_by[0] if isinstance(made_by, list) and made_by else None
    return isinstance(first, dict) and first.get("Name") == "refbench"
