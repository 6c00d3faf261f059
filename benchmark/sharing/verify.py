"""Whether a bundle holds what it says: hashes, pseudonyms, and its leaderboard computed anew from its scores."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refbench.errors import RefbenchError
from refbench.render import to_json
from refbench.sharing.export import shared_board
from refbench.sharing.read import DamagedBundleError, Shared, read_bundle

EQUAL = 1e-9
"""Figures no further apart are equal: far below the last printed digit, above the rounding of two machines."""


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        checked: one sentence for every check that was made. differences: what is not as it should be; empty: all is.
    """

    checked: tuple[str, ...]
    differences: tuple[str, ...]
    shared: Shared | None


def verify(path: Path) -> Verification:
    """Check a bundle.

    Raises:
        RefbenchError: it cannot be read as a bundle at all.
    """
    hashes = "all files against the SHA-256 and the sizes of the manifest"
    try:
        shared = read_bundle(path)
    except DamagedBundleError as damaged:
        return Verification((hashes,), damaged.differences, None)
    run = shared.run
    people = f"{run.subjects['subject'].nunique()} people: all under pseudonyms"
    try:
        board = json.loads(to_json(shared_board(run)))
    except (RefbenchError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        said = f"leaderboard.json: cannot be computed from the scores ({' '.join(str(error).split())})"
        return Verification((hashes, people), (*shared.differences, said), shared)
    compared = _differences(shared.table, board)
    figures = sum(isinstance(value, float) for row in board["rows"] for value in row.values())
    table = f"the leaderboard computed anew from {len(run.scores)} scores: {len(board['rows'])} rows, {figures} figures"
    return Verification((hashes, people, table), (*shared.differences, *compared), shared)


def _differences(stored: Any, computed: Mapping[str, Any]) -> list[str]:
    """Where the stored leaderboard is another, the furthest apart first."""
    if not isinstance(stored, Mapping) or not isinstance(stored.get("rows"), list):
        return ["leaderboard.json: no leaderboard"]
    head = [
        f"leaderboard.json: {name} is {stored.get(name)!r}, computed {computed[name]!r}"
        for name in computed
        if name != "rows" and stored.get(name) != computed[name]
    ]
    own, new = stored["rows"], computed["rows"]
    if len(own) != len(new) or not all(isinstance(row, Mapping) for row in own):
        return [*head, f"leaderboard.json: {len(own)} rows, computed {len(new)}"]
    apart: list[tuple[float, str]] = []
    for one, other in zip(own, new, strict=True):
        row = f"{other['anonymizer']}, {other['attacker']} seed {other['seed']}"
        for name in dict.fromkeys([*one, *other]):
            before, now = one.get(name), other.get(name)
            step = _step(before, now)
            if step > EQUAL:
                by = f" (by {step:.6f})" if math.isfinite(step) else ""
                apart.append((step, f"leaderboard.json: {row}: {name} is {before}, computed {now}{by}"))
    return [*head, *(text for _, text in sorted(apart, key=lambda item: -item[0]))]


def _step(one: Any, other: Any) -> float:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other)
    return 0.0 if one == other else math.inf
