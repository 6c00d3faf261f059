"""What the labels of plug-ins say."""

from __future__ import annotations

import re


def plugin_name(label: str) -> str:
    """The name a plug-in is registered by: `blur` of `blur(strength_mm=4)`; empty of an empty label."""
    found = re.match(r"[\w-]+", label)
    return found.group() if found else ""
