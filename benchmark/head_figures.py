"""Figures of whole heads: means over people, with intervals, and which of them stand in leaderboards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pandas as pd

from refbench.errors import PluginError
from refbench.labels import plugin_name
from refbench.metrics.head_metrics.base import HeadMetric
from refbench.registry import Registry
from refbench.statistics import bootstrap_weights, interval, mean, per_subject

SERIES = ["anonymizer", "attacker", "seed", "condition", "metric", "figure"]

Named = tuple[str, str]
"""A metric's label, and one of its figures."""


def head_figures(heads: pd.DataFrame) -> pd.DataFrame:
    """The mean over people of every figure in every condition.

    Args:
        heads: one row per head and figure, see `refbench.face_tables`.

    Returns:
        Columns: those of `SERIES`, people (those with a value), value, low, high.
    """
    if heads.empty:
        return pd.DataFrame(columns=[*SERIES, "people", "value", "low", "high"])
    wide = per_subject(heads, SERIES)
    values = wide.to_numpy(dtype=np.float64)
    low, high = interval(values, bootstrap_weights(wide.index.get_level_values("site").to_numpy()))
    return pd.DataFrame(
        [
            {
                **dict(zip(SERIES, series, strict=True)),
                "people": int(np.isfinite(values[:, number]).sum()),
                "value": mean(values[:, number]),
                "low": low[number],
                "high": high[number],
            }
            for number, series in enumerate(wide.columns)
        ]
    )


def headlines(figures: Sequence[Named]) -> list[Named]:
    """Those that stand in leaderboards: the first headline of every metric, then the second ones, and so on.

    Which they are is said by the metrics; of a metric that is not installed here all figures are.
    """
    of_metric: dict[str, list[str]] = {}
    for metric, figure in figures:
        of_metric.setdefault(metric, []).append(figure)
    chosen = [
        [(metric, figure) for figure in _headline(metric, there) if figure in there]
        for metric, there in of_metric.items()
    ]
    return [named for together in zip_longest(*chosen) for named in together if named]


def _headline(metric: str, figures: Sequence[str]) -> Sequence[str]:
    try:
        plugin = Registry.discover().find("head_metric", plugin_name(metric)).load()
    except PluginError:
        return figures
    return plugin.headline if issubclass(plugin, HeadMetric) else figures
