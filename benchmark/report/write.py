"""Writes the report of a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from refbench.attack_names import attack_names
from refbench.believed import believed
from refbench.differences import Differences, build_differences
from refbench.errors import RefbenchError
from refbench.face_columns import face_figures
from refbench.leaderboard import Leaderboard, View, build_leaderboard, default_view
from refbench.plots.pictures import Album, ranked_scans
from refbench.plots.series import strongest_attacks
from refbench.report import about
from refbench.report.board import board_table
from refbench.report.cells import details_ids, opened_rows, pairs
from refbench.report.failures import failed_jobs, troubled_scans
from refbench.report.figures import page_figures
from refbench.report.page import asset, render_page
from refbench.report.people import people_data
from refbench.report.pictures import DIFFERENCE_WHITE, Picture, Strip, renders, strips
from refbench.report.recognition import recognition
from refbench.report.verdict import verdict
from refbench.report.volumes import Volumes, phantom_volumes
from refbench.report.words import GLOSSARY
from refbench.results import Run
from refbench.run_jobs import WARNING, job_keys, shows_real_people
from refbench.sharing.read import is_bundled
from refbench.store import Store, write_text

FILE = "report.html"
VIEWER = "niivue-0.69.0.umd.js"
PICTURED_METRICS = 2


def write_report(run: Run, target: Path, store: Store | None, *, faces: bool = False, home: str = "") -> None:
    """Write a run's report: one HTML file that needs nothing else.

    Args:
        run: its tables.
        target: the file.
        store: where its images and failures lie; None: the tables are all there is, and no image is drawn.
        faces: draw real people, too; of phantoms images are always drawn, if there is a store.
        home: where a link back goes, for a page of several.

    Raises:
        RefbenchError: the run has neither scores nor cells, or the file cannot be written.
        StoreError: a file of the store is damaged.
    """
    if run.cells.empty:
        raise RefbenchError(f"{run.folder.name} has no cells to report on: run its suite again")
    keys = job_keys(run) if store else {}
    real = store is not None and shows_real_people(keys, store)
    scored = _scored(run, store, real=real, faces=faces) if len(run.scores) else None
    page = render_page(
        "report.html",
        scripts=("people.js", "viewer.js"),
        deferred=(VIEWER,) if scored and scored["volumes"] else (),
        viewer=VIEWER,
        viewer_licence=asset("niivue-LICENSE.txt"),
        run=run,
        scored=scored,
        real=real,
        warning=WARNING if real and faces else "",
        has_store=store is not None,
        home=home,
        bundled=is_bundled(run),
        failures=failed_jobs(run, store, keys),
        troubles=troubled_scans(run.subjects),
        provenance=about.provenance(run),
        plugins=about.plugins(run.cells),
        suite_text=about.suite_text(run),
        commands=about.commands(run),
        glossary=GLOSSARY,
        difference_white=DIFFERENCE_WHITE,
    )
    write_text(target, page)


def _scored(run: Run, store: Store | None, *, real: bool, faces: bool) -> dict[str, Any]:
    """What can be shown only of a run with scores."""
    views, boards, differences = _tables(run)
    view, ids = views[0], details_ids(boards[0])
    tables = [board_table(board, ids) for board in boards]
    drawn_of = believed(run)
    images = _Images.of(drawn_of, store, view, boards[0], real=real) if store and (faces or not real) else _Images()
    figures = page_figures(drawn_of, store, view)
    drawn = [attack.anonymizer for attack in strongest_attacks(drawn_of, view.region, view.by)]
    traces = dict(zip(drawn, (figure for figure in figures if figure.name.startswith("traces_")), strict=True))
    return {
        "view": view,
        "tables": tables,
        "sentences": verdict(boards[0], differences[0], run.cells),
        "opened": opened_rows(run, boards, tables, differences),
        "recognition": recognition(run, boards[0].faces),
        "differences": differences[0],
        "pairs": pairs(differences[0]),
        "people": people_data(run.scores),
        "figures": [figure for figure in figures if figure not in traces.values()],
        "traces": traces,
        "strips": images.strips,
        "renders": images.renders,
        "volumes": images.volumes,
    }


def _tables(run: Run) -> tuple[list[View], list[Leaderboard], list[Differences]]:
    """For every region, the paper's first: the view, the leaderboard of every attack, the differences."""
    view = default_view(run)
    views = [replace(view, region=region) for region in dict.fromkeys([view.region, *run.scores["region"]])]
    # The same figures, but text that repeats a million times is grouped six times faster as categories.
    texts = run.scores.select_dtypes(exclude="number").columns
    quick = replace(run, scores=run.scores.astype(dict.fromkeys(texts, "category")))
    faces = face_figures([quick])
    boards = [build_leaderboard([quick], replace(one, attackers=True), faces) for one in views]
    return views, boards, [build_differences([quick], one) for one in views]


@dataclass(frozen=True)
class _Images:
    """Pictures by anonymizer, with the name of the attack; renders and volumes of phantoms."""

    strips: dict[str, tuple[str, list[Strip]]] = field(default_factory=dict)
    renders: dict[str, tuple[Picture, ...]] = field(default_factory=dict)
    volumes: Volumes | None = None

    @classmethod
    def of(cls, run: Run, store: Store, view: View, board: Leaderboard, *, real: bool) -> _Images:
        """All that the store still holds; renders and volumes of phantoms only."""
        album, names = Album.open(run, store), attack_names(board)
        attacks = strongest_attacks(run, view.region, view.by)
        metrics = board.metrics[:PICTURED_METRICS]
        drawn = {
            attack.anonymizer: (names[attack.attacker], found)
            for attack in attacks
            if (found := strips(album, attack, view.region, metrics))
        }
        if real or not attacks:
            return cls(drawn)
        first = next((attack for attack in attacks if attack.anonymizer == board.rows["anonymizer"][0]), attacks[0])
        middle = ranked_scans(album.scans(first, view.region, view.by))["median"]
        heads = {attack.anonymizer: renders(album, attack, view.region, view.by) for attack in attacks}
        return cls(drawn, heads, phantom_volumes(store, album.keys, middle.who, list(details_ids(board)), attacks))
