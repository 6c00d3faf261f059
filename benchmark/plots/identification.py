"""Figures of who is recognised: by rank, by the size of the gallery, and against what hiding cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from refbench.face_columns import RANK1, percent
from refbench.head_figures import Named, head_figures, headlines
from refbench.identification import rank_figures, strongest
from refbench.metrics.identification.ranks import found_in_galleries, match_curve
from refbench.plots.style import COLOURS, DASHES, MARKERS, new_figure
from refbench.results import Run
from refbench.statistics import Estimate
from refbench.trials import Trial, trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_RANKS, SIZES = 20, 12
"""Ranks that are drawn; sizes of galleries at which points lie."""

ABOUT_FACES = "face"
"""Figures that begin so tell of privacy, not of what is left for research."""


class People:
    """Of every anonymizer how its release, and the attack after which most are found, are recognised."""

    def __init__(self, run: Run) -> None:
        best = strongest(trials(run.identification))
        self.released: dict[str, Trial] = {}
        self.attacked: dict[str, Trial] = {}
        shares: dict[str, float] = {}
        for (anonymizer, _, _, condition), trial in best.items():
            if condition == "anonymized":
                self.released[anonymizer] = trial
                continue
            share = float(match_curve(trial.places)[0])
            if share > shares.get(anonymizer, -1.0):
                self.attacked[anonymizer], shares[anonymizer] = trial, share


def draw_recognition(people: People) -> Figure:
    """Share of people found, by rank and by the size of the gallery: dotted as released, whole after the attack.

    Of each condition by its strongest recognizer; the attack is the one after which most people are found first.
    """
    anonymizers = list(dict.fromkeys([*people.released, *people.attacked]))
    figure = new_figure(9, 4.2 + 0.2 * len(anonymizers), "Who is recognised, by the strongest recognizer of each line")
    by_rank, by_size = figure.subplots(1, 2, sharey=True)
    for number, anonymizer in enumerate(anonymizers):
        for side, dash in ((people.released, DASHES[3]), (people.attacked, DASHES[0])):
            if (trial := side.get(anonymizer)) is None:
                continue
            attack = trial.condition[1] or "released"
            look = {"color": COLOURS[number % len(COLOURS)], "linestyle": dash, "linewidth": 1.5}
            curve = match_curve(trial.places)[:MOST_RANKS]
            by_rank.plot(np.arange(1, len(curve) + 1), 100 * curve, label=f"{anonymizer}, {attack}", **look)
            sizes = _sizes(len(trial.face))
            by_size.plot(sizes, 100 * found_in_galleries(sizes, trial.places), **look)
    largest = max(len(trial.face) for side in (people.released, people.attacked) for trial in side.values())
    ranks, sizes = np.arange(1, min(MOST_RANKS, largest) + 1), _sizes(largest)
    by_rank.plot(ranks, 100 * ranks / largest, color="#777777", linewidth=0.8, label="chance")
    by_size.plot(sizes, 100 / np.array(sizes), color="#777777", linewidth=0.8)
    by_rank.set_xlabel(f"rank among {largest} faces")
    by_rank.set_ylabel("people found within the rank, %")
    by_size.set_xlabel("faces in the gallery (rank 1)")
    by_size.set_xscale("log")
    by_size.minorticks_off()
    by_size.set_xticks(sizes[::2], [str(size) for size in sizes[::2]])
    by_rank.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*by_rank.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def utilities(run: Run) -> list[Named]:
    """Up to two figures of what is left for research: the headlines of head metrics that do not tell of the face."""
    there = list(run.heads[["metric", "figure"]].drop_duplicates().itertuples(index=False, name=None))
    return [named for named in headlines(there) if not named[1].startswith(ABOUT_FACES)][:2]


def draw_cost(run: Run, people: People, named: Sequence[Named]) -> Figure:
    """Per anonymizer: rank-1 after the strongest attack (or as released, if more) against what hiding cost."""
    found = head_figures(run.heads[run.heads["condition"] == "anonymized"])
    cost = {
        (row["anonymizer"], row["metric"], row["figure"]): Estimate(row["value"], row["low"], row["high"])
        for row in found.to_dict("records")
    }
    privacy = {anonymizer: _most(people, anonymizer) for anonymizer in people.released}
    figure = new_figure(9, 4.2 + 0.2 * len(privacy), "Privacy and its cost: mean over people, 95 % interval")
    panels = figure.subplots(1, len(named), squeeze=False, sharey=True)[0]
    for axes, (metric, name) in zip(panels, named, strict=True):
        for number, (anonymizer, y) in enumerate(privacy.items()):
            x = cost.get((anonymizer, metric, name))
            if x is None or not np.isfinite(x.value):
                continue
            axes.errorbar(
                x.value,
                100 * y.value,
                xerr=_ends(x, 1),
                yerr=_ends(y, 100),
                fmt=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                capsize=2,
                label=anonymizer,
            )
        chance = max(trial.chance for trial in people.released.values())
        axes.axhline(100 * chance, color="#777777", linewidth=0.8, label=f"chance, {percent(chance)}")
        axes.set_xlabel(f"released: {name.replace('_', ' ')} ({metric})")
    panels[0].set_ylabel("found first after the strongest attack, %")
    panels[0].set_ylim(105, -5)  # the top hides more, as in the other picture of privacy and utility
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _most(people: People, anonymizer: str) -> Estimate:
    sides: list[Mapping[str, Trial]] = [people.released, people.attacked]
    figures = [rank_figures(side[anonymizer])[RANK1] for side in sides if anonymizer in side]
    return max(figures, key=lambda own: own.value)


def _ends(own: Estimate, scale: float) -> list[list[float]]:
    return [[scale * max(own.value - own.low, 0.0)], [scale * max(own.high - own.value, 0.0)]]


def _sizes(largest: int) -> list[int]:
    return sorted({int(size) for size in np.geomspace(1, largest, SIZES).round()})
