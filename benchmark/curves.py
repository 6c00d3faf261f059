"""How the trainings of a run went: the curve of every attacker's validations, as a table and as a chart."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from refbench.errors import StoreError
from refbench.plots.curves import draw_curves
from refbench.plots.style import style, to_bytes
from refbench.results import Run
from refbench.store import Store, write_atomically

FILE = "curves.svg"


@dataclass(frozen=True)
class Curve:
    """The validations of one training.

    Attributes:
        attacker: its label, with the seed where a run has several.
        score: what was measured, as `ssim in changed`.
        points: (step, score), where the score is defined. best: the step whose network was kept; None for the last.
        steps: how many were done. pace: in which numbers, and how else, they were computed.
    """

    attacker: str
    anonymizer: str
    score: str
    points: tuple[tuple[int, float], ...]
    best: int | None
    steps: int | None
    pace: str

    @property
    def best_score(self) -> float | None:
        """The score of the network that was kept."""
        return dict(self.points).get(-1 if self.best is None else self.best)


def training_curves(run: Run, store: Store) -> list[Curve]:
    """The curves of all trainings of a run that were validated, in the order of its cells.

    Raises:
        StoreError: what a training left is damaged; the message names the file.
    """
    seeds = run.cells["seed"].nunique() > 1
    curves = []
    for _, cell in run.cells.iterrows():
        folder = store.folder(cell["key"])
        file = folder / "model" / "training.json"
        if not file.exists():
            continue
        told, identity = _read(file), _read(folder / "job.json")
        if not told.get("curve"):
            continue
        selection = identity["selection"]
        curves.append(
            Curve(
                attacker=f"{cell['attacker']} seed {cell['seed']}" if seeds else str(cell["attacker"]),
                anonymizer=str(cell["anonymizer"]),
                score=f"{selection['metric']['name']} in {selection['region']}",
                points=_points(told["curve"], file),
                best=told.get("best"),
                steps=told.get("steps"),
                pace=_pace(told.get("pace", {})),
            )
        )
    return curves


def curve_table(curves: Sequence[Curve]) -> Table:
    """A row for every curve, for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("attacker", "anonymizer"):
        table.add_column(name, overflow="fold")
    for name in ("steps", "best step", "best score"):
        table.add_column(name, justify="right")
    table.add_column("pace")
    for curve in curves:
        score = "–" if curve.best_score is None else f"{curve.best_score:.4f}"
        numbers = ["–" if number is None else str(number) for number in (curve.steps, curve.best)]
        # As plain text: rich would read the square brackets of a parameter as markup.
        table.add_row(*map(Text, (curve.attacker, curve.anonymizer, *numbers, score, curve.pace)))
    return table


def write_chart(run: Run, curves: Sequence[Curve]) -> Path:
    """Draw the curves, a panel for each anonymizer, into the run's folder; returns the file."""
    file = run.folder / FILE
    with style():
        write_atomically(file, to_bytes(draw_curves(run.folder.name, curves), "svg"))
    return file


def _points(curve: Any, file: Path) -> tuple[tuple[int, float], ...]:
    try:
        return tuple((int(step), float(score)) for step, score in curve if math.isfinite(score))
    except (TypeError, ValueError) as error:
        raise StoreError(f"the curve in {file} is no list of [step, score]: {error}") from error


def _pace(pace: Mapping[str, Any]) -> str:
    ways = [name.replace("_", " ") for name, used in pace.items() if used]
    return ", ".join(ways if pace.get("bfloat16") else ["float32", *ways]) if pace else "–"


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} is damaged ({error}); delete its folder and run the suite again") from error
    return content
