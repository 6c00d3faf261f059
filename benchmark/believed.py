"""A run without what must not be believed: what figures are drawn of, and baselines are made of."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from refbench.leaderboard import default_view
from refbench.results import Run
from refbench.verdicts import CHECKS, trust_in_all

CELL = ["anonymizer", "attacker", "seed"]


def believed(run: Run) -> Run:
    """Leave out attacks that fail their controls, and those that are controls on other anonymizers' releases."""
    if "control" not in run.cells or run.scores.empty:
        return run
    view = default_view(run)
    hidden = set(trust_in_all([run.scores], run.cells, view.region, view.by).untrusted)
    checks = run.cells[run.cells["control"].isin(CHECKS)]
    hidden |= set(checks[CELL].itertuples(index=False, name=None))

    def without(table: pd.DataFrame) -> pd.DataFrame:
        if table.empty:
            return table
        series = table[CELL].drop_duplicates()
        out = series[[cell in hidden for cell in series.itertuples(index=False, name=None)]]
        return table[~pd.MultiIndex.from_frame(table[CELL]).isin(pd.MultiIndex.from_frame(out))] if len(out) else table

    tables = (run.scores, run.cells, run.identification, run.heads)
    scores, cells, identification, heads = map(without, tables)
    return replace(run, scores=scores, cells=cells, identification=identification, heads=heads)
