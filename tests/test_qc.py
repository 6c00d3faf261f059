"""Pages of quality control, from a store filled by the real jobs on small phantoms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Workplace
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from refbench.errors import RefbenchError
from refbench.plan import build_plan
from refbench.qc import PEOPLE, TROUBLED, WARNING, choose, write_pages
from refbench.qc_page import ALARM, COLUMNS, TILE, Camera, Row, draw_page
from refbench.records import read_records
from refbench.results import Run, load_run, write_results
from refbench.store import Store
from refbench.suite import load_suite
from refbench.types import Head
from refbench.worker import run_job

PHANTOMS = (
    "dataset: {phantom: {subjects: 4, scale: 0.2}}\nanonymizers: [identity, smear: {reach: 5}]\nattackers: [none]"
)
BETWEEN_ROWS = 38
"""Height of a row without its pictures."""


def made(folder: Path, text: str) -> tuple[Run, Store]:
    """A run of which heads, faces and anonymizations are made, in this process."""
    suite = load_suite(str(Workplace(folder).suite(text)))
    store = Store(folder / "store")
    plan = build_plan(suite, store)
    for item in plan.scans:
        for job in (item.head, item.face, *item.anonymized):
            scratch = store.scratch(job.key)
            scratch.mkdir(parents=True)
            run_job(job, store, scratch, suite.plugin_files, "cpu", lambda *_: None)
            store.commit(job, scratch / "result", {"status": "ok"})
    return load_run(write_results(plan, store, read_records(plan, store), {}).folder), store


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Store]:
    return made(tmp_path_factory.mktemp("qc"), PHANTOMS)


def ended(run: Run, only: str = "", **outcomes: str) -> Run:
    """The run with the outcomes of some subjects, `ok` for the others; of one anonymizer only, if named."""
    subjects = run.subjects[run.subjects["anonymizer"].str.startswith(only)]
    ends = [outcomes.get(subject, "ok") for subject in subjects["subject"]]
    return replace(run, subjects=subjects.assign(outcome=ends, note="eyes 81 % left"))


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))


def tiles(page: np.ndarray, rows: int) -> np.ndarray:
    """Grey values [rows, before or after, TILE, all columns side by side], cut from the bottom of a page."""
    height = TILE + BETWEEN_ROWS
    cut = []
    for row in range(rows):
        bottom = page.shape[0] - 32 - (rows - 1 - row) * height
        strip = page[bottom - TILE : bottom, :, 0]
        pairs = [strip[:, 16 + column * (2 * TILE + 18) :] for column in range(len(COLUMNS))]
        before, after = (np.hstack([pair[:, at : at + TILE] for pair in pairs]) for at in (0, TILE + 4))
        cut.append([before, after])
    return np.array(cut)


def test_a_page_per_anonymizer_shows_heads_before_and_after(phantoms: tuple[Run, Store]) -> None:
    run, store = phantoms
    heard: list[tuple[int, int]] = []
    files = write_pages(ended(run), store, progress=lambda done, total: heard.append((done, total)))
    assert [file.name for file in files] == ["01_identity.png", "02_smear_reach=5.png"]
    assert {file.parent for file in files} == {run.folder / "qc"}
    kept, smeared = (tiles(pixels(file), 4) for file in files)
    np.testing.assert_array_equal(kept[:, 0], smeared[:, 0])
    np.testing.assert_array_equal(kept[:, 0], kept[:, 1])
    assert (kept[:, 0] > 100).mean() > 0.1
    sagittal = smeared[..., :TILE]  # what is smeared is the front half, to the left
    assert (sagittal[:, 0] != sagittal[:, 1])[..., : TILE // 2 - 10].mean() > 0.1
    np.testing.assert_array_equal(sagittal[:, 0, :, TILE // 2 + 10 :], sagittal[:, 1, :, TILE // 2 + 10 :])
    assert not any((pixels(file) == ALARM).all(axis=2).any() for file in files)
    assert heard == [(done, 8) for done in range(9)]


def test_those_on_whom_it_did_not_work_come_first_and_in_red(phantoms: tuple[Run, Store]) -> None:
    run, store = phantoms
    plain = tiles(pixels(write_pages(ended(run, "identity"), store)[0]), 4)
    page = pixels(write_pages(ended(run, "identity", P004="face left"), store)[0])
    np.testing.assert_array_equal(tiles(page, 4), plain[[3, 0, 1, 2]])
    red = np.flatnonzero((page == ALARM).all(axis=2).any(axis=1))
    first_tiles = page.shape[0] - 32 - 4 * TILE - 3 * BETWEEN_ROWS
    assert len(red)
    assert first_tiles - 30 < red.min() <= red.max() < first_tiles


def test_a_failed_anonymization_is_shown_without_a_release(phantoms: tuple[Run, Store]) -> None:
    run, store = phantoms
    keys = json.loads((run.folder / "jobs.json").read_text())
    del keys["anonymize P002 smear(reach=5)"]
    (elsewhere := store.root / "elsewhere").mkdir(exist_ok=True)
    (elsewhere / "jobs.json").write_text(json.dumps(keys))
    (file,) = write_pages(replace(ended(run, "smear", P002="failed"), folder=elsewhere), store)
    shown = tiles(pixels(file), 4)
    assert shown[0, 0].max() > 200
    assert (shown[0, 1] > 20).mean() < 0.05  # but for the words
    assert shown[1, 1].max() > 200


def test_real_people_are_drawn_only_when_asked_for(tmp_path: Path) -> None:
    run, store = made(tmp_path, "anonymizers: [identity]\ndataset: {tiny_heads: {people: 4}}")
    with pytest.raises(RefbenchError, match="--faces"):
        write_pages(run, store)
    assert not (run.folder / "qc").exists()
    (file,) = write_pages(run, store, faces=True)
    top = pixels(file)[16:40]
    assert (top == ALARM).all(axis=2).sum() > 10 * len(WARNING)


def test_a_store_without_the_heads_is_named(phantoms: tuple[Run, Store], tmp_path: Path) -> None:
    with pytest.raises(RefbenchError, match="--store"):
        write_pages(phantoms[0], Store(tmp_path))


@st.composite
def subjects(draw: st.DrawFn) -> pd.DataFrame:
    outcomes = draw(st.lists(st.sampled_from(["ok", "face left", "failed"]), min_size=1, max_size=40))
    sessions = draw(st.integers(1, 3))
    return pd.DataFrame(
        {
            "subject": [f"P{number // sessions:03}" for number in range(len(outcomes))],
            "session": [str(1 + number % sessions) for number in range(len(outcomes))],
            "outcome": outcomes,
        }
    )


@settings(max_examples=60, deadline=None)
@given(table=subjects())
def test_who_is_drawn(table: pd.DataFrame) -> None:
    drawn = choose(table)
    assert not drawn.index.duplicated().any()
    bad = table["outcome"] != "ok"
    first = drawn.iloc[: min(TROUBLED, bad.sum())]
    assert bad[first.index].all()
    # The others are those of a cohort on which all went well.
    calm = choose(table.assign(outcome="ok"))
    assert len(calm) == min(PEOPLE, table["subject"].nunique())
    assert set(calm.index) <= set(drawn.index) <= set(calm.index) | set(first.index)
    places = [list(table["subject"].unique()).index(subject) for subject in calm["subject"]]
    assert places == sorted(set(places))
    steps = np.diff(places)
    assert not len(steps) or np.ptp(steps) <= 1


def head() -> Head:
    """A ball with a nose in front, a bright right side and a bright top."""
    x, y, z = np.meshgrid(*(np.arange(40),) * 3, indexing="ij")
    ball = (x - 20) ** 2 + (y - 17) ** 2 + (z - 20) ** 2 < 14**2
    nose = (x - 20) ** 2 + (y - 32) ** 2 + (z - 20) ** 2 < 4**2
    voxels = np.where(ball | nose, 100 + 50 * (x > 24) + 25 * (z > 26), 0).astype(np.float32)
    return Head(voxels, np.diag([5.0, 5.0, 5.0, 1.0]))


def test_pictures_look_to_the_left_and_show_the_right_at_the_left() -> None:
    given = head()
    face = np.zeros(given.voxels.shape, dtype=bool)
    face[:, 20:, 10:26] = True
    camera = Camera.aim(given, face)
    assert (camera.column, camera.level) == (20, 20)  # 24 mm below the top of the face
    sagittal, axial, _, profile = (tile.astype(int) for tile in camera.tiles(given.voxels))
    for picture in (sagittal, profile):
        columns = np.flatnonzero((picture > 50).any(axis=0))
        middle = np.flatnonzero(picture[TILE // 2 - 30] > 50)
        assert middle[0] - columns[0] > columns[-1] - middle[-1]
    assert sagittal[50, 100] > sagittal[130, 100] + 20
    assert axial[110, 60] > axial[110, 140] + 50
    rows = np.flatnonzero((axial > 50).any(axis=1))
    assert rows[0] == pytest.approx((40 - 36) * 5, abs=6)


def test_releases_are_drawn_with_the_originals_grey_values_and_threshold() -> None:
    given = head()
    camera = Camera.aim(given, None)
    dim = camera.tiles(given.voxels * np.float32(camera.threshold / given.voxels.max()))
    assert all(tile.max() < 40 for tile in dim[:2])
    assert not any(tile.any() for tile in dim[2:])


def test_any_text_fits_on_a_page() -> None:
    black = (np.zeros((TILE, TILE), dtype=np.uint8),) * len(COLUMNS)
    rows = [Row("a very long note: " + "gone " * 500, False, black, None), Row("", True, None, None)]
    page = draw_page("µ" * 400, ["ω" * 900], rows, "!" * 400)
    assert page.width == 32 + len(COLUMNS) * (2 * TILE + 18) - 14
    assert (np.asarray(page)[:, -14:] == np.asarray(page)[0, 0]).all()
