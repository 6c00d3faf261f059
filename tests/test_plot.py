"""The figures of a run: what is in them, what is left out, and that they are the same each time."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Workplace

from refbench.errors import RefbenchError
from refbench.plots.figures import write_plots
from refbench.plots.pictures import Scan, ranked_scans, typical_scans
from refbench.plots.scores import draw_dose, draw_learning, draw_sites, draw_traces
from refbench.plots.series import Attack, strongest_attacks, sweeps
from refbench.plots.style import short_names
from refbench.plots.utility import draw_utility, front
from refbench.results import Run, load_run
from refbench.store import Store

PEOPLE = (("P9", "A"), ("P1", "B"), ("P2", "A"))
METRICS = ("correlation", "ssim")


def made_up(folder: Path) -> Run:
    """Blur of two strengths, against an attacker that learnt from two shares of the people; images of site B first."""
    rows: list[dict[str, Any]] = []
    cells = []
    attackers = {"": 0.0, "none": 0.0, "net(share=0.5)": 0.1, "net(share=1)": 0.2}
    for strength, (attacker, gain) in itertools.product((8, 4), attackers.items()):
        hidden = f"blur(strength_mm={strength})"
        params = json.dumps({"region": "face", "strength_mm": float(strength)})
        trained = json.dumps({"share": 0.5 if "0.5" in attacker else 1.0})
        if attacker:
            cells.append((hidden, params, attacker, trained))
        for (subject, site), number, metric in itertools.product(PEOPLE, (1, 0), METRICS):
            rows.append(
                {
                    **{"subject": subject, "session": "1", "site": site, "slice": number, "anonymizer": hidden},
                    **{"attacker": attacker, "seed": 0, "region": "front_half", "metric": metric},
                    "condition": "reconstructed" if attacker else "anonymized",
                    "value": 0.7 - strength / 40 + gain + number / 100 + (0.05 if site == "B" else 0),
                }
            )
    table = pd.DataFrame(cells, columns=["anonymizer", "anonymizer_params", "attacker", "attacker_params"])
    table = table.assign(seed=0, key=[f"{number:040}" for number in range(len(table))])
    return Run(folder / "made-up", {}, pd.DataFrame(rows), table, pd.DataFrame())


def test_the_strongest_attack_is_drawn_and_never_none(tmp_path: Path) -> None:
    assert strongest_attacks(made_up(tmp_path), "front_half", "ssim") == [
        Attack("blur(strength_mm=8)", "net(share=1)", 0),
        Attack("blur(strength_mm=4)", "net(share=1)", 0),
    ]


def test_traces_are_ordered_by_site_with_their_means(tmp_path: Path) -> None:
    attack = Attack("blur(strength_mm=8)", "net(share=1)", 0)
    panels = draw_traces(made_up(tmp_path), attack, "front_half", METRICS).axes
    assert [axes.get_ylabel() for axes in panels] == ["correlation, front_half", "ssim, front_half"]
    assert [text.get_text() for text in panels[0].texts] == ["A", "B"]
    lines: dict[str, list[Any]] = {}
    for line in panels[0].lines:
        lines.setdefault(str(line.get_label()), []).append(line)
    assert lines["released"][0].get_ydata().tolist() == pytest.approx([0.5, 0.51, 0.5, 0.51, 0.55, 0.56])
    assert lines["reconstructed"][0].get_ydata().tolist() == pytest.approx([0.7, 0.71, 0.7, 0.71, 0.75, 0.76])
    assert [list(line.get_ydata()) for line in lines["_mean of A"]] == [pytest.approx([v] * 2) for v in (0.505, 0.705)]
    assert list(lines["_mean of B"][0].get_xdata()) == [3.5, 5.5]


def test_sites_are_compared_person_by_person(tmp_path: Path) -> None:
    run = made_up(tmp_path)
    figure = draw_sites(run, strongest_attacks(run, "front_half", "ssim"), "front_half", METRICS)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    assert labels == ["A (2 people)", "B (1 person: no interval)"]
    assert list(handles[0].lines[0].get_xdata()) == pytest.approx([0.2, 0.2])
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ticks == ["blur(strength_mm=8)\nby net(share=1)", "blur(strength_mm=4)\nby net(share=1)"]


def test_dose_and_learning_curves(tmp_path: Path) -> None:
    run = made_up(tmp_path)
    (dose,) = sweeps(run.cells, "anonymizer")
    assert (dose.name, dose.parameter) == ("blur", "strength_mm")
    assert dose.members == ((4.0, "blur(strength_mm=4)"), (8.0, "blur(strength_mm=8)"))
    handles, labels = draw_dose(run, dose, "front_half", METRICS).axes[0].get_legend_handles_labels()
    assert labels == ["released, no attack", "net(share=1)", "net(share=0.5)"]
    # The mean of three people, two of A.
    assert handles[0].lines[0].get_xydata().tolist() == [
        [4, pytest.approx(1.865 / 3)],
        [8, pytest.approx(1.565 / 3)],
    ]
    (share,) = sweeps(run.cells, "attacker")
    handles, labels = draw_learning(run, share, "front_half", METRICS).axes[0].get_legend_handles_labels()
    assert labels == ["blur(strength_mm=8)", "blur(strength_mm=4)"]
    assert list(handles[0].lines[0].get_xdata()) == [0.5, 1]


def test_the_front_is_whom_nobody_beats_in_both() -> None:
    strong, weak, middle = (0.6, 0.5), (0.9, 0.9), (0.8, 0.6)
    beaten = (0.7, 0.7)  # the middle keeps more, and gives back less
    assert front([weak, strong, beaten, middle, weak]) == [strong, middle, weak]
    assert front([]) == []


def test_utility_is_what_is_left_of_the_whole_slice(tmp_path: Path) -> None:
    """The release keeps 0.1 more over the whole slice; the attack is looked at where it works."""
    run = made_up(tmp_path)
    whole = run.scores.assign(region="whole", value=run.scores["value"] + 0.1)
    checks = pd.DataFrame({"anonymizer": ["blur(strength_mm=8)"] * 2, "brain_changed": [3, ""]})
    run = replace(run, scores=pd.concat([run.scores, whole], ignore_index=True), subjects=checks)
    attack = Attack("blur(strength_mm=8)", "net(share=1)", 0)
    axes = draw_utility(run, [attack], "front_half", METRICS).axes[0]
    assert axes.get_legend_handles_labels()[1] == ["blur(strength_mm=8) (3 brain voxels changed)"]
    (point,) = axes.containers
    kept, regained = 0.5 + 0.05 / 3 + 0.005 + 0.1, 0.7 + 0.05 / 3 + 0.005
    assert point.lines[0].get_xydata().tolist() == [[pytest.approx(kept), pytest.approx(regained)]]


def test_people_are_chosen_by_their_scores() -> None:
    scans = [Scan(f"P{number}", "1", "AB"[number % 2], number / 10) for number in range(5)]
    assert [scan.subject for scan in typical_scans(scans)] == ["P2", "P1"]
    assert {rank: scan.subject for rank, scan in ranked_scans(scans).items()} == {
        "best": "P4",
        "median": "P2",
        "worst": "P0",
    }


def test_names_are_cut_to_what_differs() -> None:
    labels = ["net(steps=5, share=0.5)", "net(steps=5, share=1)", "gan(sizes=(1, 2))", "none"]
    assert list(short_names(labels).values()) == ["net(share=0.5)", "net(share=1)", "gan", "none"]


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run, store = made_up(tmp_path), Store(tmp_path / "store")
    run.folder.mkdir()
    (run.folder / "jobs.json").write_text("{}")
    first, second = (write_plots(run, store, tmp_path / name) for name in ("one", "two"))
    assert [file.name for file in first.files] == [file.name for file in second.files]
    assert {file.suffix for file in first.files} == {".png", ".svg"}
    assert [file.read_bytes() for file in first.files] == [file.read_bytes() for file in second.files]
    assert {reason.partition(":")[0] for reason in first.left_out} == {
        "validation curves",
        "privacy and utility",
        "typical results, all slices",
    }
    with pytest.raises(RefbenchError, match="no region 'front_hal'"):
        write_plots(run, store, tmp_path / "three", region="front_hal")


@pytest.mark.slow
def test_faces_are_drawn_only_when_asked_for(workplace: Workplace) -> None:
    """Nobody knows here whether the heads of the test's own plug-in are real: they may be."""
    workplace.refbench("run", workplace.suite("attackers: [none, offset]"))
    shown = workplace.refbench("plot", "--out", "figures")
    assert shown.returncode == 0, shown.stderr
    assert "left out: typical results, all slices" in shown.stdout
    names = {file.stem for file in (workplace.folder / "figures").iterdir()}
    assert names == {"traces_01_smear", "sites", "utility", "validation"}
    run = load_run(workplace.run_folder())
    plotted = write_plots(run, Store(workplace.folder / "store"), workplace.folder / "with", faces=True)
    drawn = {file.stem for file in plotted.files} - names
    assert drawn == {"typical_01_smear", *(f"slices_01_smear_{rank}" for rank in ("best", "median", "worst"))}
    assert "for local use only" in (workplace.folder / "with" / "typical_01_smear.svg").read_text()
