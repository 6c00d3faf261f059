"""Figures of images: typical results, and all slices of one person. Real people's are never drawn unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from refbench.datasets.base import scan_name
from refbench.plots.series import Attack, select
from refbench.plots.style import new_figure
from refbench.results import Run
from refbench.run_jobs import WARNING, CellImages, job_keys
from refbench.slice_storage import decode
from refbench.store import Store
from refbench.types import Images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = ("original", "released", "reconstructed")
ACROSS = 7
"""Slices side by side."""


@dataclass(frozen=True)
class Scan:
    """One visit of one test person, with the mean score of its reconstruction."""

    subject: str
    session: str
    site: str
    score: float

    @property
    def who(self) -> str:
        """As in the labels of jobs."""
        return scan_name(self.subject, self.session)


@dataclass(frozen=True)
class Album:
    """The images of a run in its store; `keys`: label of a job to its key."""

    run: Run
    store: Store
    keys: Mapping[str, str]

    @classmethod
    def open(cls, run: Run, store: Store) -> Album:
        """Of a finished run.

        Raises:
            StoreError: its list of jobs cannot be read.
        """
        return cls(run, store, job_keys(run))

    def images(self, attack: Attack, scan: Scan) -> dict[str, Images] | None:
        """Original, released and reconstructed slices [count, h, w]; None where the store has them no more."""
        found = CellImages.find(self.store, self.keys, scan.who, attack.anonymizer, attack.attacker, attack.seed)
        if found is None:
            return None
        original, released = (decode(np.load(found.folder / f"{name}.npy")) for name in ("original", "anonymized"))
        return dict(zip(ROWS, (original, released, found.reconstructed(len(original))), strict=True))

    def scans(self, attack: Attack, region: str, metric: str) -> list[Scan]:
        """Test scans, worst reconstruction first."""
        images = select(self.run.scores, attack, "reconstructed", region, metric)
        means = images.groupby(["subject", "session", "site"], sort=True)["value"].mean().dropna().reset_index()
        scans = [
            Scan(str(row["subject"]), str(row["session"]), str(row["site"]), float(row["value"]))
            for _, row in means.iterrows()
        ]
        return sorted(scans, key=lambda scan: scan.score)


def typical_scans(scans: Sequence[Scan]) -> list[Scan]:
    """The median of every site (the lower of two)."""
    sites = sorted({scan.site for scan in scans})
    groups = [[scan for scan in scans if scan.site == site] for site in sites]
    return [group[(len(group) - 1) // 2] for group in groups]


def ranked_scans(scans: Sequence[Scan]) -> dict[str, Scan]:
    """Best, median and worst."""
    return {"best": scans[-1], "median": scans[(len(scans) - 1) // 2], "worst": scans[0]}


def draw_typical(album: Album, attack: Attack, scans: Sequence[Scan], metric: str, real: bool) -> Figure | None:
    """The middle slice of each site's median person: original, released, reconstructed.

    Source: Abramian & Eklund, "Refacing", figures 1 and 2.
    """
    found = [(scan, images) for scan in scans if (images := album.images(attack, scan))]
    if not found:
        return None
    title = f"{attack.anonymizer}: the median person of each site by {metric}, middle slice\n{_by(attack, real)}"
    figure = new_figure(7, 0.9 + 2.3 * len(found), title)
    panels = figure.subplots(len(found), len(ROWS), squeeze=False)
    for row, (scan, images) in zip(panels, found, strict=True):
        for axes, name in zip(row, ROWS, strict=True):
            _show(axes, images[name][len(images[name]) // 2])
            axes.set_title(name)
        row[0].set_ylabel(f"{scan.site}: {scan.score:.3f}")
    return figure


def draw_slices(album: Album, attack: Attack, rank: str, scan: Scan, metric: str, real: bool) -> Figure | None:
    """All slices of one person, from left to right.

    Source: Abramian & Eklund, "Refacing", figure 3.
    """
    images = album.images(attack, scan)
    if images is None:
        return None
    count = len(images["original"])
    blocks = -(-count // ACROSS)
    title = f"{attack.anonymizer}: the {rank} reconstructed person by {metric} ({scan.score:.3f}, {scan.site})"
    figure = new_figure(9, 0.8 + 3.9 * blocks, f"{title}\n{_by(attack, real)}")
    panels = figure.subplots(blocks * len(ROWS), ACROSS, squeeze=False)
    for number in range(blocks * ACROSS):
        block, column = divmod(number, ACROSS)
        for place, name in enumerate(ROWS):
            axes = panels[block * len(ROWS) + place, column]
            if number < count:
                _show(axes, images[name][number])
                if not place:
                    axes.set_title(f"slice {number}")
                if not column:
                    axes.set_ylabel(name)
            else:
                axes.set_axis_off()
    return figure


def _show(axes: Axes, image: Images) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _by(attack: Attack, real: bool) -> str:
    import textwrap

    attacker = "\n".join(textwrap.wrap(f"strongest attack: {attack.attacker}", 90))
    return f"{attacker}\n{WARNING}" if real else attacker
