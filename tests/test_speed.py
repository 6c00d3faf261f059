"""Speed of the hot paths, by pytest-benchmark: figures to compare, never asserts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from many_cells import fill, write_suite
from rich.console import Console

from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.blank import Blank
from refbench.anonymizers.blur import Blur
from refbench.anonymizers.brain import deepbet_brain
from refbench.anonymizers.caideface import Caideface
from refbench.anonymizers.coating import Coating
from refbench.anonymizers.mask_face import MaskFace
from refbench.anonymizers.mri_deface import MriDeface
from refbench.anonymizers.noise import Noise
from refbench.anonymizers.pixelate import Pixelate
from refbench.anonymizers.pydeface import Pydeface
from refbench.anonymizers.quickshear import Quickshear
from refbench.anonymizers.reface import Reface, template_average
from refbench.anonymizers.registration import register
from refbench.datasets.nifti import read_head
from refbench.datasets.phantom import Phantom
from refbench.leaderboard import Leaderboard, View, build_leaderboard
from refbench.metrics.correlation import Correlation
from refbench.metrics.ssim import SSIM
from refbench.plan import build_plan
from refbench.run import Outcome, execute
from refbench.significance import holm, sign_flip_test
from refbench.slicing import SliceOptions, cut
from refbench.statistics import bootstrap_weights, bounds, interval, resampled_over_seeds, seed_weights
from refbench.store import Store
from refbench.suite import load_suite
from refbench.suite_text import find_suite
from refbench.types import AnonymizedHead, Head, Region
from refbench.watch.console import ConsoleProgress

pytestmark = pytest.mark.slow

Benchmark = Any


@pytest.fixture(scope="module")
def phantom() -> Head:
    dataset = Phantom(scale=0.5)
    return dataset.load(dataset.scans()[0])


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0])
def test_phantom(benchmark: Benchmark, scale: float) -> None:
    dataset = Phantom(scale=scale)
    head = benchmark.pedantic(dataset.load, args=(dataset.scans()[0],), rounds=2)
    assert head.voxels.max() > 0


def test_cut_21_slices(benchmark: Benchmark, phantom: Head) -> None:
    released = AnonymizedHead(phantom, np.zeros(phantom.voxels.shape, dtype=bool))
    slices = benchmark(cut, phantom, released, phantom.labels["face"], SliceOptions(size=128))
    assert slices.original.shape == (21, 128, 128)


def test_registration(benchmark: Benchmark, phantom: Head) -> None:
    to_head = benchmark.pedantic(register, args=(phantom,), rounds=2)
    assert np.isfinite(to_head).all()


NATIVE = (
    MaskFace(),
    MaskFace(filter="blur"),
    MriDeface(backend="native"),
    Blur(strength_mm=4),
    Blur(strength_mm=4, region="head_surface"),
    Pixelate(),
    Noise(),
    Coating(),
    Pydeface(),
    Quickshear(),
    Caideface(),
    Reface(),
    Blank(),
)


@pytest.fixture(scope="module")
def real_head(heads_folder: Path) -> Head:
    """One real person's head, with all that anonymizers share."""
    head = read_head(heads_folder / "head_a_T1w.nii.gz")
    return replace(head, registration=register(head), brain=deepbet_brain(head), average=template_average())


@pytest.mark.parametrize("anonymizer", NATIVE, ids=lambda one: one.label(type(one).__name__))
def test_anonymizer(benchmark: Benchmark, real_head: Head, anonymizer: Anonymizer) -> None:
    if anonymizer.missing():
        pytest.skip(anonymizer.missing())
    released = benchmark.pedantic(anonymizer.anonymize, args=(real_head, np.random.default_rng(0)), rounds=3)
    voxels = released.head.voxels if isinstance(released, AnonymizedHead) else released.voxels
    assert (voxels != real_head.voxels).any()


@pytest.mark.parametrize("metric", [Correlation(), SSIM()], ids=["correlation", "ssim"])
def test_metric_on_400_images(benchmark: Benchmark, metric: Any) -> None:
    images = np.random.default_rng(0).random((2, 400, 128, 128), dtype=np.float32)
    region = Region("whole", np.ones(images.shape[1:], dtype=bool))
    scores = benchmark.pedantic(metric.score, args=(images[0], images[1], region), rounds=2)
    assert np.isfinite(scores).all()


def test_plan_of_600_people(benchmark: Benchmark, tmp_path: Path) -> None:
    large = yaml.safe_load(find_suite("demo").read_text())
    large["dataset"]["phantom"]["subjects"] = 600
    (tmp_path / "large.yaml").write_text(yaml.safe_dump(large))
    suite, store = load_suite(str(tmp_path / "large.yaml")), Store(tmp_path / "store")
    plan = benchmark.pedantic(build_plan, args=(suite, store), rounds=2)
    assert len(plan.scans) == 600


def test_plan_of_1000_cells(benchmark: Benchmark, tmp_path: Path) -> None:
    suite, store = write_suite(tmp_path, 1000), Store(tmp_path / "store")
    plan = benchmark.pedantic(build_plan, args=(suite, store), rounds=3)
    assert len(plan.cells) == 1000


def test_cached_run_of_100_cells(benchmark: Benchmark, tmp_path: Path) -> None:
    """Plan, a look at every result, tables and leaderboard."""
    suite, store = write_suite(tmp_path, 100), Store(tmp_path / "store")
    fill(suite, store)

    def again() -> tuple[Outcome, Leaderboard]:
        outcome = execute(suite, store, ConsoleProgress(Console(quiet=True)))
        return outcome, build_leaderboard([outcome.run], View())

    outcome, board = benchmark.pedantic(again, rounds=2)
    assert outcome.cached == outcome.jobs
    assert len(board.rows) == 10


def test_statistics_of_81_people_and_20_rows(benchmark: Benchmark) -> None:
    """Intervals of 20 rows at three sites and overall, the paired differences of all pairs, and their tests."""
    rng = np.random.default_rng(0)
    of_site = np.repeat(np.array(["Guys", "HH", "IOP"], dtype=object), [45, 25, 11])
    values = rng.normal(0.8, 0.05, (81, 20, 3))
    first, second = np.triu_indices(20, k=1)

    def everything() -> Any:
        weights, trainings = bootstrap_weights(of_site), seed_weights(3)
        rows = np.stack([resampled_over_seeds(values[:, row], weights, trainings) for row in range(20)], axis=1)
        sites = [interval(values[of_site == site].mean(axis=2), weights[:, of_site == site]) for site in set(of_site)]
        differences = values.mean(axis=2)[:, second] - values.mean(axis=2)[:, first]
        return bounds(rows), sites, bounds(rows[:, second] - rows[:, first]), holm(sign_flip_test(differences))

    (low, high), *_, p = benchmark.pedantic(everything, rounds=3)
    assert (low < high).all()
    assert p.shape == (190,)
