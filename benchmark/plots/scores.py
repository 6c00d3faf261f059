"""Figures of scores: traces over test images, differences per site, dose and response, learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from refbench.plots.series import BASELINE, Attack, Sweep, mean_interval, people, select
from refbench.plots.style import COLOURS, DASHES, MARKERS, RECONSTRUCTED, RELEASED, new_figure, short_names
from refbench.results import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 6
"""Attackers in one panel, the strongest first: more cannot be told apart."""


def draw_traces(run: Run, attack: Attack, region: str, metrics: Sequence[str]) -> Figure:
    """Every test image's score, released and reconstructed, ordered by site, with the means of sites.

    Source: Abramian & Eklund, "Refacing", figures 4 and 5. As there, the mean of a site is over its images.
    """
    title = f"{attack.anonymizer}: every test image\nstrongest attack: {_wrapped(attack.attacker)}"
    figure = new_figure(9, 1.1 + 2.5 * len(metrics), title)
    for number, (axes, metric) in enumerate(zip(_column(figure, len(metrics)), metrics, strict=True)):
        for condition, colour, dash in (("anonymized", RELEASED, "--"), ("reconstructed", RECONSTRUCTED, "-")):
            images = select(run.scores, attack, condition, region, metric)
            name = "released" if condition == "anonymized" else condition
            axes.plot(images.index, images["value"], color=colour, linewidth=0.8, label=name)
            for site, own in images.groupby("site"):
                ends = [own.index[0] - 0.5, own.index[-1] + 0.5]
                level = own["value"].mean()
                axes.plot(ends, [level] * 2, color="white", linewidth=3.5, label="_outline")
                axes.plot(ends, [level] * 2, color=colour, linestyle=dash, linewidth=2, label=f"_mean of {site}")
        for site, own in images.groupby("site"):
            if own.index[0]:
                axes.axvline(own.index[0] - 0.5, color="#666666", linewidth=0.8, linestyle=":")
            axes.text(own.index.to_numpy().mean(), 1.01, str(site), ha="center", transform=axes.get_xaxis_transform())
        axes.set_ylabel(f"{metric}, {region}")
        axes.set_xlim(-0.5, len(images) - 0.5)
        if not number:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    axes.set_xlabel("test image, by site, person and slice; thick: mean of a site")
    return figure


def draw_sites(run: Run, attacks: Sequence[Attack], region: str, metrics: Sequence[str]) -> Figure:
    """What the strongest attack gains over what was released, person by person, per site with 95 % intervals."""
    title = "Reconstructed minus released, by site: mean over people, 95 % interval"
    figure = new_figure(9, 1.4 + 0.5 * len(attacks), title)
    sites = sorted(set(run.scores["site"]))
    panels = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        gains = []
        for attack in attacks:
            before, after = (
                people(select(run.scores, attack, condition, region, metric))
                for condition in ("anonymized", "reconstructed")
            )
            gains.append((after - before).dropna())
        for number, site in enumerate(sites):
            places, middles, spans = [], [], []
            for row, gain in enumerate(gains):
                own = gain[gain.index.get_level_values("site") == site]
                if own.empty:
                    continue
                middle, low, high = mean_interval(own)
                places.append(row + (number - (len(sites) - 1) / 2) * 0.22)
                middles.append(middle)
                spans.append((middle - low, high - middle))
            counted = run.scores.loc[run.scores["site"] == site, "subject"].nunique()
            axes.errorbar(
                middles,
                places,
                xerr=list(zip(*spans, strict=True)) or None,
                fmt=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                markersize=5,
                capsize=2,
                label=f"{site} ({counted} people)" if counted > 1 else f"{site} (1 person: no interval)",
            )
        axes.axvline(0, color="#666666", linewidth=0.8)
        axes.set_xlabel(f"difference of {metric}, {region}")
    names = short_names(list(dict.fromkeys(run.cells["attacker"])))
    ticks = [f"{attack.anonymizer}\nby {names[attack.attacker]}" for attack in attacks]
    panels[0].set_yticks(range(len(attacks)), ticks)
    panels[0].set_ylim(len(attacks) - 0.5, -0.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(sites))
    return figure


def draw_dose(run: Run, sweep: Sweep, region: str, metrics: Sequence[str]) -> Figure:
    """Released and reconstructed images against a parameter of the anonymizer, with 95 % intervals over people."""
    figure = new_figure(9, 4.6, f"Dose and response of {sweep.name}: mean over people, 95 % interval")
    labels = [label for _, label in sweep.members]
    of = run.scores[run.scores["anonymizer"].isin(labels) & (run.scores["region"] == region)]
    attacks = of[(of["condition"] == "reconstructed") & (of["attacker"] != BASELINE)]
    order = attacks[attacks["metric"] == metrics[0]].groupby("attacker")["value"].mean().sort_values(ascending=False)
    shown = [str(name) for name in order.index[:MOST_LINES]]
    names = short_names(list(dict.fromkeys(run.cells["attacker"])))
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        own = of[of["metric"] == metric]
        released = own[own["condition"] == "anonymized"]
        _response(axes, released, "anonymizer", sweep, "released, no attack", None)
        for number, attacker in enumerate(shown):
            lines = own[(own["condition"] == "reconstructed") & (own["attacker"] == attacker)]
            _response(axes, lines, "anonymizer", sweep, names[attacker], number)
        axes.set_xlabel(f"{sweep.parameter} of {sweep.name}")
        axes.set_ylabel(f"{metric}, {region}")
        axes.set_xticks([value for value, _ in sweep.members])
    _legend(figure, panels[0], len(order) - len(shown))
    return figure


def draw_learning(run: Run, sweep: Sweep, region: str, metrics: Sequence[str]) -> Figure:
    """Reconstructed images against the share of the training people that an attacker learnt from."""
    figure = new_figure(9, 4.2, f"Learning curves of {_wrapped(sweep.members[-1][1])}: mean over people, 95 % interval")
    anonymizers = list(dict.fromkeys(run.scores["anonymizer"]))
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        chosen = run.scores["metric"].eq(metric) & run.scores["region"].eq(region)
        own = run.scores[chosen & run.scores["condition"].eq("reconstructed")]
        for number, anonymizer in enumerate(anonymizers):
            lines = own[own["anonymizer"] == anonymizer]
            _response(axes, lines, "attacker", sweep, anonymizer, number)
        axes.set_xlabel("share of the training people")
        axes.set_ylabel(f"{metric}, {region}")
    _legend(figure, panels[0], 0)
    return figure


def _response(axes: Axes, scores: pd.DataFrame, kind: str, sweep: Sweep, name: str, number: int | None) -> None:
    """One line with its intervals; of no number it is the grey one of what was released."""
    points = []
    for value, label in sweep.members:
        own = people(scores[scores[kind] == label]).dropna() if (scores[kind] == label).any() else None
        if own is not None and len(own):
            points.append((value, *mean_interval(own)))
    if not points:
        return
    values, middles, lows, highs = zip(*points, strict=True)
    spans = [
        [m - low for m, low in zip(middles, lows, strict=True)],
        [h - m for m, h in zip(middles, highs, strict=True)],
    ]
    look = ("#777777", "s", ":") if number is None else _look(number)
    axes.errorbar(
        values,
        middles,
        yerr=spans,
        color=look[0],
        marker=look[1],
        linestyle=look[2],
        markersize=4,
        capsize=2,
        label=name,
    )


def _look(number: int) -> tuple[str, str, str]:
    return COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)], DASHES[number % len(DASHES)]


def _legend(figure: Figure, axes: Axes, left_out: int) -> None:
    more = f"{left_out} weaker attackers are not drawn" if left_out else None
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, title=more)


def _column(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0])


def _wrapped(label: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(label, 100))
