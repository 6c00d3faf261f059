"""Does a metric of whole heads keep its contract? It measures a phantom: as it is, and without its face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from numbers import Real

import numpy as np

from refbench.anonymizers.face_surface import facial_skin
from refbench.datasets.phantom_scan import make_head
from refbench.errors import DataError
from refbench.geometry import otsu_threshold
from refbench.jobs.measure import parts_of, skin_of
from refbench.metrics.head_metrics.base import HeadMetric, HeadPair, Skin
from refbench.testing import Attempt, Check, found
from refbench.types import Head, Mask

SCALE = 0.25
"""Of the phantom that is measured: voxels of 4 mm keep a check at seconds."""

RUNS = "measures a head without its face: a number or NaN for each of its figures, and for no other"
DECLARED = "says what each figure is, and which stand in leaderboards"
INPUT = "leaves the heads it is given alone"
SAME = "gives the same each time it is asked"
ITSELF = "measures a head against itself"
UNLABELLED = "measures heads whose brain nobody labelled"
NOTHING = "measures what is no head any more, or says by a DataError that it cannot"


def check_head_metric(metric: HeadMetric) -> Iterator[Check]:
    """Try a metric of whole heads on a phantom, rule by rule.

    Yields:
        one check per rule, as soon as it is known. When the first fails the others are not tried.
    """
    first = Attempt.at(lambda: metric.measure(_faceless()))
    problem = first.problem or found(lambda: _other_figures(metric, first.made))
    yield Check(RUNS, problem)
    if problem or first.made is None:
        return
    figures = first.made
    yield Check(DECLARED, found(lambda: _undeclared(metric)))
    yield Check(INPUT, found(lambda: _written(metric)))
    yield Check(SAME, found(lambda: _random(metric, figures)))
    yield Check(ITSELF, found(lambda: _other_figures(metric, metric.measure(_pair(_phantom())))))
    unlabelled = replace(_faceless(), labelled_brain=None)
    yield Check(UNLABELLED, found(lambda: _other_figures(metric, metric.measure(unlabelled))))
    yield Check(NOTHING, found(lambda: _lost(metric)))


def measured(metric: HeadMetric) -> str:
    """What stands in leaderboards of a phantom without its face, and of one that is as it was, in a sentence."""
    without, itself = (metric.measure(pair) for pair in (_faceless(), _pair(_phantom())))
    figures = (f"{name} {without[name]:.3g} ({itself[name]:.3g} as it was)" for name in metric.headline)
    return f"On a phantom without its face: {', '.join(figures)}"


@lru_cache(maxsize=1)
def _phantom() -> Head:
    """The head that is measured, voxels write-protected, with labels."""
    head = replace(make_head({"seed": 0, "person": 1, "session": 1, "site": "Guys", "scale": SCALE}), subject="phantom")
    head.voxels.setflags(write=False)
    return head


def _faceless(*, writable: bool = False) -> HeadPair:
    head = _phantom()
    voxels = np.where(head.labels["face"], np.float32(0), head.voxels)
    voxels.setflags(write=False)
    return _pair(head.with_voxels(voxels), writable=writable)


def _pair(candidate: Head, *, writable: bool = False) -> HeadPair:
    """Neither head carries labels, as in a run. Brains are the true one, as far as there is tissue."""
    labelled = _phantom()
    original, candidate = (
        replace(head, labels={}, voxels=head.voxels.copy() if writable else head.voxels)
        for head in (labelled, candidate)
    )
    brain = labelled.labels["brain"]
    tissue = otsu_threshold(labelled.voxels) / 2
    skin = facial_skin(labelled, labelled.labels)

    def find_brain(head: Head) -> Mask:
        left: Mask = brain & (head.voxels > tissue)
        if not left.any():
            raise DataError("no brain was found")
        return left

    def find_skin(head: Head) -> Skin:
        return parts_of(skin) if head is original else skin_of(head, skin)

    return HeadPair(original, candidate, brain.copy() if writable else brain, find_brain, find_skin)


def _other_figures(metric: HeadMetric, made: Mapping[str, float] | None) -> str:
    if not isinstance(made, Mapping):
        return f"it must give a mapping of its figures to numbers, not {type(made).__name__}"
    if set(made) != set(metric.figures):
        return f"its class names {', '.join(metric.figures)}; it gave {', '.join(map(str, made)) or 'nothing'}"
    for name, value in made.items():
        if not isinstance(value, Real) or np.isinf(float(value)):
            return f"{name} is {value!r}; give a number, or NaN where it is undefined"
    return ""


def _undeclared(metric: HeadMetric) -> str:
    unknown = [name for name in metric.headline if name not in metric.figures]
    if isinstance(metric.headline, str) or unknown or not metric.headline:
        return f"`headline` must be a tuple of some of {', '.join(metric.figures)}, not {metric.headline!r}"
    silent = [name for name, what in metric.figures.items() if not isinstance(what, str) or not what.strip()]
    return f"`figures` says nothing of {', '.join(silent)}" if silent else ""


def _written(metric: HeadMetric) -> str:
    kept, own = _faceless(), _faceless(writable=True)
    metric.measure(own)
    for name in ("original", "candidate"):
        if not np.array_equal(getattr(own, name).voxels, getattr(kept, name).voxels):
            return f"it wrote into the voxels of the {name}; copy before writing"
    same = own.labelled_brain is not None and np.array_equal(own.labelled_brain, _phantom().labels["brain"])
    return "" if same else "it wrote into the labelled brain; copy before writing"


def _random(metric: HeadMetric, figures: Mapping[str, float]) -> str:
    again = metric.measure(_faceless())
    differ = [name for name, value in figures.items() if not np.array_equal(again[name], value, equal_nan=True)]
    return f"{', '.join(differ)} differ between two calls; use no random numbers, or seed them" if differ else ""


def _lost(metric: HeadMetric) -> str:
    head = _phantom()
    try:
        made = metric.measure(_pair(head.with_voxels(np.zeros_like(head.voxels))))
    except DataError:
        return ""
    return _other_figures(metric, made)
