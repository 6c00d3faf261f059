"""`refbench.testing` names each fault of a metric and of a dataset."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from refbench import testing_datasets as datasets
from refbench import testing_metrics as metrics
from refbench.datasets.base import Dataset, Scan
from refbench.datasets.phantom import Phantom
from refbench.metrics.base import Metric
from refbench.metrics.correlation import Correlation
from refbench.metrics.ssim import SSIM
from refbench.testing import assert_conforms, check, remark
from refbench.types import Head, Images, Region


class Near(Metric):
    """One minus the mean absolute difference."""

    symmetric: ClassVar[bool] = True

    def score(self, reference: Images, candidate: Images, region: Region) -> Any:
        crop = (slice(None), *region.box)
        mask = region.mask[crop]
        total = np.where(mask, np.abs(reference[crop].astype(float) - candidate[crop]), 0).sum(axis=(1, 2))
        count = mask.sum(axis=(1, 2))
        return 1 - np.where(count > 0, total / np.maximum(count, 1), np.nan)


class Writes(Near):
    def score(self, reference: Images, candidate: Images, region: Region) -> Any:
        scores = super().score(reference, candidate, region)
        if candidate.flags.writeable and not np.array_equal(reference, candidate):
            candidate[:] = 0
        return scores


class Random(Near):
    def score(self, reference: Images, candidate: Images, region: Region) -> Any:
        return super().score(reference, candidate, region) - 1e-8 * np.random.default_rng().random(len(reference))


class Ranks(Near):
    def score(self, reference: Images, candidate: Images, region: Region) -> Any:
        scores = super().score(reference, candidate, region)
        return scores + 1e-3 * (np.nanmean(scores) - 1) if len(scores) > 1 else scores


class HighCeiling(Near):
    ceiling: ClassVar[float] = 2.0


class Whole(Near):
    def score(self, reference: Images, candidate: Images, region: Region) -> Any:
        scores = super().score(reference, candidate, Region("whole", np.ones(reference.shape, bool)))
        return np.where(region.mask.any(axis=(1, 2)), scores, np.nan)


class NoughtOfNothing(Near):
    def score(self, reference: Images, candidate: Images, region: Region) -> Any:
        return np.nan_to_num(super().score(reference, candidate, region))


class Lopsided(Near):
    def score(self, reference: Images, candidate: Images, region: Region) -> Any:
        scores = super().score(reference, candidate, region)
        return scores - 0.1 * (1 - scores) * reference.mean(axis=(1, 2))


class Distance(Near):
    ceiling: ClassVar[float] = 0.0

    def score(self, reference: Images, candidate: Images, region: Region) -> Any:
        return 1 - super().score(reference, candidate, region)


def broken(plugin: Metric | Dataset) -> set[str]:
    return {result.rule for result in check(plugin) if not result.passed}


@pytest.mark.parametrize("metric", [Near(), Correlation(), SSIM(), SSIM(sigma=3)])
def test_good_metrics_keep_every_rule(metric: Metric) -> None:
    assert_conforms(metric)
    assert remark(metric).startswith("On toy heads: themselves 1, ")


@pytest.mark.parametrize(
    ("faulty", "rules"),
    [
        (Writes, {metrics.INPUT}),
        (Random, {metrics.SAME}),
        (Ranks, {metrics.ALONE}),
        (HighCeiling, {metrics.CEILING}),
        (Whole, {metrics.BOX, metrics.MASK}),
        (NoughtOfNothing, {metrics.EMPTY}),
        (Lopsided, {metrics.SYMMETRIC}),
        (Distance, {metrics.RANGE, metrics.ORDER, metrics.MASK}),
    ],
)
def test_each_fault_of_a_metric_breaks_its_own_rules(faulty: type[Metric], rules: set[str]) -> None:
    assert broken(faulty()) == rules


def test_a_metric_that_gives_one_number_for_all_is_not_tried_further() -> None:
    class Single(Near):
        def score(self, reference: Images, candidate: Images, region: Region) -> Any:
            return 1.0

    assert [result.rule for result in check(Single())] == [metrics.RUNS]


class Files(Dataset):
    """Arrays in a folder."""

    path: Path

    def scans(self) -> list[Scan]:
        return [Scan(file.stem, "here", files=(file,)) for file in sorted(self.path.glob("*.npy"))]

    def load(self, scan: Scan) -> Head:
        return Head(np.load(scan.files[0]), np.diag([2.0, 2.0, 2.0, 1.0]))


calls = itertools.count()


class Opens(Files):
    def scans(self) -> list[Scan]:
        return [scan for scan in super().scans() if np.load(scan.files[0]).size]


class Shuffles(Files):
    def scans(self) -> list[Scan]:
        scans = super().scans()
        return scans[::-1] if next(calls) % 2 else scans


class Twice(Files):
    def scans(self) -> list[Scan]:
        return [Scan("one", scan.site, files=scan.files) for scan in super().scans()]


class Gone(Files):
    def scans(self) -> list[Scan]:
        first, *others = super().scans()
        return [first, *(Scan(scan.subject, scan.site, files=(Path("gone.npy"),)) for scan in others)]


class NoJson(Files):
    def scans(self) -> list[Scan]:
        return [Scan(scan.subject, scan.site, files=scan.files, recipe={"a": {1}}) for scan in super().scans()]


class Lying(Files):
    def load(self, scan: Scan) -> Head:
        return Head(super().load(scan).voxels, np.diag([-2.0, 2.0, 2.0, 1.0]))


class Promises(Files):
    def label_names(self) -> frozenset[str]:
        return frozenset({"brain"})


class ByName(Files):
    def load(self, scan: Scan) -> Head:
        head = super().load(scan)
        return head.with_voxels(head.voxels + np.float32(len(scan.subject)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("anna", "bert"):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).random((4, 5, 6), np.float32))
    return tmp_path


def test_good_datasets_keep_every_rule(folder: Path) -> None:
    assert_conforms(Files(path=folder))
    assert remark(Files(path=folder)) == "2 scan(s); people by site: here 2"
    assert_conforms(Phantom(subjects=2, scale=0.2))


@pytest.mark.parametrize(
    ("faulty", "rule"),
    [
        (Opens, datasets.UNOPENED),
        (Shuffles, datasets.STABLE),
        (Twice, datasets.UNIQUE),
        (Gone, datasets.FILES),
        (NoJson, datasets.RECIPES),
        (Lying, datasets.LOADS),
        (Promises, datasets.LABELS),
        (ByName, datasets.REPEATS),
    ],
)
def test_each_fault_of_a_dataset_breaks_its_own_rule(faulty: type[Files], rule: str, folder: Path) -> None:
    assert broken(faulty(path=folder)) == {rule}


def test_a_dataset_without_scans_is_not_tried_further(tmp_path: Path) -> None:
    assert [result.rule for result in check(Files(path=tmp_path))] == [datasets.LISTS]
