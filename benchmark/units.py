"""Quantities as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds in a unit that fits."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
