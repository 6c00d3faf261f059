"""The command about attackers alone: `curves`."""

from __future__ import annotations

from rich.text import Text

from refbench.commands.common import RunArgument, StoreOption, output
from refbench.store import Store, default_store


def curves(
    run: RunArgument = None,
    store: StoreOption = None,
) -> None:
    """Draw how the trainings of a run went: what validation people said of each network, and which one was kept.

    For example:

        refbench curves demo
    """
    from refbench.curves import curve_table, training_curves, write_chart
    from refbench.results import find_runs, load_run

    place = Store((store or default_store()).absolute())
    (folder,) = find_runs(place.root, [run] if run else [])
    found = load_run(folder)
    trained = training_curves(found, place)
    if not trained:
        output.print(Text(f"No training of {folder.name} in {place.root} was validated while it ran."), soft_wrap=True)
        return
    output.print(curve_table(trained))
    if any(curve.points for curve in trained):
        output.print(Text(str(write_chart(found, trained))), soft_wrap=True)
    else:
        scores = ", ".join(dict.fromkeys(curve.score for curve in trained))
        output.print(f"Nothing to draw: on these validation people {scores} is defined nowhere.", soft_wrap=True)
