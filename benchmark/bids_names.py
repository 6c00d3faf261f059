"""Names of files in a BIDS data set: `sub-01_ses-2_acq-mprage_run-1_T1w.nii.gz`.

After the Brain Imaging Data Structure, version 1.10, "File name structure" and "The Inheritance Principle".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from refbench.datasets.files import name_without_extension
from refbench.errors import DataError

ENTITIES = (
    *("sub", "tpl", "ses", "cohort", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec"),
    *("dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split", "recording", "chunk"),
    *("atlas", "seg", "scale", "res", "den", "label", "desc"),
)
"""What may stand in a name, in the order in which it does."""

DESCRIPTION = "dataset_description.json"
IMAGES = (".nii", ".nii.gz")

_ENTITY = re.compile(r"(?P<key>[A-Za-z]+)-(?P<label>[A-Za-z0-9+]+)")


@dataclass(frozen=True)
class BidsName:
    """A name in its parts: entities in their order, suffix (`T1w`), extension with its dot (`.nii.gz`)."""

    entities: Mapping[str, str]
    suffix: str
    extension: str

    @classmethod
    def parse(cls, name: str) -> BidsName | None:
        """Take a name apart; None if it is no BIDS name."""
        stem, dot, extension = name.partition(".")
        *parts, suffix = stem.split("_")
        matches = [_ENTITY.fullmatch(part) for part in parts]
        entities = {match["key"]: match["label"] for match in matches if match}
        if len(entities) != len(parts) or not suffix.isalnum():
            return None
        return cls(entities, suffix, dot + extension)

    def having(self, key: str, label: str) -> BidsName:
        """The same name with one more entity where it belongs, or with another label for it."""
        if key in self.entities:
            return replace(self, entities={**self.entities, key: label})
        later = set(ENTITIES[ENTITIES.index(key) + 1 :])
        first = next((place for place, other in enumerate(self.entities) if other in later), len(self.entities))
        items = list(self.entities.items())
        return replace(self, entities=dict([*items[:first], (key, label), *items[first:]]))

    def __str__(self) -> str:
        return "_".join([*(f"{key}-{label}" for key, label in self.entities.items()), self.suffix]) + self.extension


def metadata(image: Path, root: Path) -> dict[str, Any]:
    """What the sidecars of an image say: all JSON files from the data set's root down that apply to it.

    A sidecar applies if it has the image's suffix and no entity that the image lacks; the nearer one wins. Of a name
    that is not BIDS only the JSON file of the same name applies.

    Raises:
        DataError: a sidecar is no JSON object, or cannot be read.
    """
    name = BidsName.parse(image.name)
    if name is None or not name.entities or name.extension not in IMAGES:
        own = image.with_name(f"{name_without_extension(image)}.json")
        return read_object(own) if own.is_file() else {}
    folders = [folder for folder in image.parents if folder == root or root in folder.parents]
    known: dict[str, Any] = {}
    for folder in reversed(folders):
        applying = [
            (len(other.entities), path)
            for path in folder.glob(f"*{name.suffix}.json")
            if (other := BidsName.parse(path.name))
            and other.suffix == name.suffix
            and other.entities.items() <= name.entities.items()
        ]
        for _, path in sorted(applying):
            known |= read_object(path)
    return known


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        DataError: it holds something else, or cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Correct its permissions, or fetch it.") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON in UTF-8 ({error}). Correct it or take it away.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no JSON object {{...}}. Correct it or take it away.")
    return content
