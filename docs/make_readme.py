"""Runs the demo suite; puts its printed leaderboards into README.md and results.md, and a picture of its phantoms.

`make readme` calls it. Nothing between the markers is ever typed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refbench.cell_plan import Cell
from refbench.leaderboard import View, build_leaderboard
from refbench.plan import Plan, build_plan
from refbench.results import Run, load_run, run_folder
from refbench.store import Store, default_store
from refbench.suite import load_suite

ROOT = Path(__file__).resolve().parents[1]
SUITE = ROOT / "suites" / "demo.yaml"
PICTURE = ROOT / "docs" / "demo.png"
GAP = 4


def main() -> None:
    """Run, picture, text."""
    command = [sys.executable, "-m", "refbench"]
    subprocess.run([*command, "run", str(SUITE)], cwd=ROOT, check=True)
    store = Store(ROOT / default_store())
    suite = load_suite(str(SUITE))
    run = load_run(run_folder(suite, store))
    boards = [
        subprocess.run(
            [*command, "leaderboard", run.folder.name, *options], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.rstrip()
        for options in ([], ["--region", "changed", "--metric", "correlation", "--attackers"])
    ]
    draw(build_plan(suite, store), run, store).save(PICTURE)
    _insert(ROOT / "README.md", "leaderboard", boards[0])
    _insert(ROOT / "docs" / "results.md", "attackers", boards[1])


def _insert(file: Path, name: str, board: str) -> None:
    begin, end = f"<!-- {name}: make readme -->\n", f"<!-- end of {name} -->"
    before, rest = file.read_text().split(begin)
    lines = "\n".join(line.rstrip() for line in board.splitlines())
    file.write_text(f"{before}{begin}```\n{lines}\n```\n{rest[rest.index(end) :]}")


def draw(plan: Plan, run: Run, store: Store) -> Image.Image:
    """A row per anonymizer: original, released, reconstructed by the strongest attack, what is still wrong.

    The slice is the middle one of the test person whose score is the median under that attack: never a picked one.
    """
    rows = [_row(plan, cell, run, store) for cell in _strongest(plan, run)]
    return Image.fromarray(np.vstack(rows))


def _strongest(plan: Plan, run: Run) -> list[Cell]:
    board = build_leaderboard([run], View(region="changed")).rows.set_index("anonymizer")
    cells = []
    for number, hidden in enumerate(plan.suite.anonymizers):
        if hidden.name in ("blur", "pydeface"):
            attacker = board.loc[hidden.label, "attacker"]
            cells += [
                cell for cell in plan.cells if cell.anonymizer == number and cell.attack.label(plan.suite) == attacker
            ]
    return cells


def _row(plan: Plan, cell: Cell, run: Run, store: Store) -> NDArray[np.uint8]:
    hidden, attacker = plan.suite.anonymizers[cell.anonymizer], plan.suite.attackers[cell.attack.attacker]
    scores = run.scores[
        (run.scores["anonymizer"] == hidden.label)
        & (run.scores["attacker"] == attacker.label)
        & (run.scores["region"] == "changed")
        & (run.scores["metric"] == "correlation")
    ]
    means = scores.groupby("subject")["value"].mean().sort_values()
    median = means.index[len(means) // 2]
    tested = plan.tested[cell.anonymizer]
    place = next(i for i, item in enumerate(tested) if item.scan.subject == median)
    count = plan.suite.file.slices.count
    folder = store.folder(tested[place].slices[cell.anonymizer].key)
    original, released = (np.load(folder / f"{name}.npy")[count // 2] for name in ("original", "anonymized"))
    rebuilt = np.load(store.folder(cell.reconstruct.key) / "reconstructed.npy")[place * count + count // 2]
    tiles = [original, released, rebuilt, np.abs(rebuilt - original)]
    enlarged = [np.kron(tile, np.ones((3, 3))) for tile in tiles]
    padded = [np.pad(tile, GAP, constant_values=1) for tile in enlarged]
    return np.round(np.hstack(padded) * 255).astype(np.uint8)


main()
