"""Heads as one would see them: the original, the release and the reconstruction, from the front and from the side."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from refbench.geometry import skin_threshold
from refbench.plots.pictures import Album, Scan
from refbench.plots.series import Attack
from refbench.plots.style import new_figure
from refbench.run_heads import heads_of
from refbench.surface_view import View, shaded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIEWS: tuple[View, ...] = get_args(View)[:2]


def draw_renders(album: Album, attack: Attack, scan: Scan, metric: str) -> Figure | None:
    """One person's head in its three states; None where the store has it no more.

    All are drawn with the original's level of skin, so that none looks different for its contrast alone.
    """
    heads = heads_of(album.store, album.keys, attack, scan.who)
    if heads is None:
        return None
    level = skin_threshold(heads.original.voxels)
    title = f"{attack.anonymizer}: the median person by {metric}\nstrongest attack: {attack.attacker}"
    figure = new_figure(7.5, 0.9 + 2.6 * len(VIEWS), title)
    panels = figure.subplots(len(VIEWS), len(vars(heads)), squeeze=False)
    for row, view in zip(panels, VIEWS, strict=True):
        for axes, (state, head) in zip(row, vars(heads).items(), strict=True):
            axes.imshow(shaded(head.voxels, head.voxel_mm, view, level), cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
            if view == VIEWS[0]:
                axes.set_title(state)
    return figure
