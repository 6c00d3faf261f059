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
from refbench.curves_chart import COLOURS, Axis, Line, draw_chart
from refbench.errors import StoreError
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
    }
    run, store = trained(tmp_path, cells)
    run.folder.mkdir()
    file = write_chart(run, training_curves(run, store))
    assert file == run.folder / "curves.svg"
    text = file.read_text()
    assert "href" not in text, "nothing outside is needed"
    root = ElementTree.fromstring(text)
    panels = root.findall(f"{SVG}g")
    assert len(panels) == 2
    written = [element.text for element in root.iter(f"{SVG}text")]
    for words in ("blur", "removal & co", "training step", "ssim in changed", "unet(a=<1>)", "gan"):
        assert words in written
    for panel, curves in zip(panels, (1, 2), strict=True):
        assert len(panel.findall(f"{SVG}g")) == curves
        assert len(list(panel.iter(f"{SVG}circle"))) == curves, "the best step of each is marked"
    said = [element.text for element in panels[1].iter(f"{SVG}title")]
    assert said == ["unet(a=<1>): 0.3000 at step 30", "gan: 0.3000 at step 10"]


def strokes(svg: str) -> list[tuple[str | None, str | None]]:
    """Colour and dashes of every curve, in the order of the panels."""
    panels = ElementTree.fromstring(svg).findall(f"{SVG}g")
    curves = [path for panel in panels for group in panel.findall(f"{SVG}g") for path in group.findall(f"{SVG}path")]
    return [(path.get("stroke"), path.get("stroke-dasharray")) for path in curves]


def test_an_attacker_looks_the_same_in_every_panel_and_like_no_other() -> None:
    lines = [Line(f"attacker {number}", ((1, 0.1), (2, 0.2)), 2) for number in range(2 * len(COLOURS) + 1)]
    seen = strokes(draw_chart("t", "ssim", {"one": lines, "two": lines[::-1]}))
    assert len(set(seen)) == len(lines)
    assert seen[: len(lines)] == seen[len(lines) :][::-1]


def test_points_and_marks_lie_where_the_axes_say() -> None:
    svg = draw_chart("t", "ssim", {"blur": [Line("unet", ((50, 0.0), (100, 1.0)), 100)]})
    (panel,) = ElementTree.fromstring(svg).findall(f"{SVG}g")
    ticks = {text.text: (float(text.get("x", 0)), float(text.get("y", 0))) for text in panel.findall(f"{SVG}text")}
    (curve,) = panel.findall(f"{SVG}g")
    path, mark = curve.find(f"{SVG}path"), curve.find(f"{SVG}circle")
    assert path is not None
    assert mark is not None
    first, last = ([float(n) for n in place.split()] for place in path.get("d", "")[1:].removesuffix("h0").split("L"))
    assert last == [float(mark.get("cx", 0)), float(mark.get("cy", 0))]
    assert last[0] == pytest.approx(ticks["100"][0], abs=0.11)
    assert first[0] == pytest.approx((ticks["0"][0] + ticks["100"][0]) / 2, abs=0.11)
    for place, label in ((first, "0.0"), (last, "1.0")):
        assert place[1] == pytest.approx(ticks[label][1] - 4, abs=0.11), "labels stand 4 pixels lower"


def test_curves_of_one_point_or_none_and_flat_ones_are_drawn() -> None:
    lines = [Line("one", ((5, 0.5),), None), Line("flat", ((1, 0.5), (9, 0.5)), 9), Line("nothing", (), None)]
    assert len(strokes(draw_chart("t", "ssim", {"blur": lines}))) == 2
    assert strokes(draw_chart("t", "ssim", {"blur": lines[2:]})) == []


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1500, ["0", "500", "1000", "1500"]),
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.713, 0.742, ["0.715", "0.720", "0.725", "0.730", "0.735", "0.740"]),
        (-0.0031, -0.0012, ["-0.0030", "-0.0025", "-0.0020", "-0.0015"]),
    ],
)
def test_ticks_are_round(low: float, high: float, labels: list[str]) -> None:
    axis = Axis(low, high, 0, 100)
    assert [label for _, label in axis.ticks()] == labels
    assert all(0 <= axis.at(value) <= 100 for value, _ in axis.ticks())
