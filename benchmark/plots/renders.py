"""Heads as one would see them: the original, the release and the reconstruction, from the front and from the side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from refbench.geometry import skin_threshold
from refbench.plots.pictures import Album, Scan
from refbench.plots.series import Attack
from refbench.plots.style import new_figure
from refbench.run_heads import heads_of
from refbench.surface_view import Image, View, shaded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIEWS: tuple[View, ...] = ("front", "left")


def rendered(album: Album, attack: Attack, scan: Scan) -> Iterator[tuple[View, str, Image]]:
    """Pictures of one person's head: view, state, float32 [rows, columns] of 0-1; none where the store has it no more.

    All are drawn with the original's level of skin, so that none looks different for its contrast alone.
    """
    heads = heads_of(album.store, album.keys, attack, scan.who)
    if heads is None:
        return
    level = skin_threshold(heads.original.voxels)
    for view in VIEWS:
        for state, head in vars(heads).items():
            yield view, state, shaded(head.voxels, head.voxel_mm, view, level)


def draw_renders(album: Album, attack: Attack, scan: Scan, metric: str) -> Figure | None:
    """One person's head in its three states; None where the store has it no more."""
    images = list(rendered(album, attack, scan))
    if not images:
        return None
    states = len(images) // len(VIEWS)
    title = f"{attack.anonymizer}: the median person by {metric}\nstrongest attack: {attack.attacker}"
    figure = new_figure(7.5, 0.9 + 2.6 * len(VIEWS), title)
    panels = figure.subplots(len(VIEWS), states, squeeze=False)
    for axes, (view, state, image) in zip(panels.flat, images, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
        if view == VIEWS[0]:
            axes.set_title(state)
    return figure
