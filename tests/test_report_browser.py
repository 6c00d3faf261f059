"""The report in a real Chromium: what a reader does with mouse and keyboard."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Workplace
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = pytest.mark.slow

PHANTOMS = (
    "dataset: {phantom: {subjects: 6, scale: 0.2}}\nslices: {count: 3, size: 32}\n"
    "anonymizers: [smear: {reach: [1, 4]}]\nattackers: [none, offset]\nmetrics: [correlation, ssim]"
)


def written(folder: Path, suite: str, *options: str) -> Path:
    """The report of a suite that is run in `folder`, by the command line alone."""
    place = Workplace(folder)
    if not (folder / "store").exists():
        done = place.refbench("run", place.suite(suite))
        assert done.returncode == 0, done.stderr
    shown = place.refbench("report", *options)
    assert shown.returncode == 0, shown.stderr
    return Path(shown.stdout.strip())


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("phantoms"), PHANTOMS)


@pytest.fixture
def page(browser: Browser, phantoms: Path) -> Iterator[Page]:
    """The opened report; in the end nothing has gone wrong and nothing was asked of a network."""
    context = browser.new_context(viewport={"width": 1300, "height": 900}, color_scheme="light")
    page = context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(phantoms.as_uri())
    yield page
    assert wrong == []
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {phantoms.as_uri()}
    context.close()


def rows(page: Page) -> Locator:
    return page.locator(".region:not([hidden]) .leaderboard > tbody > tr[data-anonymizer]:visible")


def names(page: Page) -> list[str]:
    return [row.get_attribute("data-anonymizer") or "" for row in rows(page).all()]


def test_rows_are_sorted_by_any_column_with_mouse_and_keyboard(page: Page) -> None:
    assert page.locator(".count").first.inner_text() == "2 of 4 rows"
    first = names(page)
    header = page.locator(".region:not([hidden]) .leaderboard thead tr:last-child th").nth(4)
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    up = names(page)
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert names(page) == up[::-1]
    assert sorted(first) == sorted(up)
    page.get_by_label("every attack").check()
    assert rows(page).count() == 4
    values = [float(row.locator("td.figure").nth(1).get_attribute("data-value") or "nan") for row in rows(page).all()]
    assert values == sorted(values, reverse=True)


def test_rows_are_filtered_by_text_attacker_region_and_metric(page: Page) -> None:
    controls = page.locator("#board .controls")
    controls.get_by_label("Search").fill("reach=4")
    assert names(page) == ["smear(reach=4)"]
    assert page.locator(".count").first.inner_text() == "1 of 4 rows"
    controls.get_by_role("button", name="Clear").click()
    expect(page.locator(".count").first).to_have_text("2 of 4 rows")
    controls.get_by_label("Attacker").select_option("none")
    assert {row.get_attribute("data-attacker") for row in rows(page).all()} == {"none"}
    controls.get_by_label("Region").select_option("changed")
    assert page.locator(".leaderboard:visible caption").inner_text().startswith("Region changed")
    controls.get_by_label("Metric").select_option("ssim")
    shown = page.locator(".leaderboard:visible thead [data-metric]:visible").all()
    assert {cell.get_attribute("data-metric") for cell in shown} == {"ssim"}
    controls.get_by_label("Anonymizer").select_option("smear(reach=1)")
    assert names(page) == ["smear(reach=1)"]


def test_a_row_opens_to_its_cells_people_and_pictures(page: Page) -> None:
    opener = rows(page).first.locator(".opener")
    opener.focus()
    page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    details = page.locator("tr.detail .details")
    cells = details.locator("table.cells:visible tbody tr")
    assert cells.count() == 2
    assert "offset" in details.locator("table.cells:visible").inner_text()
    assert details.locator(".strip-plot circle").count() == 4  # two test subjects, released and reconstructed
    details.get_by_text("As a table").click()
    expect(details.locator(".values tbody tr")).to_have_count(2)  # the browser opens it when it comes to it
    images = details.locator(".strip img")
    assert images.count() == 24  # two metrics, three people, four pictures
    assert images.first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 128
    opener.press("Enter")
    assert page.locator("tr.detail").count() == 0
    rows(page).nth(1).locator("td").first.click()
    assert page.locator("tr.detail").count() == 1


def test_light_and_dark(page: Page) -> None:
    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert paper() == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert paper() == "rgb(20, 23, 28)"
    page.get_by_role("button", name="Use light colours").click()
    assert paper() == "rgb(255, 255, 255)"
    page.reload()
    assert paper() == "rgb(255, 255, 255)"


def test_it_fits_a_narrow_screen(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    rows(page).first.locator(".opener").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


def test_the_viewer_draws_a_phantoms_head(page: Page) -> None:
    assert not page.evaluate("'niivue' in window")
    rows(page).first.locator(".opener").click()
    page.get_by_role("button", name="Turn the head in 3D").click()
    expect(page.locator("#viewer .count")).to_have_text(re.compile("^P"), timeout=30_000)
    released = greys(page)
    assert len(set(released)) > 50
    page.get_by_label("original").check()
    page.wait_for_timeout(300)
    assert greys(page) != released
    page.get_by_role("button", name="Close the viewer").click()
    assert not page.locator("#viewer").is_visible()


def greys(page: Page) -> list[int]:
    shot = page.locator("#viewer canvas").screenshot()
    return list(Image.open(io.BytesIO(shot)).convert("L").tobytes())


def test_people_who_may_be_real_are_shown_only_when_asked_for(tmp_path: Path, browser: Browser) -> None:
    """Nobody knows here whether the heads of the test's own plug-in are real: they may be."""
    page = browser.new_page()
    page.goto(written(tmp_path, "attackers: [none, offset]").as_uri())
    rows(page).first.locator(".opener").click()
    assert page.locator(".details .strip img").count() == 0
    assert "they would show faces of real people" in page.locator(".details").inner_text()
    assert page.locator(".banner").count() == page.locator("#viewer").count() == 0
    page.goto(written(tmp_path, "", "--faces", "--out", str(tmp_path / "here" / "faces.html")).as_uri())
    assert "for local use only" in page.locator(".banner").inner_text()
    rows(page).first.locator(".opener").click()
    assert page.locator(".details .strip img").count() == 12
    assert page.locator("#viewer").count() == 0  # volumes are of phantoms only
    page.close()
