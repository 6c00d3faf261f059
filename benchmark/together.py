"""What an adversary gains who holds several probes of one person: visits, or releases by two anonymizers.

The natural log likelihood ratios of all probes are added, face by face of the gallery; a probe that cannot be compared
adds nothing. Were the probes independent given the person, the sum would be the ratio of all of them together. They are
not (one scan, one head), so it is no calibrated ratio: it ranks faces, and figures that only look at their order hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import pandas as pd

from refbench.identification import RANKS, pair_figures, rank_figures, strength, strongest
from refbench.labels import CONTROLS, NOTHING_HIDDEN, knowledge, plugin_name
from refbench.plots.series import BASELINE
from refbench.trials import SERIES, Trial, trials

OF_PAIRS = ("eer",)
FIGURES = (*RANKS, *OF_PAIRS)
"""Those that look at nothing but the order of similarities."""

ALSO = [f"also_{name}" for name in SERIES]
"""The second release; empty, and seed 0, where visits of one release are held."""

WHO = ["site", "subject"]
VISIT = [*WHO, "session"]


def single_releases(table: pd.DataFrame) -> pd.DataFrame:
    """Without controls, and without attacks that hold two releases themselves."""
    held = table["attacker"].map(knowledge).str.startswith(" given also")
    return table[~held & ~table["anonymizer"].isin(set(CONTROLS) - {NOTHING_HIDDEN})]


def figures_together(table: pd.DataFrame) -> pd.DataFrame:
    """Figures of several probes of each person, beside those of the best of them alone.

    Of every condition, the visits of those who are looked for by more than one, by the recognizer that is the strongest
    on single ones. Of every two anonymizers that hide something, both releases of each visit, and what the strongest
    attack on each gave back, each by its strongest recognizer.

    Args:
        table: similarities, see `refbench.face_tables`.

    Returns:
        Columns: held (`visits` or `releases`), those of `SERIES` and of `ALSO`, probes (the most held of one person's
        visits or releases), people, gallery, chance; single (which probe is the best alone: `visit 1`, .. or the
        anonymizer); each of `FIGURES` of the sum, and as `single_...` of the best alone, with `_low` and `_high`.
    """
    conditions = dict(iter(table.groupby(SERIES, sort=False, observed=True))) if len(table) else {}
    best = list(strongest(trials(table)).values())
    rows = [row for trial in best for row in _visits(conditions[_series(trial)])]
    for first, second in _pairs(best):
        rows += _releases(conditions[_series(first)], conditions[_series(second)])
    ends = [f"{of}{figure}{end}" for of in ("single_", "") for figure in FIGURES for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["held", *SERIES, *ALSO, *ABOUT, *ends])


ABOUT = ["probes", "people", "gallery", "chance", "single"]


def summed(table: pd.DataFrame, probe: Sequence[str]) -> pd.DataFrame:
    """Make one probe of all rows that agree in some columns: similarities are added, NaN is 0 unless all are.

    Args:
        table: similarities, see `refbench.face_tables`.
        probe: columns that tell one probe from another.

    Returns:
        As `table`; other columns, which should be the same in all rows of a probe, are those of the first.
    """
    groups = table.groupby([*probe, "gallery"], sort=False, observed=True)
    sums = groups["similarity"].sum(min_count=1)
    return groups.first().assign(similarity=sums).reset_index()[list(table.columns)]


def _visits(own: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Of those who are looked for by more than one visit; nothing where nobody is."""
    number = own.groupby(WHO)["session"].transform(lambda sessions: pd.factorize(sessions, sort=True)[0])
    count = number.groupby([own[name] for name in WHO]).transform("max") + 1
    several = own[count > 1]
    if several.empty:
        return
    singles = {f"visit {one + 1}": several[number[count > 1] == one] for one in range(int(count[count > 1].min()))}
    yield from _row("visits", summed(several.assign(session="all"), WHO), singles, int(count.max()))


def _releases(first: pd.DataFrame, second: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Of visits that are in both; nothing where none is."""
    shared = first[VISIT].drop_duplicates().merge(second[VISIT].drop_duplicates())
    both = [own.merge(shared) for own in (first, second)]
    singles = {f"{own.iloc[0]['anonymizer']}": own for own in both if len(own)}
    if singles:
        also = dict(zip(ALSO, second.iloc[0][SERIES], strict=True))
        for row in _row("releases", summed(pd.concat(both), VISIT), singles, len(both)):
            yield {**row, **also}


def _row(
    held: str, together: pd.DataFrame, singles: dict[str, pd.DataFrame], probes: int
) -> Iterator[dict[str, object]]:
    """Nothing where nobody's own face is in the gallery."""
    alone = {name: trial for name, own in singles.items() for trial in trials(own)}
    for trial in trials(together.assign(**{name: together.iloc[0][name] for name in SERIES})):
        best = max(alone, key=lambda name: strength(alone[name]))
        yield {
            "held": held,
            **dict(zip(SERIES, (*trial.condition, trial.recognizer), strict=True)),
            **dict(zip(ALSO, ("", "", 0, "", ""), strict=True)),
            "probes": probes,
            "people": len(trial.people),
            "gallery": len(trial.face),
            "chance": trial.chance,
            "single": best,
            **_columns(alone[best], "single_"),
            **_columns(trial, ""),
        }


def _pairs(best: Sequence[Trial]) -> Iterator[tuple[Trial, Trial]]:
    """Of every two anonymizers what was released; then what the strongest attack on each gave back, if there is one."""
    names = dict.fromkeys(trial.condition[0] for trial in best if trial.condition[0] != NOTHING_HIDDEN)
    for pair in combinations(names, 2):
        for condition in ("anonymized", "reconstructed"):
            of_both = [[trial for trial in best if trial.condition[::3] == (name, condition)] for name in pair]
            if all(of_both):
                first, second = (max(own, key=strength) for own in of_both)
                if {plugin_name(trial.condition[1]) for trial in (first, second)} != {BASELINE}:
                    yield first, second


def _series(trial: Trial) -> tuple[str, str, int, str, str]:
    return (*trial.condition, trial.recognizer)


def _columns(trial: Trial, prefix: str) -> dict[str, float]:
    figures = {**rank_figures(trial), **pair_figures(trial, OF_PAIRS)}
    return {column: value for name in FIGURES for column, value in figures[name].columns(f"{prefix}{name}").items()}
