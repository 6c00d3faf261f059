"""What attacks are called in tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from refbench.labels import knowledge, plugin_name

if TYPE_CHECKING:
    from refbench.leaderboard import Leaderboard


def attack_names(board: Leaderboard) -> dict[str, str]:
    """Attackers by the parameters that tell them from others of the same name; CSV and JSON have all parameters."""
    params = {label: json.loads(text) for label, text in board.tried.items()}
    names = {}
    for label, own in params.items():
        name = plugin_name(label)
        rivals = {known: other for known, other in params.items() if plugin_name(known) == name}
        telling = [key for key in own if any(other.get(key) != own[key] for other in rivals.values())]
        # What one of them names and another leaves at its default is what its author meant to try.
        meant = [key for key in telling if not all(f"{key}=" in known for known in rivals)]
        values = {key: f"{own[key]:g}" if isinstance(own[key], float) else own[key] for key in meant or telling}
        inside = ", ".join(f"{key}={value}" for key, value in values.items())
        names[label] = (f"{name}({inside})" if inside else name) + knowledge(label)
    return names


def names_with_seeds(board: Leaderboard) -> dict[tuple[str, int], str]:
    """Names of attacks by label and seed; the seed is said where there are several."""
    names, rows = attack_names(board), board.rows
    several = rows["seed"].nunique() > 1 or "over_seeds" in rows
    return {
        (label, seed): names[label] + (f" seed {seed}" if several else "")
        for label, seed in zip(rows["attacker"], rows["seed"], strict=True)
    }
