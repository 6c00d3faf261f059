"""Figures of recovery: against the strength of an anonymizer, and against what an attacker learnt from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from refbench.enough import MARGIN, Enough, how_much_is_enough
from refbench.identified_recovery import recovered_people
from refbench.learning import learning_curves
from refbench.plots.scores import MOST_LINES
from refbench.plots.series import Sweep
from refbench.plots.style import COLOURS, DASHES, MARKERS, new_figure, short_names
from refbench.recovery import Recovered, recovered_scores
from refbench.results import Run
from refbench.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST = -0.5
"""Attacks that are much worse than the floor are not followed further down."""


def draw_enough(run: Run, sweep: Sweep, region: str, metrics: Sequence[str]) -> Figure:
    """Recovery by the strongest attack against a number of the anonymizer, and from where on it is at the floor.

    Thin lines are single attacks; the thick one is the strongest at each strength, with its 95 % interval. The band is
    the interval of the strength at which it reaches the floor for good; it ends at the edge where it is not reached.
    """
    found = {
        name: how_much_is_enough(recovered, run.cells, sweep)
        for name, recovered in _recovered(run, region, metrics).items()
    }
    figure = new_figure(9, 5.2, f"How much of {sweep.name} is enough: recovery, mean over people, 95 % interval")
    panels = figure.subplots(1, len(found), squeeze=False, sharex=True, sharey=True)[0]
    names = short_names(list(dict.fromkeys(run.cells["attacker"])))
    best = _strongest_first(list(found.values()))
    looks = dict(zip(best, zip(COLOURS, MARKERS, strict=False), strict=False))
    for axes, (name, enough) in zip(panels, found.items(), strict=True):
        strengths = [point.strength for point in enough.points]
        if min(strengths) > 0:
            axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(strengths, [f"{strength:g}" for strength in strengths])
        _band(axes, enough)
        for attacker, (colour, marker) in looks.items():
            own = [dict(point.attacks).get(attacker) for point in enough.points]
            level = [recovery.value if recovery else math.nan for recovery in own]
            axes.plot(strengths, level, color=colour, marker=marker, markersize=3, linewidth=0.8, label=names[attacker])
        _line(axes, strengths, [point.recovery for point in enough.points], "#000000", "o", "-", "strongest attack")
        axes.set_title(name)
        axes.set_xlabel(f"{sweep.parameter} of {sweep.name}")
    left_out = len({name for one in found.values() for point in one.points for name, _ in point.attacks}) - len(looks)
    _finish(figure, panels, f"{left_out} weaker attackers are not drawn" if left_out else None)
    return figure


def draw_learning_curves(run: Run, sweep: Sweep, region: str, metrics: Sequence[str]) -> Figure:
    """Recovery against the share of the people, the steps or the minutes of an attacker."""
    title = f"What {sweep.name} learns with more: recovery, mean over people, 95 % interval"
    figure = new_figure(9, 5.0, title)
    found = _recovered(run, region, metrics)
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    order = list(dict.fromkeys(run.cells["anonymizer"]))
    for axes, (name, recovered) in zip(panels, found.items(), strict=True):
        curves = {order.index(curve.anonymizer): curve for curve in learning_curves(recovered, run.cells, sweep)}
        for number, curve in sorted(curves.items()):
            look = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)], DASHES[number % len(DASHES)]
            values = [value for value, _, _ in curve.points]
            recoveries = [recovery for _, _, recovery in curve.points]
            _line(axes, values, recoveries, *look, curve.anonymizer)
            if curve.rises:
                axes.plot(values[-1], recoveries[-1].value, "*", color=look[0], markersize=12, label="_rises")
        axes.set_title(name)
        axes.set_xlabel({"share": "share of the training people"}.get(sweep.parameter, sweep.parameter))
    _finish(figure, panels, "star: it still rises at its end")
    return figure


def _recovered(run: Run, region: str, metrics: Sequence[str]) -> dict[str, Recovered]:
    """By every metric, and by rank-1 where that has a recovery at all."""
    found: dict[str, Recovered] = {
        f"{metric}, {region}": recovered_scores(run.scores, run.cells, region, metric) for metric in metrics
    }
    people = recovered_people(run.identification, run.cells)
    if people is not None and any(math.isfinite(people.value([training])) for training in people.trainings):
        found["rank-1"] = people
    return found


def _strongest_first(found: Sequence[Enough]) -> list[str]:
    """Those that are drawn: the attackers with the best recovery at any strength, in any panel."""
    best: dict[str, float] = {}
    for enough in found:
        for point in enough.points:
            for attacker, recovery in point.attacks:
                best[attacker] = max(best.get(attacker, -math.inf), recovery.value)
    return sorted(best, key=lambda attacker: -best[attacker])[:MOST_LINES]


def _band(axes: Axes, enough: Enough) -> None:
    axes.axhline(0, color="#777777", linewidth=0.8, linestyle=":", label="the floor")
    axes.axhline(MARGIN, color="#777777", linewidth=0.8, linestyle="--", label=f"margin, {MARGIN:g}")
    if enough.low.how == "never":
        return
    ends = sorted((enough.low.strength, enough.high.strength))
    axes.axvspan(*ends, color="#999999", alpha=0.25, linewidth=0, label="enough: 95 % interval")
    if enough.tested.how != "never":
        axes.axvline(enough.tested.strength, color="#444444", linewidth=1.2, label="enough, of those tested")


def _line(
    axes: Axes, places: Sequence[float], found: Sequence[Estimate], colour: str, marker: str, dash: str, name: str
) -> None:
    known = [(place, own) for place, own in zip(places, found, strict=True) if math.isfinite(own.value)]
    axes.errorbar(
        [place for place, _ in known],
        [own.value for _, own in known],
        yerr=[
            [max(own.value - own.low, 0.0) for _, own in known],
            [max(own.high - own.value, 0.0) for _, own in known],
        ],
        color=colour,
        marker=marker,
        linestyle=dash,
        markersize=5,
        linewidth=2.4,
        capsize=2,
        zorder=1.8,  # below the attacks: one of them lies on it
        label=name,
    )


def _finish(figure: Figure, panels: Sequence[Axes], note: str | None) -> None:
    panels[0].set_ylabel("recovery: 0 the floor, 1 the original")
    low = min(axes.get_ylim()[0] for axes in panels)
    panels[0].set_ylim(max(low, LOWEST), 1.05)
    shown = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=2, title=note)
