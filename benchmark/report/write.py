"""Writes the report of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from refbench.leaderboard import Leaderboard, build_leaderboard, default_view
from refbench.report.board import board_table
from refbench.report.page import render_page
from refbench.results import Run
from refbench.store import Store, write_text

FILE = "report.html"


def write_report(run: Run, target: Path, store: Store | None, *, faces: bool = False) -> None:
    """Write a run's report, one HTML file that needs nothing else."""
    boards = _boards(run)
    page = render_page("report.html", run=run, tables=[board_table(board) for board in boards])
    write_text(target, page)


def _boards(run: Run) -> list[Leaderboard]:
    """A leaderboard for every region, the paper's first."""
    view = default_view(run)
    regions = dict.fromkeys([view.region, *run.scores["region"]])
    return [build_leaderboard([run], replace(view, region=region, attackers=True)) for region in regions]
