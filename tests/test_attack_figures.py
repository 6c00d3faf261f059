"""Gains, shares of the distance closed and costs of the attacks of a run, and the page they go to."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from refbench.attack_figures import Attacks, attack_figures
from refbench.errors import RefbenchError
from refbench.job import Job
from refbench.results import Run
from refbench.store import Store

PEOPLE = ("a", "b", "c", "d")
NONE = float("nan")

Values = dict[tuple[str, str], tuple[float, float, float, float]]
"""(anonymizer, attacker) to the correlation of each person; the attacker "" is the release."""

BLUR: Values = {
    ("blur", ""): (0.8, 0.8, 0.6, 0.6),
    ("blur", "mean_face"): (0.7, 0.7, 0.7, 0.7),
    ("blur", "unet(region=known)"): (0.9, 0.9, 0.7, 0.7),
}
REMOVAL: Values = {
    ("removal", ""): (NONE, NONE, NONE, NONE),
    ("removal", "mean_face"): (0.4, 0.4, 0.4, 0.4),
    ("removal", "mean_face(region=known)"): (0.5, 0.6, 0.5, 0.6),
    ("removal", "unet(region=known)"): (0.8, 0.9, 0.7, NONE),
}


def make_run(folder: Path, values: Values, failed: str = "", metric: str = "correlation") -> Run:
    rows = [
        {
            "subject": person,
            "site": "A",
            "slice": number,
            "anonymizer": anonymizer,
            "attacker": attacker,
            "seed": 0,
            "region": region,
            "metric": name,
            "value": value + offset if region == "changed" else 1.0,
        }
        for (anonymizer, attacker), series in values.items()
        if attacker != failed or not failed
        for person, value in zip(PEOPLE, series, strict=True)
        for number, offset in enumerate((-0.01, 0.01))
        for region in ("changed", "whole")
        for name in (metric, "ssim")
    ]
    attacks = [pair for pair in values if pair[1]]
    cells = pd.DataFrame(
        {
            "anonymizer": [anonymizer for anonymizer, _ in attacks],
            "attacker": [attacker for _, attacker in attacks],
            "attacker_params": [json.dumps({"region": "known"} if "known" in name else {}) for _, name in attacks],
            "seed": 0,
            "status": ["failed" if name == failed else "ok" for _, name in attacks],
            "key": [f"key of {anonymizer} {attacker}" for anonymizer, attacker in attacks],
        }
    )
    (folder / "jobs.json").write_text("{}")
    subjects = pd.DataFrame({"subject": PEOPLE, "part": "test", "site": "A"})
    return Run(folder, {"suite": "hand-made"}, pd.DataFrame(rows), cells, subjects)


def figures(tmp_path: Path, values: Values, **options: Any) -> Attacks:
    (attacks,) = attack_figures(make_run(tmp_path, values, **options), Store(tmp_path / "store"))
    return attacks


def test_gains_are_over_no_attack_person_by_person(tmp_path: Path) -> None:
    attacks = figures(tmp_path, BLUR)
    assert (attacks.anonymizer, attacks.people, attacks.bases) == ("blur", 4, ("no attack",))
    assert attacks.released.value == pytest.approx(0.7)
    unet, mean_face = attacks.attacks
    assert (unet.attacker, unet.knows, mean_face.knows) == ("unet(region=known)", "known", "")
    assert unet.correlation.value == pytest.approx(0.8)
    assert unet.correlation.low < 0.75 < 0.85 < unet.correlation.high, "people differ by 0.2"
    assert [unet.gain.value, unet.gain.low, unet.gain.high] == pytest.approx([0.1] * 3), "the gain is the same for all"
    (closed,) = unet.closed
    assert closed.value == pytest.approx(0.1 / 0.3)
    assert closed.low == pytest.approx(0.1 / 0.4, abs=1e-6), "somebody drew only those with far to go"
    assert mean_face.gain.value == pytest.approx(0)
    assert mean_face.gain.low < -0.05 < 0.05 < mean_face.gain.high
    assert unet.ssim == pytest.approx(0.8)


def test_where_a_release_has_no_figure_gains_are_over_mean_faces_the_strongest_first(tmp_path: Path) -> None:
    attacks = figures(tmp_path, REMOVAL)
    assert attacks.bases == ("mean_face(region=known)", "mean_face")
    assert np.isnan(attacks.released.value)
    unet, known, estimated = attacks.attacks
    over = np.mean([0.5, 0.6, 0.5])
    assert unet.correlation.value == pytest.approx(0.8)
    assert unet.gain.value == pytest.approx(0.8 - over), "of the three people who have both figures"
    assert unet.closed[0].value == pytest.approx((0.8 - over) / (1 - over))
    assert unet.closed[1].value == pytest.approx((0.8 - 0.4) / (1 - 0.4)), "farther from the weaker one"
    assert (known.gain.value, known.closed[0].value) == (0, 0)
    assert estimated.gain.value == pytest.approx(-0.15)


def test_without_a_base_there_are_no_gains(tmp_path: Path) -> None:
    attacks = figures(tmp_path, {key: REMOVAL[key] for key in REMOVAL if "mean_face" not in key[1]})
    assert attacks.bases == ()
    (unet,) = attacks.attacks
    assert unet.correlation.value == pytest.approx(0.8)
    assert np.isnan([unet.gain.value, unet.gain.low]).all()
    assert unet.closed == ()


def test_a_failed_attack_has_a_status_and_no_figures(tmp_path: Path) -> None:
    *_, last = figures(tmp_path, BLUR, failed="unet(region=known)").attacks
    assert last.status == "failed"
    assert np.isnan([last.correlation.value, last.gain.value, last.closed[0].value, last.ssim]).all()


def test_a_run_without_the_metric_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefbenchError, match="no correlation in the region `changed`"):
        figures(tmp_path, BLUR, metric="psnr")


def test_costs_come_from_the_records_of_the_jobs(tmp_path: Path) -> None:
    run, store = make_run(tmp_path, BLUR), Store(tmp_path / "store")
    jobs = [Job(kind, f"{kind} blur × unet", {"kind": kind}) for kind in ("train", "reconstruct")]
    for job, seconds, memory in zip(jobs, (12.5, 0.5), (300.0, 400.0), strict=True):
        made = store.scratch(job.key)
        made.mkdir(parents=True)
        store.commit(job, made, {"seconds": seconds, "peak_memory_mb": memory, "device": "cpu", "threads": 2})
    (tmp_path / "jobs.json").write_text(json.dumps({job.label: job.key for job in jobs}))
    run.cells.loc[run.cells["attacker"] == "unet(region=known)", "key"] = jobs[0].key
    ((unet, mean_face),) = (attacks.attacks for attacks in attack_figures(run, store))
    cost = unet.cost
    assert (cost.train_seconds, cost.reconstruct_seconds, cost.memory_mb) == (12.5, 0.5, 400.0)
    assert (cost.device, cost.threads) == ("cpu", 2)
    assert (mean_face.cost.train_seconds, mean_face.cost.memory_mb, mean_face.cost.device) == (None, None, "")


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """docs/measure_attackers.py."""
    file = Path(__file__).resolve().parents[1] / "docs" / "measure_attackers.py"
    spec = importlib.util.spec_from_file_location("measure_attackers", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_gain_and_share_with_their_intervals(tmp_path: Path, page: ModuleType) -> None:
    heading, _, names, _, unet, mean_face = page.table(figures(tmp_path, BLUR)).splitlines()
    assert heading.startswith("**`blur`**: released 0.700 [0.600, 0.800]; gains are over no attack")
    assert names.startswith("| attacker | region | correlation | gain | closed | SSIM |")
    assert "| +0.100 [+0.100, +0.100] | 33 % [25, 50] | 0.800 | – |" in unet
    assert mean_face.startswith("| `mean_face` | – | 0.700 [0.700, 0.700] |")
    removal = page.table(figures(tmp_path, REMOVAL))
    assert "released –; gains are over mean_face(region=known)" in removal
    assert "| closed | closed from `mean_face` | SSIM |" in removal


def test_a_failed_attack_is_shown_as_such(tmp_path: Path, page: ModuleType) -> None:
    last = page.table(figures(tmp_path, BLUR, failed="unet(region=known)")).splitlines()[-1]
    assert last.startswith("| `unet(region=known)` | known | failed | – | – | – |")


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path, page: ModuleType) -> None:
    document = tmp_path / "attackers.md"
    document.write_text(f"before\n{page.BEGIN}old\n{page.END}\nafter\n", encoding="utf-8")
    page.insert(document, "new")
    page.insert(document, "newer")
    assert document.read_text(encoding="utf-8") == f"before\n{page.BEGIN}\nnewer\n\n{page.END}\nafter\n"
    document.write_text("no markers", encoding="utf-8")
    with pytest.raises(SystemExit, match="nothing written"):
        page.insert(document, "new")
    assert document.read_text(encoding="utf-8") == "no markers"
