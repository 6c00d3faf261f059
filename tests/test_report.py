"""The report as a file: its numbers, its escaping, and that it needs nothing but itself. What it does: in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_runs import made_up_run

from refbench.differences import build_differences
from refbench.errors import RefbenchError
from refbench.job import Job
from refbench.leaderboard import View, build_leaderboard
from refbench.report import page
from refbench.report.bars import Scale, interval_bar
from refbench.report.failures import failed_jobs
from refbench.report.figures import inline_svg
from refbench.report.people import people_data
from refbench.report.verdict import verdict
from refbench.report.volumes import shrink
from refbench.report.write import write_report
from refbench.results import Run
from refbench.store import Store

HOSTILE = "$\\x$<script>alert(1)</script>\"><img src=x onerror=alert(2)>{{ 7 * 7 }}'&lt;"


class Page(HTMLParser):
    """The rows of the leaderboards: by region, by anonymizer and attacker, the values in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, dict[tuple[str, str], list[str]]] = {}
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self._values: list[str] | None = None
        self._region = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.addresses += [value for name, value in given.items() if name in ("src", "href", "action", "srcset")]
        self.handlers += [name for name in given if name.startswith("on")]
        if given.get("class") == "region":
            self._region = given["data-region"]
        if tag == "tr":
            self._values = None
            if "data-anonymizer" in given:
                self._values = []
                key = given["data-anonymizer"], given["data-attacker"]
                self.rows.setdefault(self._region, {})[key] = self._values
        if self._values is not None:
            self._values += [given[name] for name in ("data-value", "data-before") if name in given]


def report(run: Run, store: Store | None = None) -> str:
    target = run.folder / "report.html"
    write_report(run, target, store)
    return target.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    run = made_up_run(tmp_path_factory.mktemp("report") / "made_up-12345678")
    return run, report(run)


def test_the_numbers_are_those_of_the_leaderboard_to_the_last_digit(plain: tuple[Run, str]) -> None:
    run, text = plain
    shown = Page(text).rows
    assert list(shown) == ["front_half", "changed"]
    for region, rows in shown.items():
        board = build_leaderboard([run], View(region=region, attackers=True))
        assert len(rows) == len(board.rows)
        for _, row in board.rows.iterrows():
            expected: list[float] = [row["recovery"]]
            for metric in board.metrics:
                released, rebuilt = (f"{condition}_{metric}" for condition in ("anonymized", "reconstructed"))
                pairs = [*((region, site) for site in board.sites), *((other, "all") for other in board.regions[1:])]
                expected += [row[f"{released}_{region}_all"], row[f"{rebuilt}_{region}_all"]]
                for place, site in pairs:
                    expected += [row[f"{rebuilt}_{place}_{site}"], row[f"{released}_{place}_{site}"]]
            rank, *figures = rows[row["anonymizer"], row["attacker"]]
            assert [float(value) for value in figures] == expected
            assert rank == ("" if pd.isna(row["rank"]) else str(row["rank"]))


def test_it_asks_no_network_and_runs_its_own_scripts_only(plain: tuple[Run, str]) -> None:
    _, text = plain
    assert [url for url in Page(text).addresses if not url.startswith(("#", "data:"))] == []
    assert re.findall(r"url\((?!#|['\"]?data:)", text) == []
    assert "@import" not in text
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy[1].replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 4
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in rules["script-src"]


def test_names_and_texts_stay_text(tmp_path: Path) -> None:
    run = made_up_run(
        tmp_path / "made_up",
        anonymizers=(f"veil{HOSTILE}", "shade"),
        attackers=("none", f"net{HOSTILE}"),
        names="P{:03}" + HOSTILE.replace("{{ 7 * 7 }}", ""),
        info={"suite": HOSTILE, "description": HOSTILE, "notes": [HOSTILE], "dataset": HOSTILE},
    )
    (run.folder / "suite.yaml").write_text(HOSTILE)
    run.subjects["site"] = run.scores["site"] = "Guys" + HOSTILE
    run.subjects["outcome"] = run.subjects["note"] = HOSTILE
    run.cells.loc[0, ["status", "error"]] = "failed", HOSTILE
    text = report(run)
    kept = Page(text)
    assert "<script>alert" not in text
    assert not kept.handlers
    assert kept.tags.count("script") == len(re.findall(r"<script[ >]", text)) == 5  # four, and the people's data
    assert "{{ 7 * 7 }}" in text


def test_it_needs_no_store(plain: tuple[Run, str]) -> None:
    run, text = plain
    assert not (run.folder / "jobs.json").exists()
    assert "<img" not in re.sub(r'<div class="drawing.*?</div>', "", text, flags=re.DOTALL)
    assert 'id="viewer"' not in text
    assert "Every job ended well" in text


def test_a_run_without_scores_shows_what_failed(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "made_up")
    run.cells[["status", "error"]] = "out of memory", "MemoryError: 3 GB"
    text = report(replace(run, scores=run.scores.iloc[:0]))
    assert "This run has no scores" in text
    assert "MemoryError: 3 GB" in text
    with pytest.raises(RefbenchError, match="has no cells"):
        report(replace(run, cells=run.cells.iloc[:0]))


def test_failed_jobs_are_shown_with_the_end_of_their_log(tmp_path: Path) -> None:
    run, store = made_up_run(tmp_path / "made_up"), Store(tmp_path / "store")
    keys = {}
    for number, (status, error) in enumerate([("blocked", "by train"), *[("crashed", "signal 11")] * 12]):
        job = Job("train", f"train veil × net {number}", {"number": number})
        keys[job.label] = job.key
        store.fail(job.key, {"status": status, "error": error, "label": job.label, "seconds": 7.0, "device": "cpu"})
    store.scratch(keys["train veil × net 1"]).mkdir()
    (store.scratch(keys["train veil × net 1"]) / "log.txt").write_text("early\n" * 9000 + "the end: <b>")
    crashed, blocked = failed_jobs(run, store, keys)
    assert (crashed.status, len(crashed.labels), crashed.more, blocked.status) == ("crashed", 12, 2, "blocked")
    assert crashed.log.endswith("the end: <b>")
    assert len(crashed.log) <= 4000
    assert crashed.record == "ended after 7.0 s, on cpu"


def said(run: Run) -> dict[str, list[str]]:
    board = build_leaderboard([run], View(attackers=True))
    sentences = verdict(board, build_differences([run], View()), run.cells)
    return {kind: [one.text for one in sentences if one.kind == kind] for kind in ("finding", "doubt")}


def test_the_verdict_says_who_hides_best_and_what_is_incomplete(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "made_up", people=12)
    findings = said(run)["finding"]
    assert findings[0] == "veil(strength_mm=4) hides best of 2 ranked anonymizers, by correlation in front_half."
    assert re.search(r"veil.*, strong, raises its correlation .* from 0\.\d{3} as released to 0\.\d{3} \[", findings[1])
    assert findings[2] == "The two anonymizers are told apart by a test person by person."
    assert findings[3] == "Strongest attacks on 2 anonymizers: strong on 2."
    assert not said(run)["doubt"]
    run.cells.loc[run.cells["anonymizer"] == "shade", "status"] = "out of memory"
    run.subjects.loc[0, "outcome"] = "face left"
    assert said(run)["finding"][0].startswith("veil(strength_mm=4) hides best of 1 ranked")
    doubts = said(run)["doubt"]
    assert doubts[0].startswith("Incomplete, so without a rank: shade (none: out of memory; ")
    assert doubts[1].startswith("Failed: veil(strength_mm=4) 1 of 12 scans (face left).")


def test_the_verdict_distrusts_attacks_that_spoil_heads_to_which_nothing_was_done(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "made_up", anonymizers=("identity", "shade"))
    untouched = run.scores["anonymizer"].eq("identity") & run.scores["attacker"].ne("weak(steps=5)")
    run.scores.loc[untouched, "value"] = 1.0
    cells = run.cells.assign(learner=run.cells["attacker"], threat="informed", floor=run.cells["attacker"].eq("none"))
    cells["control"] = cells["anonymizer"].where(cells["anonymizer"] == "identity", "")
    doubts = said(replace(run, cells=cells))["doubt"]
    assert any(doubt.startswith("Untrusted, and never ranked: weak: loses 0.") for doubt in doubts)


def test_bars_reach_from_the_release_to_what_was_reconstructed() -> None:
    scale = Scale.around([0.42, 0.97, float("nan")])
    assert (scale.low, scale.high) == (0.4, 1.0)
    bar = str(interval_bar(scale, 0.7, 0.6, 0.8, 0.4))
    assert 'cx="50.0"' in bar
    assert 'x1="5.0" x2="50.0"' in bar
    assert interval_bar(scale, float("nan"), 0.1, 0.2) == ""


def test_people_are_told_in_the_order_of_their_series(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "made_up")
    data = people_data(run.scores)
    assert data["people"][:2] == [["P000", "Guys"], ["P003", "Guys"]]
    wanted = {"anonymizer": "shade", "attacker": "", "seed": "0", "condition": "anonymized"}
    wanted |= {"region": "changed", "metric": "ssim"}
    (series,) = (one for one in data["series"] if wanted.items() <= one.items())
    own = run.scores.query("anonymizer == 'shade' and attacker == '' and region == 'changed' and metric == 'ssim'")
    means = own.groupby("subject")["value"].mean()
    assert series["values"] == [round(means[who] * 10_000) for who, _ in data["people"]]


def test_figures_keep_their_own_ids() -> None:
    drawn = (
        '<?xml version="1.0"?><svg><metadata>date</metadata><g id="a" clip-path="url(#p)"/><use xlink:href="#a"/></svg>'
    )
    expected = '<svg><g id="dose_1-a" clip-path="url(#dose_1-p)"/><use xlink:href="#dose_1-a"/></svg>'
    assert inline_svg(drawn, "dose_1") == expected


def test_volumes_shrink_around_the_same_place() -> None:
    voxels = np.arange(4 * 4 * 5, dtype=np.float32).reshape(4, 4, 5)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    small, grid = shrink(voxels, affine, 2)
    assert small.shape == (2, 2, 2)
    assert small[0, 0, 0] == voxels[:2, :2, :2].mean()
    np.testing.assert_allclose(grid @ [0, 0, 0, 1], affine @ [0.5, 0.5, 0.5, 1])
    np.testing.assert_allclose(grid @ [1, 1, 1, 1], affine @ [2.5, 2.5, 2.5, 1])


def test_files_of_others_are_unchanged() -> None:
    assets = Path(page.__file__).parent / "assets"
    listed: dict[str, Any] = dict(
        re.findall(r"^\| `([^`]+)`.*`([0-9a-f]{64})` \|$", (assets / "README.md").read_text(), re.M)
    )
    ours = {"README.md", "style.css", "theme.js", "table.js", "people.js", "viewer.js", "niivue-LICENSE.txt"}
    assert {file.name for file in assets.iterdir()} == {*listed, *ours}
    for name, digest in listed.items():
        assert hashlib.sha256((assets / name).read_bytes()).hexdigest() == digest


@pytest.mark.slow
def test_a_run_of_the_size_of_ixi_stays_small(tmp_path: Path) -> None:
    run = made_up_run(
        tmp_path / "made_up",
        anonymizers=tuple(f"veil(strength_mm={number})" for number in range(10)),
        attackers=("none", *(f"net(steps={number})" for number in range(7))),
        regions=("front_half", "whole", "face", "changed"),
        people=120,
        slices=1,
    )
    # All test subjects of IXI's 600 people; images and a viewer add 5 MB at most.
    assert len(report(run).encode()) < 4_000_000
