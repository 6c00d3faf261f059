"""The figures of every test subject, for the page's scripts to draw: the subject is the unit of all statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from refbench.merge import SERIES
from refbench.statistics import per_subject

DECIMALS = 4
"""Of these figures only; all others of the page are whole."""


def people_data(scores: pd.DataFrame) -> dict[str, Any]:
    """All series of scores over subjects.

    Returns:
        `decimals`; `people`: [name, site]; `series`: anonymizer, attacker, seed, condition, region and metric, and
        `values` in the order of the people, in units of the last decimal, null where undefined.
    """
    wide = per_subject(scores, SERIES)
    values = wide.to_numpy(dtype=np.float64) * 10**DECIMALS
    return {
        "decimals": DECIMALS,
        "people": [[str(subject), str(site)] for site, subject in wide.index],
        "series": [
            {
                **{name: str(part) for name, part in zip(SERIES, series, strict=True)},
                "values": [round(value) if math.isfinite(value) else None for value in values[:, number]],
            }
            for number, series in enumerate(wide.columns)
        ],
    }
