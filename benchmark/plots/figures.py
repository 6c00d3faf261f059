"""The founding paper's figures from any run, and those that its tables allow beyond."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from refbench.believed import believed
from refbench.curves import training_curves
from refbench.errors import RefbenchError
from refbench.leaderboard import View, default_view
from refbench.learning import efforts
from refbench.plots import pictures, scores
from refbench.plots.curves import draw_curves
from refbench.plots.identification import People, draw_cost, draw_recognition, utilities
from refbench.plots.recovery import draw_enough, draw_learning_curves
from refbench.plots.renders import draw_renders
from refbench.plots.series import Attack, strongest_attacks, sweeps
from refbench.plots.style import save, style
from refbench.plots.utility import UTILITY_REGION, draw_utility
from refbench.registry import closest
from refbench.results import Run
from refbench.run_jobs import shows_real_people
from refbench.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "plots"
METRICS = ("correlation", "ssim")


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn; None where its images are no longer in the store."""

    name: str
    draw: Callable[[], Figure | None]


@dataclass
class Plotted:
    """Files that were written, and a sentence for each figure that was left out."""

    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def write_plots(run: Run, store: Store, out: Path, *, region: str | None = None, faces: bool = False) -> Plotted:
    """Draw every figure that this run allows, as PNG and SVG.

    Args:
        run: its tables.
        store: where its trainings and images lie.
        out: folder of the figures.
        region: where scores are looked at; the paper's if not given.
        faces: draw real people, too.

    Raises:
        RefbenchError: the run has no scores or no such region, or a file cannot be written.
    """
    if run.scores.empty:
        raise RefbenchError(f"{run.folder.name} has no scores to draw: see `refbench plan SUITE` for what failed")
    view = default_view(run)
    known = sorted(set(run.scores["region"]))
    if region is not None and region not in known:
        raise RefbenchError(f"this run has no region {region!r}{closest(region, known)}")
    plotted = Plotted()
    for drawing in drawings(believed(run), store, region or view.region, view, plotted.left_out, faces=faces):
        with style():
            figure = drawing.draw()
            if figure is None:
                plotted.left_out.append(f"{drawing.name}: its images are not in {store.root}")
                continue
            try:
                plotted.files += save(figure, out, drawing.name)
            except OSError as error:
                raise RefbenchError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    return plotted


def drawings(
    run: Run, store: Store, region: str, view: View, left_out: list[str], *, faces: bool = False
) -> Iterator[Drawing]:
    """Figures one after another; what cannot be drawn is said in `left_out`."""
    yield from score_drawings(run, region, view, left_out)
    curves = [curve for curve in training_curves(run, store) if curve.points]
    if curves:
        yield Drawing("validation", partial(draw_curves, run.folder.name, curves))
    else:
        left_out.append(f"validation curves: no training of this run in {store.root} was validated while it ran")
    if attacks := strongest_attacks(run, region, view.by):
        yield from _pictures(run, store, attacks, region, view.by, left_out, faces=faces)


def score_drawings(run: Run, region: str, view: View, left_out: list[str]) -> Iterator[Drawing]:
    """Figures of a run's tables alone; what cannot be drawn is said in `left_out`."""
    there = list(dict.fromkeys(run.scores["metric"]))
    metrics = [metric for metric in METRICS if metric in there] or there[:2]
    attacks = strongest_attacks(run, region, view.by)
    if not attacks:
        left_out.append(f"traces, differences of sites, pictures: no attack has a {view.by} in {region}")
    for number, attack in enumerate(attacks, start=1):
        yield Drawing(_file("traces", number, attack), partial(scores.draw_traces, run, attack, region, metrics))
    if attacks:
        yield Drawing("sites", partial(scores.draw_sites, run, attacks, region, metrics))
    doses = sweeps(run.cells, "anonymizer")
    for number, sweep in enumerate(doses, start=1):
        name = f"dose_{number:02}_{sweep.name}_{sweep.parameter}"
        yield Drawing(name, partial(scores.draw_dose, run, sweep, region, metrics))
        name = f"enough_{number:02}_{sweep.name}_{sweep.parameter}"
        yield Drawing(name, partial(draw_enough, run, sweep, region, metrics))
    if not doses:
        left_out.append("dose and response: no two anonymizers differ in one number only")
    shares = [sweep for sweep in sweeps(run.cells, "attacker") if sweep.parameter == "share"]
    for number, sweep in enumerate(shares, start=1):
        name = f"learning_{number:02}_{sweep.name}"
        yield Drawing(name, partial(scores.draw_learning, run, sweep, region, metrics))
    if not shares:
        left_out.append("learning curves: no attacker was trained on several shares of the people (`share`)")
    for number, sweep in enumerate(efforts(run.cells), start=1):
        name = f"recovery_{number:02}_{sweep.name}_{sweep.parameter}"
        yield Drawing(name, partial(draw_learning_curves, run, sweep, region, metrics))
    if len(run.identification):
        yield from _recognition(run, left_out)
    if region == "changed":
        left_out.append("privacy and utility: anonymizers change different pixels, so their scores there say little")
    elif attacks and UTILITY_REGION in set(run.scores["region"]):
        yield Drawing("utility", partial(draw_utility, run, attacks, region, metrics))
    else:
        left_out.append(f"privacy and utility: no release of an attacked anonymizer is scored in {UTILITY_REGION}")


def _recognition(run: Run, left_out: list[str]) -> Iterator[Drawing]:
    people, named = People(run), utilities(run)
    yield Drawing("identification", partial(draw_recognition, people))
    if named and people.released:
        yield Drawing("cost", partial(draw_cost, run, people, named))
    else:
        left_out.append("privacy and its cost: no head metric of this run tells what is left for research")


def _pictures(
    run: Run, store: Store, attacks: list[Attack], region: str, by: str, left_out: list[str], *, faces: bool
) -> Iterator[Drawing]:
    album = pictures.Album.open(run, store)
    real = shows_real_people(album.keys, store)
    if real and not faces:
        left_out.append(
            "typical results, all slices: they would show faces of real people, or of people unknown here; "
            "whoever may see them, here and nowhere else, adds --faces"
        )
        return
    for number, attack in enumerate(attacks, start=1):
        scans = album.scans(attack, region, by)
        typical = pictures.typical_scans(scans)
        draw = partial(pictures.draw_typical, album, attack, typical, by, real)
        yield Drawing(_file("typical", number, attack), draw)
        ranked = pictures.ranked_scans(scans)
        if not real:  # a slice is a slice, but these are portraits
            yield Drawing(_file("heads", number, attack), partial(draw_renders, album, attack, ranked["median"], by))
        for rank, scan in ranked.items():
            draw_all = partial(pictures.draw_slices, album, attack, rank, scan, by, real)
            yield Drawing(f"{_file('slices', number, attack)}_{rank}", draw_all)


def _file(kind: str, number: int, attack: Attack) -> str:
    label = re.sub(r"[^a-zA-Z0-9_.=-]+", "_", attack.anonymizer).strip("_")[:60]
    return f"{kind}_{number:02}_{label}"
