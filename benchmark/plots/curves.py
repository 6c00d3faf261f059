"""Draws how trainings went: a panel for each anonymizer, one legend for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from refbench.plots.style import COLOURS, DASHES, new_figure, short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from refbench.curves import Curve


def draw_curves(run: str, curves: Sequence[Curve]) -> Figure:
    """Validation scores over training steps; a ring marks the step whose network was kept.

    An attacker looks the same in every panel.
    """
    attackers = list(dict.fromkeys(curve.attacker for curve in curves))
    anonymizers = list(dict.fromkeys(curve.anonymizer for curve in curves))
    names = short_names(attackers, 80)
    columns = min(2, len(anonymizers))
    rows = math.ceil(len(anonymizers) / columns)
    figure = new_figure(9, 1.2 + 2.6 * rows + 0.2 * len(attackers), f"Validation of the trainings of {run}")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    lines = {}
    for axes, anonymizer in zip(panels, anonymizers, strict=False):
        own = [curve for curve in curves if curve.anonymizer == anonymizer]
        for curve in own:
            number = attackers.index(curve.attacker)
            round_, place = divmod(number, len(COLOURS))
            colour, dash = COLOURS[place], DASHES[(2 * round_ + place % 2) % len(DASHES)]
            steps, scores = [step for step, _ in curve.points], [score for _, score in curve.points]
            dots = "." if len(steps) == 1 else ""
            (lines[curve.attacker],) = axes.plot(
                steps, scores, color=colour, linestyle=dash, marker=dots, label=names[curve.attacker]
            )
            if curve.best is not None and curve.best_score is not None:
                axes.plot(curve.best, curve.best_score, "o", color=colour, markerfacecolor="white", label="_kept")
        axes.set_title(anonymizer)
        axes.set_xlabel("training step")
        axes.set_ylabel(", ".join(dict.fromkeys(curve.score for curve in own)))
    for axes in list(figure.axes)[len(anonymizers) :]:
        axes.set_axis_off()
    handles = [lines[attacker] for attacker in attackers]
    figure.legend(handles=handles, loc="outside lower center", title="ring: the step whose network was kept")
    return figure
