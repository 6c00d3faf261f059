"""The JSON file beside a released head that says how it was de-identified, and how it was acquired.

After BIDS, "Magnetic Resonance Imaging" and "Common data types and metadata" (derivatives), and DICOM PS3.16 CID 7050.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from refbench import __version__
from refbench.bids_names import metadata
from refbench.errors import DataError
from refbench.nifti_tree import HeadFile
from refbench.store import write_json

if TYPE_CHECKING:
    from refbench.anonymize_head import HeadRecord

RAW = "raw"
"""The name by which a derivative data set calls the one it was made of, in `bids:raw:...`."""

ACQUISITION = (
    *("Manufacturer", "ManufacturersModelName", "MagneticFieldStrength", "BodyPart"),
    *("MRAcquisitionType", "PulseSequenceType", "ScanningSequence", "SequenceVariant", "ScanOptions"),
    *("EchoTime", "RepetitionTime", "RepetitionTimeExcitation", "RepetitionTimePreparation", "InversionTime"),
    *("FlipAngle", "EchoTrainLength", "DwellTime", "PixelBandwidth", "NumberShots", "NonlinearGradientCorrection"),
    *("MTState", "SpoilingState", "SpoilingType", "PartialFourier", "PartialFourierDirection"),
    *("ParallelAcquisitionTechnique", "ParallelReductionFactorInPlane", "ParallelReductionFactorOutOfPlane"),
    *("SliceThickness", "SpacingBetweenSlices", "AcquisitionMatrixPE", "ReconMatrixPE", "PhaseEncodingDirection"),
)
"""What is taken over of the source's sidecars. Whatever may tell who, when or where stays behind: names, dates, free
texts, serial numbers, institutions, identifiers of the study."""

LONGEST_TEXT = 64  # as in DICOM's code strings and long strings

CLEANED = {
    "CodeValue": "113102",
    "CodeMeaning": "Clean Recognizable Visual Features Option",
    "CodingSchemeDesignator": "DCM",
}


def write_sidecar(file: HeadFile, record: HeadRecord) -> None:
    """Write the sidecar of a head that was released.

    Raises:
        RefbenchError: it cannot be written.
    """
    write_json(file.sidecar, sidecar(file, record))


def sidecar(file: HeadFile, record: HeadRecord) -> dict[str, Any]:
    """What the sidecar of a released head says.

    DICOM's code for hidden faces stands there only if the release was found to hide the face.
    """
    code = {"DeidentificationMethodCodeSequence": [CLEANED]} if record.outcome == "ok" else {}
    return {
        "Description": f"Head whose face was to be hidden by {record.anonymizer}; outcome: {record.outcome}",
        **({"Sources": [f"bids:{RAW}:{file.name}"]} if file.data_set else {}),
        "SkullStripped": False,
        "DeidentificationMethod": [f"refbench {__version__}", record.anonymizer, f"outcome: {record.outcome}"],
        **code,
        "Anonymization": {
            "Tool": "refbench",
            "Version": __version__,
            "Anonymizer": record.anonymizer,
            "Parameters": record.params,
            "ToolVersions": record.tools,
            "Seed": record.seed,
            "Outcome": record.outcome,
            "Note": record.note,
            "Figures": record.figures,
        },
        **_acquisition(file),
    }


def _acquisition(file: HeadFile) -> dict[str, Any]:
    """How the head was acquired, as far as it is known and tells nothing of the person."""
    try:
        known = metadata(file.source, file.data_set or file.source.parent)
    except DataError:  # a damaged sidecar costs these fields, never the release
        return {}
    return {key: known[key] for key in ACQUISITION if key in known and _is_plain(known[key])}


def _is_plain(value: Any) -> bool:
    """A number, a short text or a list of such: what these fields hold."""
    if isinstance(value, list):
        return all(_is_plain(item) and not isinstance(item, list) for item in value)
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return isinstance(value, (int, float)) and math.isfinite(value)
