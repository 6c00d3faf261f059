"""Pages that show what the anonymizers of a run did: before and after, one PNG per anonymizer."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refbench.datasets.base import scan_name
from refbench.errors import DataError, RefbenchError
from refbench.jobs.anonymize import load_anonymized
from refbench.jobs.task import load_head, load_mask
from refbench.qc_page import Camera, Row, Tile, draw_page
from refbench.results import Run
from refbench.run_jobs import WARNING, job_keys, shows_real_people
from refbench.store import Store, write_atomically
from refbench.types import Head

PEOPLE, TROUBLED = 6, 4
"""How many people are drawn, evenly through the cohort; and of how many more scans on which it did not work."""

FOLDER = "qc"


def write_pages(
    run: Run, store: Store, *, faces: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Path]:
    """Write a page for every anonymizer of a run into the run's folder `qc`.

    A page shows first up to `TROUBLED` scans on which the anonymizer did not work, then `PEOPLE` people, both evenly
    through the order of the cohort: nobody is picked.

    Args:
        run: its tables say who there is and how it ended.
        store: where the heads and releases of the run lie.
        faces: draw real people, too.
        progress: hears how many of how many rows are drawn.

    Returns:
        The files, in the order of the anonymizers.

    Raises:
        RefbenchError: the heads are real people's and `faces` is False, or they do not lie in this store.
    """
    gallery = _Gallery(store, job_keys(run))
    there = run.subjects[[gallery.has_head(row) for _, row in run.subjects.iterrows()]]
    if there.empty:
        raise RefbenchError(
            f"no head of {run.folder.name} lies in {store.root}; name the store it was run in with --store, "
            "or run its suite again, with --whole where `store gc` dropped them"
        )
    real = shows_real_people(gallery.keys, store)
    if real and not faces:
        raise RefbenchError(
            f"{run.folder.name} is about real people, and pictures of their heads show their faces. "
            f"Whoever may see them, here and nowhere else, adds --faces: refbench qc {run.folder.name} --faces"
        )
    chosen = {str(label): choose(table) for label, table in there.groupby("anonymizer", sort=False)}
    total, done = sum(map(len, chosen.values())), 0
    files = []
    for number, (label, table) in enumerate(chosen.items(), start=1):
        rows = []
        for _, row in table.iterrows():
            progress(done, total)
            rows.append(gallery.draw(row))
            done += 1
        everybody = run.subjects[run.subjects["anonymizer"] == label]
        title, about = f"{label} · {run.folder.name}", _about(everybody, table)
        page = draw_page(title, about, rows, WARNING if real else "")
        stream = io.BytesIO()
        page.save(stream, format="PNG")
        name = re.sub(r"[^a-zA-Z0-9_.=-]+", "_", label).strip("_")[:80]
        files.append(run.folder / FOLDER / f"{number:02}_{name}.png")
        write_atomically(files[-1], stream.getvalue())
    progress(total, total)
    return files


def choose(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of one anonymizer's subjects to draw, those on whom it did not work first; nobody stands twice."""
    troubled = _evenly(table[table["outcome"] != "ok"], TROUBLED)
    people = _evenly(table.drop_duplicates("subject"), PEOPLE)
    return pd.concat([troubled, people.drop(troubled.index, errors="ignore")])


def _evenly(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` rows, the first and the last among them, the others evenly between."""
    places = np.unique(np.round(np.linspace(0, len(table) - 1, min(count, len(table)))).astype(int))
    return table.iloc[places]


def _about(everybody: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    counts = everybody["outcome"].value_counts()
    troubled, drawn = (int((table["outcome"] != "ok").sum()) for table in (everybody, shown))
    return [
        f"{len(everybody)} scans: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()),
        (f"Drawn: {drawn} of {troubled} scans on which it did not work, then " if troubled else "Drawn: ")
        + "people evenly through the cohort; nobody is picked. "
        "Planes, grey values and the threshold of the skin are the original's.",
    ]


def _who(row: pd.Series[Any]) -> str:
    return scan_name(str(row["subject"]), str(row["session"]))


def _caption(row: pd.Series[Any]) -> str:
    outcome, note = str(row["outcome"]), " ".join(str(row["note"]).split())
    parts = [_who(row), note if note.startswith(outcome) else ": ".join(filter(None, (outcome, note)))]
    if pd.notna(left := row.get("skin_left")):
        parts.append(f"{left:.0%} of the facial skin left")
    return " · ".join(parts)


@dataclass(frozen=True)
class _Gallery:
    """Heads and releases of a run in its store."""

    store: Store
    keys: Mapping[str, str]
    originals: dict[str, tuple[Camera | None, tuple[Tile, ...] | None]] = field(default_factory=dict)

    def has_head(self, row: pd.Series[Any]) -> bool:
        """Whether there is anything to draw."""
        return self._folder("head", _who(row)) is not None

    def draw(self, row: pd.Series[Any]) -> Row:
        """Pictures of a head and of what one anonymizer made of it."""
        who = _who(row)
        camera, before = self._original(who)
        released = self._folder("anonymize", f"{who} {row['anonymizer']}")
        after = None
        if camera and released:
            after = camera.tiles(load_anonymized(self._head(who), released).head.voxels)
        return Row(_caption(row), row["outcome"] == "ok", before, after)

    def _original(self, who: str) -> tuple[Camera | None, tuple[Tile, ...] | None]:
        """How a head is drawn, and its pictures: made once for all anonymizers; None where there is no head to see."""
        if who not in self.originals:
            head, face = self._head(who), self._folder("face", who)
            try:
                camera = Camera.aim(head, load_mask(face / "face.npz") if face else None)
            except DataError:
                self.originals[who] = None, None
            else:
                self.originals[who] = camera, camera.tiles(head.voxels)
        return self.originals[who]

    def _head(self, who: str) -> Head:
        folder = self._folder("head", who)
        assert folder is not None
        return load_head(folder)

    def _folder(self, kind: str, name: str) -> Path | None:
        key = self.keys.get(f"{kind} {name}")
        return self.store.folder(key) if key and self.store.has(key) else None
