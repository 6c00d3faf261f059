"""The base of every plug-in: a small frozen class whose fields are its parameters.

    class Blur(Anonymizer):
        \"\"\"Gaussian blur of the face.\"\"\"

        strength_mm: float = param(4.0, "standard deviation of the Gaussian", unit="mm", gt=0, le=50)

The suite file, the JSON Schema, `refbench list`, the cache key and the documentation all read these fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


def param(default: Any, description: str, *, unit: str = "", **bounds: Any) -> Any:
    """Declare a parameter of a plug-in.

    Args:
        default: its value when the suite does not name it; `...` for a parameter that must be given.
        description: one line, lower case, for tables and the schema.
        unit: `mm`, `voxels`, `0-1`, ...; empty for plain numbers and names.
        bounds: pydantic's `gt`, `ge`, `lt`, `le`, `min_length`, `max_length`, `pattern`.
    """
    return Field(default, description=description, json_schema_extra={"unit": unit} if unit else None, **bounds)


class Plugin(BaseModel):
    """A named, versioned, parametrised part of a suite.

    Raise `revision` when results change although the code reads the same (another table, another download).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True, allow_inf_nan=False)

    revision: ClassVar[str] = "1"

    def tool_versions(self) -> Mapping[str, str]:
        """Versions of what works outside this package (programs, atlases); they are part of the cache key."""
        return {}

    def missing(self) -> str:
        """What this machine lacks to run it, as one phrase for a table; empty if nothing."""
        return ""

    def label(self, name: str) -> str:
        """What tables call it, given the name it is registered by: `blur(strength_mm=4)`."""
        shown = self.model_dump(mode="json", exclude_unset=True)
        # Of a path only the name: tables are shared, the folders of a machine are nobody's business.
        shown |= {key: value.name for key in shown if isinstance(value := getattr(self, key), Path)}
        inside = ", ".join(f"{key}={_plain(value)}" for key, value in shown.items())
        return f"{name}({inside})" if inside else name


def _plain(value: Any) -> str:
    """Short, but never the same for two values: tables tell plug-ins apart by their labels."""
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:49]}...{hashlib.sha256(text.encode()).hexdigest()[:8]}"
