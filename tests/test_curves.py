"""How trainings went: what is read from the store, written on the terminal and drawn."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from rich.console import Console

from refbench.curves import Curve, curve_table, training_curves, write_chart
from refbench.errors import StoreError
from refbench.plots.curves import draw_curves
from refbench.plots.style import COLOURS
from refbench.results import Run
from refbench.store import Store

NONE = float("nan")
PLAIN = {"bfloat16": False, "channels_last": False, "compiled": False, "graph": False}
SVG = "{http://www.w3.org/2000/svg}"


def trained(folder: Path, cells: dict[tuple[str, str, int], dict[str, Any] | None]) -> tuple[Run, Store]:
    """A run of these (anonymizer, attacker, seed); a training without a curve has None, or says something else."""
    store = Store(folder / "store")
    rows = []
    for number, ((anonymizer, attacker, seed), told) in enumerate(cells.items()):
        key = f"{number:040}"
        rows.append({"anonymizer": anonymizer, "attacker": attacker, "seed": seed, "key": key})
        model = store.folder(key) / "model"
        model.mkdir(parents=True)
        selection = {"metric": {"name": "ssim"}, "region": "changed"}
        (store.folder(key) / "job.json").write_text(json.dumps({"selection": selection}))
        if told is not None:
            (model / "training.json").write_text(json.dumps(told))
    return Run(folder / "my-run", {}, pd.DataFrame(), pd.DataFrame(rows), pd.DataFrame()), store


def story(*scores: float, best: int | None = 20, pace: dict[str, bool] = PLAIN) -> dict[str, Any]:
    curve = [[10 * place, score] for place, score in enumerate(scores, start=1)]
    return {"curve": curve, "best": best, "steps": 10 * len(scores), "pace": pace}


def test_curves_are_read_and_what_has_none_is_left_out(tmp_path: Path) -> None:
    fast = PLAIN | {"bfloat16": True, "channels_last": True}
    cells = {
        ("blur", "none", 0): None,
        ("blur", "unet", 0): story(0.5, 0.75, NONE),
        ("blur", "gan", 0): story(0.5, best=None, pace=fast),
        ("blur", "other", 0): {"rounds": 3},
        ("blur", "never validated", 0): story(),
    }
    assert training_curves(*trained(tmp_path, cells)) == [
        Curve("unet", "blur", "ssim in changed", ((10, 0.5), (20, 0.75)), 20, 30, "float32"),
        Curve("gan", "blur", "ssim in changed", ((10, 0.5),), None, 10, "bfloat16, channels last"),
    ]


def test_of_several_seeds_each_has_its_curve(tmp_path: Path) -> None:
    found = training_curves(*trained(tmp_path, {("blur", "unet", seed): story(0.5, 0.6) for seed in (3, 5)}))
    assert [curve.attacker for curve in found] == ["unet seed 3", "unet seed 5"]


@pytest.mark.parametrize("content", ['{"curve": [[1, 0.5', '{"curve": [[1, null]]}', '{"curve": [1, 2]}'])
def test_what_is_damaged_is_named(tmp_path: Path, content: str) -> None:
    run, store = trained(tmp_path, {("blur", "unet", 0): story(0.5)})
    file = store.folder("0" * 40) / "model" / "training.json"
    file.write_text(content)
    with pytest.raises(StoreError, match=r"training\.json"):
        training_curves(run, store)


def test_the_table_shows_the_network_that_was_kept(tmp_path: Path) -> None:
    compiled = PLAIN | {"compiled": True}
    cells = {("blur", "unet", 0): story(0.5, 0.75, 0.7), ("blur", "gan[x]", 0): story(NONE, best=None, pace=compiled)}
    stream = io.StringIO()
    Console(width=120, file=stream).print(curve_table(training_curves(*trained(tmp_path, cells))))
    lines = [line.strip().split(maxsplit=5) for line in stream.getvalue().splitlines()]
    assert lines[1] == ["unet", "blur", "30", "20", "0.7500", "float32"]
    assert lines[2] == ["gan[x]", "blur", "10", "–", "–", "float32, compiled"]


def test_a_chart_is_one_file_with_a_panel_per_anonymizer(tmp_path: Path) -> None:
    cells = {
        ("blur", "unet(a=<1>)", 0): story(0.5, 0.75, 0.7),
        ("removal & co", "unet(a=<1>)", 0): story(0.1, 0.2, 0.3, best=30),
        ("removal & co", "gan", 0): story(0.3, NONE, best=10),
        ("removal & co", "nothing", 0): story(NONE, best=None),
    }
    run, store = trained(tmp_path, cells)
    run.folder.mkdir()
    curves = training_curves(run, store)
    file = write_chart(run, curves)
    assert file == run.folder / "curves.svg"
    first = file.read_bytes()
    written = {"".join(element.itertext()).strip() for element in ElementTree.fromstring(first).iter(f"{SVG}text")}
    assert {"blur", "removal & co", "training step", "ssim in changed", "unet", "gan"} <= written
    assert write_chart(run, curves).read_bytes() == first

    panels = draw_curves("r", curves).axes
    assert [axes.get_title() for axes in panels] == ["blur", "removal & co"]
    lines, rings = ([line for line in panels[1].lines if (line.get_label() == "_kept") == kept] for kept in (0, 1))
    assert [line.get_label() for line in lines] == ["unet", "gan", "nothing"]
    assert lines[0].get_xydata().tolist() == [[10, 0.1], [20, 0.2], [30, 0.3]]
    assert [ring.get_xydata().tolist() for ring in rings] == [[[30, 0.3]], [[10, 0.3]]]


def test_an_attacker_looks_the_same_in_every_panel_and_like_no_other() -> None:
    names = [f"attacker{number}" for number in range(2 * len(COLOURS))]
    curves = [
        Curve(name, hidden, "ssim", ((1, 0.1), (2, 0.2)), None, 2, "")
        for hidden, order in (("one", names), ("two", names[::-1]))
        for name in order
    ]
    looks = [
        {line.get_label(): (line.get_color(), line.get_linestyle()) for line in axes.lines}
        for axes in draw_curves("r", curves).axes
    ]
    assert looks[0] == looks[1]
    assert len(set(looks[0].values())) == len(names)
