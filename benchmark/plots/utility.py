"""Privacy against utility: what hiding the face cost, and what an attack brings back all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from refbench.plots.series import Attack, mean_interval, people, select
from refbench.plots.style import COLOURS, MARKERS, new_figure
from refbench.results import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UTILITY_REGION = "whole"
"""Where the release is compared with the original to tell what is left of the scan."""


def draw_utility(run: Run, attacks: Sequence[Attack], region: str, metrics: Sequence[str]) -> Figure:
    """Per anonymizer: likeness of the released slices with the originals, against that of the strongest attack's.

    Both are means over test people with 95 % intervals. The right keeps more of the scan, the top hides more of the
    face; a line joins the front, those that no other beats in both. How many brain voxels of all scans were changed is
    counted by the checks of the releases, and stands in the legend.
    """
    figure = new_figure(9, 4.4 + 0.22 * len(attacks), "Privacy and utility: mean over people, 95 % interval")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        points = []
        for number, attack in enumerate(attacks):
            kept = people(select(run.scores, attack, "anonymized", UTILITY_REGION, metric)).dropna()
            regained = people(select(run.scores, attack, "reconstructed", region, metric)).dropna()
            if kept.empty or regained.empty:
                continue
            (x, *across), (y, *along) = mean_interval(kept), mean_interval(regained)
            points.append((x, y))
            axes.errorbar(
                x,
                y,
                xerr=[[x - across[0]], [across[1] - x]],
                yerr=[[y - along[0]], [along[1] - y]],
                fmt=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                capsize=2,
                label=f"{attack.anonymizer}{_brain(run.subjects, attack.anonymizer)}",
            )
        axes.plot(*zip(*front(points), strict=True), color="#777777", linewidth=0.8, linestyle="--", zorder=0)
        axes.invert_yaxis()
        axes.set_xlabel(f"released: {metric}, {UTILITY_REGION} → keeps more")
        axes.set_ylabel(f"strongest attack: {metric}, {region} → hides more")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points (kept, regained) those that no other beats in both, in order of what they keep."""
    return sorted(
        own
        for own in set(points)
        if not any(other != own and other[0] >= own[0] and other[1] <= own[1] for other in points)
    )


def _brain(subjects: pd.DataFrame, anonymizer: str) -> str:
    if "brain_changed" not in subjects:
        return ""
    changed = pd.to_numeric(subjects.loc[subjects["anonymizer"] == anonymizer, "brain_changed"], errors="coerce").sum()
    return f" ({changed:.0f} brain voxels changed)" if changed else " (no brain voxel changed)"
