"""From download to leaderboard: 30 made-up people of IXI, through the commands that a user types; and real ones."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import Workplace
from local_server import LocalServer, serving
from made_up_ixi import packed, write_cohort, write_spreadsheet
from small_heads import without_affine

from refbench.results import load_run
from refbench.store import Store
from refbench.suite_text import find_suite

pytestmark = pytest.mark.slow

PEOPLE, SCALE = 30, 0.2


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the project would have put on its server, and the brains, which it does not publish."""
    folder = tmp_path_factory.mktemp("published")
    files = write_cohort(folder / "IXI-T1", PEOPLE, SCALE, regions=folder / "brain_regions")
    (folder / "IXI-T1.tar").write_bytes(packed({file.name: file.read_bytes() for file in files}))
    write_spreadsheet(folder / "IXI.csv", PEOPLE)
    return folder


@pytest.fixture
def server(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"IXI-T1.tar": (published / "IXI-T1.tar").read_bytes()}) as server:
        yield server


def shortened(path: Path) -> Path:
    """The suite that comes with refbench, where it belongs beside `data/`, for as few and small people as these.

    Its path, the way its slices are cut and scaled, and its kinds of anonymizers and attackers stay.
    """
    suite = yaml.safe_load(find_suite("ixi").read_text())
    suite["slices"]["size"] = 64
    suite["split"] = {"test": 6, "validation": 0}  # `paper-all` tests 81
    suite["controls"] = False  # spares their trainings; so few steps would not be believed
    known = [{name: {"brain": "template"}} for name in ("mask_face", "mri_deface")]  # spares deepbet, seconds per head
    suite["anonymizers"] = ["blank", {"blur": {"strength_mm": 4}}, *known]
    assert suite["attackers"][-1] == "cyclegan"
    suite["attackers"][-1] = {"cyclegan": {"preset": "small", "width": 4, "steps": 2}}
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(suite))
    return path


def test_from_download_to_leaderboard(workplace: Workplace, server: LocalServer, published: Path) -> None:
    server.break_after = [10**9, 100_000]  # of the archive; the spreadsheet is not there
    got = workplace.refbench("data", "ixi", "data", "--yes", "--any-checksum", "--source", server.address)
    assert got.returncode == 0, got.stderr
    assert f"{PEOPLE} scan(s): {PEOPLE} can be used, 0 cannot; 0 of another shape" in got.stdout
    heads = workplace.folder / "data" / "IXI-T1"
    assert len(list(heads.iterdir())) == PEOPLE
    shutil.copytree(published / "brain_regions", heads.parent / "brain_regions")
    shutil.copy(published / "IXI.csv", heads.parent)

    suite = shortened(workplace.folder / "suites" / "ixi.yaml")
    verified = workplace.refbench("data", "verify", suite)
    assert (verified.returncode, verified.stderr) == (0, "")

    process = workplace.start("run", suite)
    shown, errors = process.communicate(timeout=1800)
    assert process.returncode == 0, errors
    assert all(site in shown for site in ("Guys", "HH", "IOP"))
    run = load_run(workplace.run_folder())
    assert set(run.cells["status"]) == {"ok"}
    assert set(run.subjects["part"]) == {"train", "test"}
    assert set(run.scores["site"]) == {"Guys", "HH", "IOP"}
    rows = json.loads(workplace.refbench("leaderboard", "--format", "json").stdout)["rows"]
    assert sorted(row["rank"] for row in rows) == [1, 2, 3, 4]
    for row in rows:
        figures = [row[f"reconstructed_correlation_front_half_{site}"] for site in ("Guys", "HH", "IOP", "all")]
        assert np.isfinite(figures).all()
    split = pd.read_csv(run.folder / "split.csv", keep_default_na=False)
    assert split["part"].value_counts().to_dict() == {"train": 24, "test": 6}


def rewritten(file: Path, change: object) -> None:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(file.read_bytes()))
    file.write_bytes(gzip.compress(change(image)))  # type: ignore[operator]


def without_a_slab(image: nib.Nifti1Image) -> bytes:
    raw: bytes = image.slicer[: image.shape[0] // 2].to_bytes()
    return raw


def test_five_files_damaged_in_five_ways_are_named_and_no_other(workplace: Workplace, published: Path) -> None:
    files = sorted(Path(shutil.copytree(published / "IXI-T1", workplace.folder / "IXI-T1")).iterdir())
    truncated, flipped, no_affine, halved, swapped = files[3], files[9], files[15], files[21], files[28]
    truncated.write_bytes(truncated.read_bytes()[:-5000])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4] = b"\xff\x00\xff\x00"
    flipped.write_bytes(content)
    rewritten(no_affine, without_affine)
    rewritten(halved, without_a_slab)
    swapped.write_bytes(files[5].read_bytes())

    result = workplace.refbench("data", "verify", workplace.folder / "IXI-T1")
    assert result.returncode == 3
    said = dict(re.findall(r"^  [!✗] (\S+): (.*)$", result.stdout + result.stderr, re.MULTILINE))
    assert set(said) == {str(file) for file in (truncated, flipped, no_affine, halved, swapped)}
    for file, problem in (
        (truncated, "truncated or damaged gzip"),
        (flipped, "truncated or damaged gzip"),
        (no_affine, "voxels of 0 x 0 x 0 mm"),
        (halved, f"most of {halved.name.split('-')[1]} are"),
        (swapped, f"the same content as {files[5]}"),
    ):
        assert problem in said[str(file)]
    assert "30 scan(s): 26 can be used, 4 cannot; 1 of another shape" in result.stdout


PREPARATION = ("head", "register", "face", "skin", "anonymize", "check", "slice")
PAIR_BYTES = 4 + 4 + 1  # original, released, changed


def test_real_people_are_prepared_at_constant_memory(
    workplace: Workplace, ixi_folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """`suites/ixi_hh.yaml` with one anonymizer and untrained attackers, for more and more of its people.

    `benchmarks/prepare_cohort.py` does so with many more phantoms.
    """
    suite = yaml.safe_load(find_suite("ixi_hh").read_text())
    suite |= {"anonymizers": ["blank"], "attackers": ["none", {"mean_face": {"aligned": False}}]}
    peaks = {}
    try:
        for people in (6, 15):
            suite["dataset"] = {"ixi": {"path": str(ixi_folder), "limit": people}}
            suite["split"] = {"test": people // 6, "validation": 1}
            path = workplace.folder / f"people_{people}.yaml"
            path.write_text(yaml.safe_dump(suite))
            peaks[people] = peak_memory(workplace, path)
            record_property(f"peak MB, {people} people", peaks[people])
    finally:
        shutil.rmtree(workplace.folder / "store", ignore_errors=True)  # faces of real people
    few, all_ = peaks[6], peaks[15]
    for kind in (*PREPARATION, "the runner"):
        assert all_[kind] <= 1.1 * few[kind] + 10, f"{kind}: {peaks}"
    # What learns from all people may hold all of their slices, once as they are read and once together.
    slices = suite["slices"]
    data = 12 * slices["count"] * slices["size"] ** 2 * PAIR_BYTES / 1e6
    assert max(all_["train"], all_["reconstruct"], all_["score"]) <= max(few["train"], few["score"]) + 2 * data, peaks


def peak_memory(workplace: Workplace, suite: Path) -> dict[str, float]:
    """The largest memory of any job by its kind, and of the process that runs them, in MB, of one run."""
    with (workplace.folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "refbench", "run", str(suite)],
            cwd=workplace.folder,
            env=workplace.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (workplace.folder / "output.txt").read_text()
    store = Store(workplace.folder / "store")
    (run,) = (store.root / "runs").glob(f"{suite.stem}-*")
    peaks = {"the runner": usage.ru_maxrss / 1e3}
    for label, key in json.loads((run / "jobs.json").read_text()).items():
        record = store.status(key)
        assert record is not None
        kind = label.split()[0]
        peaks[kind] = max(peaks.get(kind, 0), record["peak_memory_mb"])
    return peaks
