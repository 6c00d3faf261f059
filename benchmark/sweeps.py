"""Sweeps: a parameter that is given as a list stands for several plug-ins."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from refbench.plugin import Plugin


def expand(plugin_class: type[Plugin], params: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str | int, int]]]:
    """All combinations of swept parameters, each with the places of its values in their lists.

    A list is a sweep unless the parameter itself takes it, or takes none of its items.
    """
    axes = []
    swept = [
        name
        for name, value in params.items()
        if isinstance(value, list)
        and not _takes(plugin_class, name, value)
        and any(_takes(plugin_class, name, item) for item in value)
    ]
    for name, value in params.items():
        axes.append([(name, i, item) for i, item in enumerate(value if name in swept else [value])])
    return [
        ({name: item for name, _, item in combination}, {name: i for name, i, _ in combination if name in swept})
        for combination in itertools.product(*axes)
    ]


def _takes(plugin_class: type[Plugin], name: str, value: Any) -> bool:
    info = plugin_class.model_fields.get(name)
    if info is None or info.annotation is None:
        return True  # an unknown parameter: report it once, not once per item
    kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        TypeAdapter[Any](kind).validate_python(value)
    except ValidationError:
        return False
    return True
