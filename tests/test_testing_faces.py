"""`refbench.testing` names each fault of a recognizer and of a metric of whole heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from refbench import testing_head_metrics as head_metrics
from refbench import testing_recognizers as recognizers
from refbench.errors import DataError
from refbench.metrics.head_metrics.base import HeadMetric, HeadPair
from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer
from refbench.testing import assert_conforms, check, remark

TINY = 4
"""Every so many pixels are looked at, to be quick."""


class Near(Recognizer):
    """Mean distance of faces, at what all training people have."""

    def fit(self, faces: Faces, people: Any, rng: np.random.Generator) -> Matcher:
        return NearMatcher(np.isfinite(faces.relief[faces.placed, ::TINY, ::TINY]).all(axis=0))

    def load(self, folder: Path) -> Matcher:
        return NearMatcher(np.load(folder / "where.npz")["where"])


class NearMatcher(Matcher):
    def __init__(self, where: Any) -> None:
        self.where = where

    def similarity(self, probes: Faces, gallery: Faces) -> Any:
        asked, shown = (faces.relief[:, ::TINY, ::TINY][:, self.where].astype(float) for faces in (probes, gallery))
        return -np.abs(asked[:, None] - shown[None]).mean(axis=2)

    def save(self, folder: Path) -> None:
        np.savez(folder / "where.npz", where=self.where)


def variant(name: str, **methods: Any) -> Recognizer:
    """A `Near` whose matcher has other methods; `fit` and `load` make such a matcher."""
    matcher = type(f"{name}Matcher", (NearMatcher,), {key: value for key, value in methods.items() if key != "fit"})

    def fit(self: Near, faces: Faces, people: Any, rng: np.random.Generator) -> Any:
        own = methods.get("fit", lambda *_: None)
        own(faces, people, rng)
        return matcher(Near.fit(self, faces, people, rng).where)  # type: ignore[attr-defined]

    def load(self: Near, folder: Path) -> Any:
        return matcher(Near.load(self, folder).where)  # type: ignore[attr-defined]

    return type(name, (Near,), {"fit": fit, "load": load, "__module__": __name__})()


def writes(self: Any, probes: Faces, gallery: Faces) -> Any:
    similar = NearMatcher.similarity(self, probes, gallery)
    if probes.relief.flags.writeable:
        probes.relief[1, 0] = 7
    return similar


def writes_in_training(faces: Faces, people: Any, rng: Any) -> None:
    if people.flags.writeable:
        people[0] = 3


def compares_nothing(self: Any, probes: Faces, gallery: Faces) -> Any:
    return np.nan_to_num(NearMatcher.similarity(self, probes, gallery), nan=-99.0)


def finds_nobody_unlike(self: Any, probes: Faces, gallery: Faces) -> Any:
    similar = NearMatcher.similarity(self, probes, gallery)
    return np.where(similar < -4, np.nan, similar)


def infinite(self: Any, probes: Faces, gallery: Faces) -> Any:
    holes = np.isnan(NearMatcher.similarity(self, probes, gallery)) & probes.placed[:, None] & gallery.placed
    return np.where(holes, -np.inf, NearMatcher.similarity(self, probes, gallery))


def draws(self: Any, probes: Faces, gallery: Faces) -> Any:
    similar = NearMatcher.similarity(self, probes, gallery)
    return similar + 1e-9 * np.random.default_rng().random(similar.shape)


def ranks(self: Any, probes: Faces, gallery: Faces) -> Any:
    similar = NearMatcher.similarity(self, probes, gallery)
    return similar if similar.size == 1 else similar - np.nanmean(similar)


def distance(self: Any, probes: Faces, gallery: Faces) -> Any:
    return -NearMatcher.similarity(self, probes, gallery)


def wants_all(faces: Faces, people: Any, rng: Any) -> None:
    assert faces.placed.all(), "a face is missing"


def pickles(self: Any, folder: Path) -> None:
    NearMatcher.save(self, folder)
    (folder / "model.pkl").touch()


def forgets(self: Any, folder: Path) -> None:
    np.savez(folder / "where.npz", where=np.zeros_like(self.where) | (np.arange(self.where.shape[1]) == 9))


def broken(plugin: Recognizer | HeadMetric) -> set[str]:
    return {result.rule for result in check(plugin) if not result.passed}


def test_a_good_recognizer_keeps_every_rule() -> None:
    assert_conforms(Near())
    assert remark(Near()) == "Of 4 toy people it knows 4 by another look at them"


@pytest.mark.parametrize(
    ("faulty", "rules"),
    [
        (variant("Writes", similarity=writes), {recognizers.INPUT}),
        (variant("WritesInTraining", fit=writes_in_training), {recognizers.INPUT}),
        (variant("ComparesNothing", similarity=compares_nothing), {recognizers.UNPLACED}),
        (variant("FindsNobodyUnlike", similarity=finds_nobody_unlike), {recognizers.UNPLACED}),
        (variant("Infinite", similarity=infinite), {recognizers.HIDDEN}),
        (variant("Draws", similarity=draws), {recognizers.SEED, recognizers.SAVED}),
        (variant("Pickles", save=pickles), {recognizers.SAVED}),
        (variant("Forgets", save=forgets), {recognizers.SAVED}),
        (variant("Ranks", similarity=ranks), {recognizers.ALONE}),
        (variant("Distance", similarity=distance), {recognizers.ITSELF}),
        (variant("WantsAll", fit=wants_all), {recognizers.LACKING}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Recognizer) else "",
)
def test_each_fault_of_a_recognizer_breaks_its_own_rules(faulty: Recognizer, rules: set[str]) -> None:
    assert broken(faulty) == rules


def test_a_recognizer_that_gives_one_number_for_all_is_not_tried_further() -> None:
    single = variant("Single", similarity=lambda self, probes, gallery: 1.0)
    assert [result.rule for result in check(single)] == [recognizers.RUNS]


class Changed(HeadMetric):
    """Share of voxels that changed."""

    figures: ClassVar[Mapping[str, str]] = {"changed": "share of voxels", "brain": "share of the brain's voxels"}
    headline: ClassVar[tuple[str, ...]] = ("changed",)

    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        changed = pair.original.voxels != pair.candidate.voxels
        labelled = pair.labelled_brain
        return {"changed": float(changed.mean()), "brain": np.nan if labelled is None else changed[labelled].mean()}


class HeadlessLine(Changed):
    headline: ClassVar[tuple[str, ...]] = ("chnaged",)


class Silent(Changed):
    figures: ClassVar[Mapping[str, str]] = {"changed": "share of voxels", "brain": ""}


class WritesHead(Changed):
    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        if pair.candidate.voxels.flags.writeable:
            pair.candidate.voxels[0, 0, 0] += 1
        return super().measure(pair)


class RandomHead(Changed):
    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        return {**super().measure(pair), "brain": float(np.random.default_rng().random())}


class OverNothing(Changed):
    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        changed = super().measure(pair)["changed"]
        return {"changed": changed, "brain": 1 / changed if changed else np.inf}


class WantsLabels(Changed):
    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        assert pair.labelled_brain is not None, "no label"
        return super().measure(pair)


class WantsHead(Changed):
    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        if not pair.candidate.voxels.any():
            raise ValueError("empty")
        return super().measure(pair)


class SaysSo(WantsHead):
    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        assert pair.find_skin(pair.original).part.size
        return {"changed": float(pair.candidate_brain.mean()), "brain": float(pair.brain.mean())}


@pytest.mark.parametrize("metric", [Changed(), SaysSo()])
def test_good_head_metrics_keep_every_rule(metric: HeadMetric) -> None:
    assert_conforms(metric)
    assert remark(metric).startswith("On a phantom without its face: changed ")


@pytest.mark.parametrize(
    ("faulty", "rule"),
    [
        (HeadlessLine, head_metrics.DECLARED),
        (Silent, head_metrics.DECLARED),
        (WritesHead, head_metrics.INPUT),
        (RandomHead, head_metrics.SAME),
        (OverNothing, head_metrics.ITSELF),
        (WantsLabels, head_metrics.UNLABELLED),
        (WantsHead, head_metrics.NOTHING),
    ],
)
def test_each_fault_of_a_head_metric_breaks_its_own_rule(faulty: type[HeadMetric], rule: str) -> None:
    assert broken(faulty()) == {rule}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"changed": 1.0}, "its class names changed, brain; it gave changed"),
        ({"changed": 1.0, "brain": "none"}, "brain is 'none'"),
        ({"changed": np.inf, "brain": 0.0}, "changed is inf"),
        (None, "not NoneType"),
        (DataError("no head"), "DataError: no head"),
    ],
)
def test_a_head_metric_that_gives_other_than_its_figures_is_not_tried_further(given: Any, said: str) -> None:
    class Other(Changed):
        def measure(self, pair: HeadPair) -> Any:
            if isinstance(given, Exception):
                raise given
            return given

    (only,) = check(Other())
    assert only.rule == head_metrics.RUNS
    assert said in only.problem
