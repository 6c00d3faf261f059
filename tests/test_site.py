"""The public leaderboard, opened in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Workplace
from playwright.sync_api import Browser
from test_sharing import changed_scores, mended

from refbench.errors import RefbenchError
from refbench.results import Run, load_run
from refbench.sharing.export import export
from refbench.sharing.site import write_site

HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)>"


def relabelled(run: Run, name: str) -> Run:
    """The same run of an anonymizer of another name."""
    tables = (table.assign(anonymizer=name) for table in (run.scores, run.cells, run.subjects))
    scores, cells, subjects = tables
    return replace(run, scores=scores, cells=cells, subjects=subjects)


@pytest.fixture(scope="module")
def bundles(tiny_run: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two labs with one split, of one with other slices, one that was changed and one that is none."""
    folder = tmp_path_factory.mktemp("bundles")
    run = load_run(tiny_run.run_folder())
    for lab in ("a", "b"):
        (folder / lab).mkdir()
    export(run, folder / "one.zip", folder / "a", by=HOSTILE)
    export(relabelled(run, "smudge"), folder / "two.zip", folder / "b", by="Lab B")
    other = replace(run, info=run.info | {"slices": run.info["slices"] | {"size": 32}})
    export(other, folder / "three <3>.zip", folder / "a")
    mended(folder / "one.zip", folder / "changed.zip", scores_parquet=changed_scores(folder / "one.zip", 1e-3))
    (folder / "none.zip").write_text("nothing")
    return folder


@pytest.fixture(scope="module")
def site(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    write_site(bundles, out)
    return out


def test_bundles_are_grouped_by_what_they_were_made_on(bundles: Path, tmp_path: Path) -> None:
    entries, groups = write_site(bundles, tmp_path)
    assert [[entry.path.stem for entry in group.entries] for group in groups] == [["one", "two"], ["three <3>"]]
    assert "the slices differ: size=24 in one.zip, size=32 in three <3>.zip" in groups[1].apart
    assert {row.anonymizer for row in groups[0].tables[0].rows} == {"smear", "smudge"}
    assert {cell.entry.path.stem for cell in groups[0].cells("smudge")} == {"two"}
    refused = {entry.path.stem for entry in entries if entry.run is None}
    assert refused == {"changed", "none"}


def test_a_site_has_a_page_and_the_file_of_every_verified_bundle_and_of_no_other(bundles: Path, site: Path) -> None:
    pages = {file.relative_to(site).as_posix() for file in site.rglob("*") if file.is_file()}
    (third,) = {page for page in pages if len(page) == len("0123456789abcdef.html") and "/" not in page}
    names = ("one", "two", third.removesuffix(".html"))
    assert pages == {"index.html", *(f"{name}.html" for name in names), *(f"bundles/{name}.zip" for name in names)}
    assert (site / "bundles" / "one.zip").read_bytes() == (bundles / "one.zip").read_bytes()


def test_bundles_that_disagree_are_shown_apart(tiny_run: Workplace, tmp_path: Path) -> None:
    run = load_run(tiny_run.run_folder())
    export(run, tmp_path / "one.zip", tmp_path)
    scores = run.scores.assign(value=run.scores["value"].where(run.scores["attacker"] != "offset", 0.5))
    export(replace(run, scores=scores), tmp_path / "two.zip", tmp_path)
    _, groups = write_site(tmp_path, tmp_path / "site")
    assert len(groups) == 2
    assert "both have these scores, and they are not equal" in groups[1].apart
    assert "not ranked together with those above" in (tmp_path / "site" / "index.html").read_text()


def test_no_bundles_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RefbenchError, match="no bundles"):
        write_site(tmp_path, tmp_path / "site")


def test_the_command_says_what_became_of_every_file(bundles: Path, tiny_run: Workplace, tmp_path: Path) -> None:
    done = tiny_run.refbench("site", bundles, "--out", tmp_path / "site")
    assert done.returncode == 1
    assert "one.zip: verified" in done.stdout
    assert "changed.zip: is not what it says: not ranked" in done.stderr
    assert "none.zip: cannot be read" in done.stderr
    assert "2 leaderboard(s)" in done.stdout


@pytest.mark.slow
def test_in_a_browser_rows_open_to_their_bundles_and_texts_of_bundles_stay_text(browser: Browser, site: Path) -> None:
    page = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append("dialog"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "index.html").as_uri())
    assert page.title() == "Leaderboards · refbench"
    first = page.locator("#board-0 .region:not([hidden]) tr[data-anonymizer='smudge'][data-strongest]")
    first.locator(".opener").click()
    detail = page.locator("tr.detail")
    assert "Attacks on smudge" in detail.inner_text()
    assert detail.locator("td td", has_text="Lab B").count() == 2
    page.locator("tr[data-anonymizer='smear'][data-strongest] .opener").first.click()
    assert HOSTILE in page.locator("tr.detail").first.inner_text() + page.locator("tr.detail").last.inner_text()
    table = page.locator("#bundles ~ .scroll table")
    assert table.locator("tbody tr").count() == 5
    assert table.locator("b.good").count() == 3
    assert table.locator("b.bad").all_inner_texts() == ["is not what it says", "cannot be read"]
    page.get_by_role("link", name="two", exact=True).last.click()
    page.wait_for_url("**/two.html")
    told = page.locator("main").inner_text()
    for part in ("smudge", "Lab B", "refbench verify two.zip", "- smear"):
        assert part in told
    assert "Subjects go by salted hashes." in page.locator("footer").inner_text()
    page.get_by_role("link", name="All leaderboards").click()
    page.wait_for_url("**/index.html")
    assert said == []
    assert all(url.startswith(("file:", "data:")) for url in asked), asked


def test_a_site_shows_the_controls_of_what_it_ranks(workplace: Workplace) -> None:
    done = workplace.refbench("run", workplace.suite("{attackers: [none, offset], controls: true}"))
    assert done.returncode == 0, done.stderr
    export(load_run(workplace.run_folder()), workplace.folder / "controlled.zip", workplace.folder / "store")
    write_site(workplace.folder, workplace.folder / "site")
    page = (workplace.folder / "site" / "index.html").read_text()
    (controls,) = re.findall(r"<h3>Controls</h3>.*?</table>", page, flags=re.DOTALL)
    assert re.findall(r'<tr><th scope="row">(.*?)</th>', controls) == ["offset"]
    assert "learnt on originals recovered at most" in controls
    assert "untrusted" in page
