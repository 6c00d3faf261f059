"""What readers of a run's figures should know of what they were computed with, as notes."""

from __future__ import annotations

import pandas as pd

from refbench.slicing import SliceOptions

ROUNDED = 9
"""Decimals to which scores are compared: a metric of one value may still round it in several ways."""


def scale_notes(options: SliceOptions) -> list[str]:
    """Whether attackers were told something of the original by the way in which images are scaled."""
    if options.scale == "released":
        return []
    return [
        "attackers were told one number of the original of every scan: images are scaled by its "
        f"{options.percentile:g} percentile (slices.scale: original)"
    ]


def blind_metrics(scores: pd.DataFrame) -> dict[str, float]:
    """Metrics that do not look at what they score: they give all images one value.

    Only images that were changed tell: those with a score in the region `changed`, and in other regions those of an
    anonymizer under which some other metric tells images apart. Released and reconstructed images count alike.

    Args:
        scores: table of a run, see `refbench.results`.

    Returns:
        Label of each such metric to the value that it gives; most often its ceiling.
    """
    defined = scores.dropna(subset="value").assign(value=lambda table: table["value"].round(ROUNDED))
    values = defined.groupby(["anonymizer", "region", "metric"], sort=False)["value"].agg(["nunique", "size", "first"])
    places = values.reset_index()
    told_apart = places.groupby(["anonymizer", "region"])["nunique"].transform("max") > 1
    changed = places[(places["region"] == "changed") | told_apart]
    blind = {}
    for metric, own in changed.groupby("metric", sort=False):
        if own["size"].sum() > 1 and (own["nunique"] == 1).all() and own["first"].nunique() == 1:
            blind[str(metric)] = float(own["first"].iloc[0])
    return blind


def metric_notes(scores: pd.DataFrame) -> list[str]:
    """What readers should know of `blind_metrics`."""
    return [
        f"{metric} says nothing: it gives every image {value:g}, whatever became of it. Do not trust its figures."
        for metric, value in blind_metrics(scores).items()
    ]
