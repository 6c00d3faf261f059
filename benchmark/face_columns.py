"""What a leaderboard says of faces and heads: who is recognised, and what hiding cost.

Of each condition the strongest recognizer counts. Runs without these tables have none of these columns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from refbench.head_figures import Named, head_figures
from refbench.identification import rank_figures, strongest
from refbench.labels import NOTHING_HIDDEN, plugin_name
from refbench.plots.series import BASELINE
from refbench.results import NO_ATTACK, Run
from refbench.statistics import UNDEFINED, Estimate
from refbench.trials import Condition, Trial, trials

RANK1 = "rank1"
"""What ranks by it is called, as metrics are."""

KNOWN = 0.95
"""A recognizer that finds less than this share of the originals, moved, cannot judge who hides them."""


@dataclass(frozen=True)
class Recognized:
    """How many are found first, and by which recognizer."""

    recognizer: str
    rank1: Estimate


@dataclass(frozen=True)
class FaceFigures:
    """Figures by anonymizer, attacker, seed and condition.

    Attributes:
        recognized: by the strongest recognizer.
        measured: figures of head metrics, in the order of their table.
        figures: of head metrics, all there are.
        notes: what must be known to read them.
    """

    recognized: Mapping[Condition, Recognized] = field(default_factory=dict)
    measured: Mapping[Condition, Mapping[Named, Estimate]] = field(default_factory=dict)
    figures: tuple[Named, ...] = ()
    notes: tuple[str, ...] = ()

    def strength(self, anonymizer: str, attacker: str, seed: int) -> float:
        """Share of people found after an attack; below 0 where it is not known."""
        found = _of(self.recognized, anonymizer, attacker, seed, "reconstructed")
        return found.rank1.value if found else -1.0

    def columns(self, anonymizer: str, attacker: str, seed: int) -> dict[str, Any]:
        """Of a row of a leaderboard: CONDITION_rank1, CONDITION_recognizer, CONDITION_METRIC_FIGURE, with intervals."""
        row: dict[str, Any] = {}
        for condition, whose in (("anonymized", (NO_ATTACK, 0)), ("reconstructed", (attacker, seed))):
            if self.recognized:
                found = _of(self.recognized, anonymizer, *whose, condition)
                row |= (found.rank1 if found else UNDEFINED).columns(f"{condition}_{RANK1}")
                row[f"{condition}_recognizer"] = found.recognizer if found else ""
            measured = _of(self.measured, anonymizer, *whose, condition) or {}
            for metric, figure in self.figures:
                own = measured.get((metric, figure), UNDEFINED)
                row |= own.columns(head_column(condition, metric, figure))
        return row


def head_column(condition: str, metric: str, figure: str) -> str:
    """The name of a column of a head metric's figure."""
    return f"{condition}_{metric}_{figure}"


def face_figures(runs: Sequence[Run]) -> FaceFigures:
    """Of runs that are ranked together; what several of them hold is taken from the first."""
    best: dict[Condition, Trial] = {}
    measured: dict[Condition, dict[Named, Estimate]] = {}
    for run in runs:
        best = strongest(trials(run.identification)) | best
        own: dict[Condition, dict[Named, Estimate]] = {}
        for row in head_figures(run.heads).to_dict("records"):
            condition = row["anonymizer"], row["attacker"], row["seed"], row["condition"]
            own.setdefault(condition, {})[row["metric"], row["figure"]] = Estimate(
                row["value"], row["low"], row["high"]
            )
        measured = own | measured
    recognized = {
        condition: Recognized(trial.recognizer, rank_figures(trial)[RANK1]) for condition, trial in best.items()
    }
    figures = tuple(dict.fromkeys(named for own_figures in measured.values() for named in own_figures))
    return FaceFigures(recognized, measured, figures, tuple(_notes(recognized, list(best.values()))))


def figure_text(value: float) -> str:
    """A figure of a head as printed everywhere: three digits that count, and no more than three decimals."""
    if not math.isfinite(value):
        return "–"
    before = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value:.{min(max(3 - before, 0), 3)}f}"


def rank1_text(row: pd.Series[Any], condition: str) -> str:
    """Of a row of a leaderboard: `62 % [48, 75]`."""
    name = f"{condition}_{RANK1}"
    value, low, high = (float(row.get(f"{name}{end}", math.nan)) for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return "–"
    return f"{100 * value:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def percent(share: float) -> str:
    """A share of people as printed everywhere."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def _notes(recognized: Mapping[Condition, Recognized], shown: Sequence[Trial]) -> list[str]:
    if not shown:
        return []
    probes, galleries = (sorted({trial.similarities.shape[axis] for trial in shown}) for axis in (0, 1))
    counts = Counter(found.recognizer for found in recognized.values())
    who = ", ".join(f"{name} ({count})" if len(counts) > 1 else name for name, count in counts.most_common())
    lines = [
        f"rank-1: share of people found first among {_range(galleries)} original faces, by the strongest recognizer "
        f"of each line: {who}. {_range(probes)} probes; chance {percent(1 / galleries[-1])}. {_probes(shown)}"
    ]
    released = [found for key, found in recognized.items() if key[0] == NOTHING_HIDDEN and key[3] == "anonymized"]
    if not released:
        lines.append(
            f"Without the anonymizer `{NOTHING_HIDDEN}` it is not known whether recognizers know the originals: add it "
            "before a low rank-1 is taken for safety."
        )
    elif (known := max(found.rank1.value for found in released)) < KNOWN:
        lines.append(
            f"Warning: the strongest recognizer finds only {percent(known)} of the originals themselves (at least "
            f"{percent(KNOWN)} is wanted). It cannot judge an anonymizer: a low rank-1 here is no sign of safety."
        )
    return lines


def _probes(shown: Sequence[Trial]) -> str:
    moved = [trial.moved for trial in shown]
    if min(moved) == 1:
        return "Probes are of the very scan in the gallery, tilted, turned and with noise: no second sessions."
    if max(moved) == 0:
        return "Probes are of other sessions than the gallery."
    return (
        f"{percent(sum(moved) / len(moved))} of the probes are of the very scan in the gallery, moved; the others of "
        "other sessions."
    )


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _of(figures: Mapping[Condition, Any], anonymizer: str, attacker: str, seed: int, condition: str) -> Any:
    """Figures of a condition; what no attack gives back is what was released, where it was not looked at again."""
    found = figures.get((anonymizer, attacker, seed, condition))
    if found is None and plugin_name(attacker) == BASELINE:
        return figures.get((anonymizer, NO_ATTACK, 0, "anonymized"))
    return found
