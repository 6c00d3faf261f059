"""Texts without what tells of a machine or a person: paths are cut to their last name, known names are taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from refbench.fingerprint import canonical_json

LEFT_OUT = "[left out]"

# A path in a running text: it starts at a root, a home, a drive or a dot, never within a word as in `T1/T2`.
_PART = r"[^\s/\\\"'`,;:|<>()\[\]{}=]"
_PATH = re.compile(
    rf"(?<![\w/\\])(?:file:/{{2,3}}|~{_PART}*[/\\]|\.{{1,2}}[/\\]|[A-Za-z]:[/\\]|[/\\])(?:{_PART}*[/\\]+)*({_PART}*)"
)


def without(text: str, names: Collection[str]) -> str:
    """Take known names out of a text, wherever they stand as words, and cut paths to their last name.

    Args:
        text: any text.
        names: what must not be told; longer ones are taken out first. Upper and lower case are the same.
    """
    for name in sorted(names, key=len, reverse=True):
        if name.casefold() in text.casefold():
            text = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", LEFT_OUT, text, flags=re.IGNORECASE)
    return _PATH.sub(lambda found: found[1] or "/", text)


def cleaned(value: Any, names: Collection[str]) -> Any:
    """The same for every text of a JSON or YAML value; a text that is a path as a whole becomes its last name."""
    if isinstance(value, dict):
        return {without(str(key), names): cleaned(own, names) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(own, names) for own in value]
    if not isinstance(value, str):
        return value
    whole = value if any(char.isspace() for char in value) and not _PATH.match(value) else _last(value)
    return without(whole, names)


def _last(text: str) -> str:
    return re.split(r"[/\\]", text.rstrip("/\\"))[-1] if text.strip("/\\") else text


def cleaned_json(text: str, names: Collection[str]) -> str:
    """The same for a value that is written as canonical JSON."""
    return canonical_json(cleaned(json.loads(text), names))
