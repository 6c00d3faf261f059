"""Measures how far phantoms are like real heads; puts the table into docs/phantoms.md.

    python benchmarks/phantom_realism.py FOLDER [--heads 30]

FOLDER holds real IXI heads with brain regions, as the dataset `ixi` reads them. Phantoms are made at half of IXI's
voxels a side and, like the real heads, measured on a grid of 2 mm. Of the real people nothing but the figures is
written. Nothing between the markers is ever typed.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import insert, table
from numpy.typing import NDArray
from realism_faces import face_confidence
from realism_measures import between, detail, histogram, intensities

from refbench.anonymizers.brain import deepbet_brain
from refbench.datasets.base import Dataset
from refbench.datasets.ixi import IXI
from refbench.datasets.phantom import Phantom
from refbench.errors import DataError
from refbench.provenance import environment
from refbench.types import Head, Mask

DOCUMENT = Path(__file__).parents[1] / "docs" / "phantoms.md"
BEGIN, END = "<!-- realism: benchmarks/phantom_realism.py -->\n", "<!-- end of realism -->"
SCALE = 0.5
SEEN_AT_LEAST, DICE_AT_LEAST = 0.9, 0.9


@dataclass(frozen=True)
class Cohort:
    """What was measured of some heads.

    Attributes:
        straight, seen: heads in which a face is seen from straight ahead; from any of the views.
        figures: of each head, by name. histograms: shares of intensities, a row per head.
    """

    name: str
    straight: int
    seen: int
    figures: dict[str, NDArray[np.float64]]
    histograms: NDArray[np.float64]

    @property
    def heads(self) -> int:
        """How many."""
        return len(self.histograms)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="real IXI heads and their brain regions")
    parser.add_argument("--heads", type=int, default=30, help="how many of each cohort")
    options = parser.parse_args()
    real = IXI(path=options.folder)
    if "brain" not in real.label_names():
        sys.exit(f"{options.folder}: no brain regions beside the heads; the Dice coefficient needs them")
    phantoms, varied = (
        Phantom(subjects=options.heads, scale=SCALE, scanners=scanners) for scanners in ("sites", "varied")
    )
    named = {"phantoms": phantoms, "real heads": real, "phantoms, varied scanners": varied}
    text = report(*(measure(name, dataset, options.heads) for name, dataset in named.items()))
    print(text)
    insert(DOCUMENT, BEGIN, END, f"\n{text}\n\n")


def measure(name: str, dataset: Dataset, count: int) -> Cohort:
    """Look at some heads, evenly spread over the cohort."""
    straight = seen = 0
    rows, histograms = [], []
    for head in _heads(dataset, count):
        confidence = face_confidence(head)
        straight += confidence[0] is not None
        seen += confidence[-1] is not None
        dice = _dice(head)
        rows.append({"Dice of deepbet's brain": dice, **intensities(head), **detail(head)})
        histograms.append(histogram(head))
        print(f"{name} {len(rows)}: faces {confidence}, Dice {dice:.3f}", file=sys.stderr)
    figures = {figure: np.array([row[figure] for row in rows]) for figure in rows[0]}
    return Cohort(name, straight, seen, figures, np.array(histograms))


def _heads(dataset: Dataset, count: int) -> Iterator[Head]:
    scans = dataset.scans()
    step = max(1, len(scans) // count)
    return (dataset.load(scan) for scan in scans[: count * step : step])


def _dice(head: Head) -> float:
    """Overlap of deepbet's brain with the label, 0-1; 0 where it finds none."""
    try:
        found = deepbet_brain(head)
    except DataError:
        return 0.0
    truth: Mask = head.labels["brain"]
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def report(phantoms: Cohort, real: Cohort, varied: Cohort) -> str:
    """Machine, date, table, and what differs."""
    cohorts = (phantoms, varied, real)
    machine = environment()
    header = ["", *(f"{cohort.name} ({cohort.heads})" for cohort in cohorts)]
    rows = [
        ["a face is seen", *(_share(c.seen, c.heads) for c in cohorts)],
        ["of these from straight ahead", *(_share(c.straight, c.heads) for c in cohorts)],
        ["Dice of deepbet's brain, minimum", *(f"{c.figures[_DICE].min():.3f}" for c in cohorts)],
        *([name, *(_spread(c.figures[name]) for c in cohorts)] for name in real.figures),
        [
            "intensities: distance to the real heads",
            *(f"{_distance(c, real):.3f}" for c in (phantoms, varied)),
            _halves(real),
        ],
    ]
    measured = f"Measured on {datetime.date.today()}, {machine['cpu']}, {machine['cores']} cores."
    goals = f"{_goal(phantoms)}\n{_goal(varied)}"
    return "\n\n".join([measured, table(header, rows), goals, _differences(phantoms, real)])


_DICE = "Dice of deepbet's brain"


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})"


def _spread(values: NDArray[np.float64]) -> str:
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def _distance(one: Cohort, other: Cohort) -> float:
    return between(one.histograms.mean(axis=0), other.histograms.mean(axis=0))


def _halves(real: Cohort) -> str:
    """What the distance is between people of one cohort."""
    halves = (real.histograms[start::2].mean(axis=0) for start in (0, 1))
    return f"{between(*halves):.3f} between its halves"


def _goal(cohort: Cohort) -> str:
    faces, dice = cohort.seen / cohort.heads, float(np.median(cohort.figures[_DICE]))
    met = faces >= SEEN_AT_LEAST and dice >= DICE_AT_LEAST
    return (
        f"Goal for the {cohort.name} (a face seen in {SEEN_AT_LEAST:.0%}, median Dice {DICE_AT_LEAST}): "
        f"{'met' if met else 'missed'} with {faces:.0%} and {dice:.3f}."
    )


def _differences(phantoms: Cohort, real: Cohort) -> str:
    """Figures in which most phantoms are unlike nearly all real heads."""
    unlike = []
    for name, values in real.figures.items():
        low, high = np.percentile(values, [5, 95])
        middle = float(np.median(phantoms.figures[name]))
        if not low <= middle <= high:
            unlike.append(f"{name} ({'lower' if middle < low else 'higher'}: {middle:.3f})")
    said = "; ".join(unlike) or "none"
    return f"Figures whose median over phantoms lies outside the middle 90 % of the real heads: {said}."


if __name__ == "__main__":
    main()
