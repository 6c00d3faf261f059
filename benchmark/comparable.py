"""What two runs must have in common before their figures are set side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def setting(info: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the figures of a run beside its rows, from its `run.json`, as far as that run recorded it.

    Of the split it is who is in which part, however they came there; runs from before that was recorded have the
    options of their split instead.
    """
    split = info.get("split")
    digest = split.get("digest") if isinstance(split, Mapping) else None
    return {
        "dataset": info.get("dataset"),
        "slices": info.get("slices"),
        "split": digest or split,
        "selection": info.get("selection"),
    }


def differing(one: Mapping[str, Any], other: Mapping[str, Any], names: tuple[str, str]) -> str:
    """What differs, and how, as one phrase; empty where nothing does.

    Args:
        one: what must be equal, by what it is called.
        other: the same of the other run.
        names: what the two are called behind their values: `before` and `now`, `in A` and `in B`.
    """
    return "; ".join(
        f"the {what} differ{'' if what == 'slices' else 's'}: "
        f"{_telling(own, other[what])} {names[0]}, {_telling(other[what], own)} {names[1]}"
        for what, own in one.items()
        if own != other[what]
    )


def _telling(value: object, rival: object) -> str:
    """A value, of several options only those that differ."""
    if not isinstance(value, Mapping) or not isinstance(rival, Mapping):
        return "not recorded" if value is None else str(value)
    telling = {name: own for name, own in value.items() if rival.get(name, ...) != own}
    return ", ".join(f"{name}={own}" for name, own in telling.items()) or "nothing more"
