"""How much is enough: the smallest tested strength of an anonymizer from which on no attack gains more than the floor.

At every strength of a sweep the strongest attack counts, which may be another one at each. It is at the floor where the
upper end of its interval of recovery is below `MARGIN`. Enough is the smallest tested strength from which on this holds
for all tested ones.

The interval of that strength is of the bootstrap over people (and seeds): in each resample the strongest attack is
chosen anew, so the interval knows about the choice, and the strength is where recovery falls below the margin and stays
there, on a straight line over the logarithm of the strength (or the strength, where one is 0) between two tested ones.
A strength without a recovery (no attack counts, or nobody has one) is not at the floor.

What it does not say: recovery is what attacks add to the release. A release may show the face all by itself, and most
do so at the weak end: there the floor itself is high, which `Point.scale` tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refbench.plots.series import Sweep, sweeps
from refbench.recovery import Recovered, Scale, Training, Trusted, counted_attacks, everything
from refbench.statistics import CONFIDENCE, UNDEFINED, Estimate, Floats, estimate

MARGIN = 0.05
"""Of the way from the floor to the original: below it an attack is at the floor."""


@dataclass(frozen=True)
class Point:
    """The strongest attack at one strength.

    Attributes:
        strength: value of the parameter. anonymizer: its label.
        attacker: the strongest; empty where no attack counts or has a recovery.
        attacks: by recovery over their seeds, the strongest first.
        recovery: of the strongest of them, chosen anew in each resample.
        scale: floor and ceiling, and how much the release itself shows; None where nothing was scored.
    """

    strength: float
    anonymizer: str
    attacker: str
    attacks: tuple[tuple[str, Estimate], ...]
    recovery: Estimate
    scale: Scale | None


@dataclass(frozen=True)
class Reached:
    """Where the floor is reached.

    Attributes:
        how: `at` this strength; `weakest`: already at the weakest tested one; `never` within what was tested.
        strength: value of the parameter; of `weakest` and `never` the weakest and the strongest tested.
    """

    how: Literal["at", "weakest", "never"]
    strength: float


@dataclass(frozen=True)
class Enough:
    """A dose and its response.

    Attributes:
        name, parameter: what was swept.
        points: from the weakest to the strongest.
        tested: the smallest tested strength from which on the strongest attack is at the floor.
        crossing: where recovery itself, without its interval, falls below the margin for good.
        low, high: 95 % interval of that.
    """

    name: str
    parameter: str
    points: tuple[Point, ...]
    tested: Reached
    crossing: Reached
    low: Reached
    high: Reached


def how_much_is_enough(
    recovered: Recovered, cells: pd.DataFrame, sweep: Sweep, trusted: Trusted = everything
) -> Enough:
    """Of a number in which anonymizers of a run differ.

    Args:
        recovered: by a metric in a region, or by who is recognised.
        cells: see `refbench.results`.
        sweep: one of `refbench.plots.series.sweeps(cells, "anonymizer")`.
        trusted: which trainings count.
    """
    members = _weakest_first(recovered, sweep)
    counted = counted_attacks(recovered, cells, trusted)
    points, drawn = zip(
        *(_point(recovered, value, label, counted.get(label, {})) for value, label in members), strict=True
    )
    axis = np.array([value for value, _ in members])
    values = np.array([point.recovery.value for point in points])
    beyond = _last_above(np.array([[point.recovery.high for point in points]]))[0]
    found = crossings(np.column_stack(drawn), axis)
    order = np.sort(found)
    tail = (1 - CONFIDENCE) / 2 * (len(order) - 1)
    return Enough(
        sweep.name,
        sweep.parameter,
        points,
        tested=_reached(beyond + 1.0 if beyond >= 0 else -1.0, axis),
        crossing=_reached(crossings(values[None], axis)[0], axis),
        low=_reached(order[int(np.floor(tail))], axis),
        high=_reached(order[int(np.ceil(len(order) - 1 - tail))], axis),
    )


def every_sweep(
    recovered: Sequence[Recovered], cells: pd.DataFrame, trusted: Trusted = everything
) -> list[tuple[Sweep, str]]:
    """Every number in which anonymizers of a run differ, and in words how much of it is enough.

    Args:
        recovered: one for each group of people who cannot be told to be the same.
        cells: see `refbench.results`.
        trusted: which trainings count.
    """
    return [
        (sweep, in_words(how_much_is_enough(one, cells, sweep, trusted)))
        for sweep in sweeps(cells, "anonymizer")
        for one in recovered
    ]


def in_words(enough: Enough) -> str:
    """A sentence for a reader who decides on a strength."""
    weakest, last = enough.points[0], enough.points[-1]
    what = f"{enough.parameter} of {enough.name}, {weakest.strength:g} to {last.strength:g} tested"
    found = {
        "at": f"from {enough.tested.strength:g} on the strongest attack is at the floor",
        "weakest": "already at the weakest the strongest attack adds nothing to what releases and baselines show",
        "never": f"the strongest attack is not held at the floor{_still(last)}",
    }[enough.tested.how]
    ends = list(dict.fromkeys(_end(end) for end in (enough.low, enough.high)))
    return f"{what}: {found}; 95 % interval: {' to '.join(ends)}."


def _still(last: Point) -> str:
    if not last.attacker:
        return f" (at {last.strength:g} no attack counts)"
    value, low, high = (100 * end for end in (last.recovery.value, last.recovery.low, last.recovery.high))
    return f" (at {last.strength:g} it still goes {value:.0f} % [{low:.0f}, {high:.0f}] of the way to the original)"


def _end(reached: Reached) -> str:
    return {
        "at": f"{reached.strength:.3g}",
        "weakest": f"{reached.strength:g} or weaker",
        "never": "not reached within what was tested",
    }[reached.how]


def _weakest_first(recovered: Recovered, sweep: Sweep) -> Sequence[tuple[float, str]]:
    """By strength: the smaller number hides less, unless the releases at the two ends show that it hides more.

    As the tissue that is kept around a brain, which hides less the more it is.
    """
    ends = [recovered.scales.get(label) for _, label in (sweep.members[0], sweep.members[-1])]
    low, high = (end.released if end else np.nan for end in ends)
    return sweep.members[::-1] if high > low else sweep.members


def _point(
    recovered: Recovered, strength: float, anonymizer: str, attacks: Mapping[str, Sequence[Training]]
) -> tuple[Point, Floats]:
    """The strongest of attacks, and its recovery in each resample, NaN where it has none."""
    scale = recovered.scales.get(anonymizer)
    values = {attacker: recovered.value(trainings) for attacker, trainings in attacks.items()}
    ranked = sorted((name for name in values if np.isfinite(values[name])), key=lambda name: -values[name])
    if not ranked:
        nothing = np.full(len(recovered.weights), np.nan)
        return Point(strength, anonymizer, "", (), UNDEFINED, scale), nothing
    drawn = [recovered.resampled(attacks[name], number) for number, name in enumerate(ranked)]
    each = tuple((name, estimate(values[name], own)) for name, own in zip(ranked, drawn, strict=True))
    strongest = np.fmax.reduce(drawn)
    return Point(strength, anonymizer, ranked[0], each, estimate(values[ranked[0]], strongest), scale), strongest


def crossings(curves: Floats, strengths: Floats) -> Floats:
    """Where curves fall below the margin for good.

    Args:
        curves: recovery, float64 [curves, strengths], from the weakest strength to the strongest; NaN is above.
        strengths: float64 [strengths], rising or falling.

    Returns:
        Places on the row of strengths, float64 [curves]: 0 is the weakest, 1 the next; -1 where a curve is below
        throughout, infinite where it is not at the strongest.
    """
    rows, last = np.arange(len(curves)), _last_above(curves)
    before = np.clip(last, 0, len(strengths) - 2)
    above, below = curves[rows, before], curves[rows, before + 1]
    with np.errstate(all="ignore"):  # of curves that do not cross
        share = np.nan_to_num((above - MARGIN) / (above - below), nan=1.0)
    return np.where(last < 0, -1.0, np.where(last == len(strengths) - 1, np.inf, before + share))


def _last_above(curves: Floats) -> NDArray[np.int64]:
    """The strongest strength at which a curve is not below the margin, int [curves]; -1 where it always is."""
    above = ~(curves < MARGIN)
    last = above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
    return np.where(above.any(axis=1), last, -1)


def _reached(place: float, strengths: Floats) -> Reached:
    """A place on the row of strengths as a strength; below 0 is `weakest`, beyond the last is `never`."""
    if place < 0:
        return Reached("weakest", float(strengths[0]))
    if place > len(strengths) - 1:
        return Reached("never", float(strengths[-1]))
    if place == int(place):
        return Reached("at", float(strengths[int(place)]))
    even = np.log(strengths) if (strengths > 0).all() else strengths
    between = np.interp(place, np.arange(len(even)), even)
    return Reached("at", float(np.exp(between) if (strengths > 0).all() else between))
