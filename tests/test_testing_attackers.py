"""`refbench.testing` names each fault of an attacker, and the command line tells by its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from conftest import Workplace

from refbench import testing_attackers
from refbench.attackers.base import Attacker, Needs, Reconstructor, TrainingContext
from refbench.plugin import param
from refbench.testing import assert_conforms, check, remark
from refbench.testing_attackers import (
    ALONE,
    BLANK,
    BRIEF,
    IDENTITY,
    INPUT,
    NOBODY,
    REGION,
    RUNS,
    SAVED,
    SEED,
    SHUFFLED,
    SIDE,
    STEPS,
    TEST,
    check_attacker,
)
from refbench.testing_cohort import PLANES, toy_cohort
from refbench.types import Images, ReleasedSlices, SlicePairs

RULES = [RUNS, INPUT, SEED, SAVED, ALONE, REGION, NOBODY, BLANK, IDENTITY, SHUFFLED]

Change = Callable[[ReleasedSlices, Images], Images]


class Line(Reconstructor):
    """Applies a straight line to every pixel, and then whatever fault is asked for."""

    def __init__(self, slope: float, offset: float, change: Change = lambda released, images: images) -> None:
        self.slope, self.offset, self.change = slope, offset, change

    def reconstruct(self, released: ReleasedSlices) -> Images:
        images = np.clip(self.slope * released.images + self.offset, 0, 1).astype(np.float32)
        return self.change(released, images)

    def save(self, folder: Path) -> None:
        (folder / "line.json").write_text(json.dumps([self.slope, self.offset]))


class Good(Attacker):
    """The straight line that fits the training pixels best."""

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        x, y = train.released.images.ravel().astype(np.float64), train.original.ravel().astype(np.float64)
        slope = float(np.cov(x, y)[0, 1] / x.var()) if x.var() else 0.0
        return self.line(slope, float(y.mean() - slope * x.mean()))

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        return self.line(*json.loads((folder / "line.json").read_text()))

    def line(self, slope: float, offset: float) -> Reconstructor:
        return Line(slope, offset, self.change)

    def change(self, released: ReleasedSlices, images: Images) -> Images:
        return images


class WritesIntoOriginals(Good):
    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        trained = super().fit(train, validation, context)
        train.original[:] = 0
        return trained


class WritesIntoReleases(Good):
    def change(self, released: ReleasedSlices, images: Images) -> Images:
        released.images[:] = images
        return images


class Unseeded(Good):
    def line(self, slope: float, offset: float) -> Reconstructor:
        return Line(slope, offset + float(np.random.default_rng().uniform(0, 0.01)))

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        return Line(*json.loads((folder / "line.json").read_text()))


class RemembersItsCalls(Good):
    """Another image at every call, as with dropout that was left on; the rules in between see it, too."""

    calls: ClassVar[list[int]] = []

    def change(self, released: ReleasedSlices, images: Images) -> Images:
        self.calls.append(0)
        return images * np.float32(1 / len(self.calls))


class Forgets(Good):
    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        return Line(1.0, 0.0)


class Pickled(Line):
    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "model.pt").write_bytes(b"")


class Pickles(Good):
    def line(self, slope: float, offset: float) -> Reconstructor:
        return Pickled(slope, offset)


class PickledArrays(Line):
    def save(self, folder: Path) -> None:
        super().save(folder)
        np.savez(folder / "arrays.npz", names=np.array(["a", None], dtype=object))


class PicklesArrays(Good):
    def line(self, slope: float, offset: float) -> Reconstructor:
        return PickledArrays(slope, offset)


class LooksAround(Good):
    def change(self, released: ReleasedSlices, images: Images) -> Images:
        return np.clip(images + images.mean() - np.float32(0.25), 0, 1)


class Peeks(Good):
    def change(self, released: ReleasedSlices, images: Images) -> Images:
        return images if released.changed is None else np.where(released.changed, 0, images)


class Told(Peeks):
    region: Literal["estimated", "known"] = param("known", "the true region")

    def change(self, released: ReleasedSlices, images: Images) -> Images:
        assert released.changed is not None, "no region"
        return images


class AsksTheValidation(Good):
    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        assert len(validation), "nobody to ask"
        return super().fit(train, validation, context)


class NeedsContrast(Good):
    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        assert train.released.images.std(), "no contrast"
        return super().fit(train, validation, context)


class Inverts(Good):
    def change(self, released: ReleasedSlices, images: Images) -> Images:
        return 1 - images


class OneImageForAll(Good):
    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        return Mean(train.original.reshape(-1, PLANES, SIDE, SIDE).mean(axis=0))

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        with np.load(folder / "mean.npz") as arrays:
            return Mean(arrays["mean"])


class Mean(Reconstructor):
    def __init__(self, mean: Images) -> None:
        self.mean = mean

    def reconstruct(self, released: ReleasedSlices) -> Images:
        return self.mean[released.position]

    def save(self, folder: Path) -> None:
        np.savez(folder / "mean.npz", mean=self.mean)


class KnowsTheTestPeople(Good):
    """Recognises them by what is left of them."""

    def change(self, released: ReleasedSlices, images: Images) -> Images:
        people = toy_cohort("identity", *TEST, SIDE).original
        out = images.copy()
        for number, image in enumerate(released.images):
            equal = (image == people).mean(axis=(1, 2))
            if equal.max() > 0.5:
                out[number] = people[equal.argmax()]
        return out


class Unpaired(KnowsTheTestPeople):
    @property
    def needs(self) -> Needs:
        return "unpaired"


class Counts(Good):
    steps: int | None = param(None, "steps", ge=1)
    budget_minutes: float | None = param(None, "minutes", gt=0)
    seen: ClassVar[list[tuple[int | None, float | None]]] = []

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        assert context.deterministic
        self.seen.append((self.steps, self.budget_minutes))
        return super().fit(train, validation, context)


def broken_rules(attacker: Attacker) -> dict[str, str]:
    return {result.rule: result.problem for result in check_attacker(attacker) if not result.passed}


def test_a_good_one_keeps_every_rule() -> None:
    results = list(check(Good()))
    assert [result.rule for result in results] == RULES
    assert all(result.passed and not result.skipped for result in results)
    assert remark(Good()) == ""
    assert_conforms(Good())


@pytest.mark.parametrize(
    ("faulty", "rule", "said"),
    [
        (WritesIntoOriginals, INPUT, "originals of the train people"),
        (WritesIntoReleases, INPUT, "images of the test people's released slices"),
        (Unseeded, SEED, "context.seed"),
        (Forgets, SAVED, "pixels differ once it is loaded"),
        (Pickles, SAVED, "model.pt"),
        (PicklesArrays, SAVED, "allow_pickle"),
        (LooksAround, ALONE, "once a release comes alone"),
        (Peeks, REGION, "declare `region`"),
        (AsksTheValidation, NOBODY, "nobody to ask"),
        (NeedsContrast, BLANK, "no contrast"),
        (Inverts, IDENTITY, "of the variance of new people"),
        (OneImageForAll, IDENTITY, "of the variance of new people"),
        (KnowsTheTestPeople, SHUFFLED, "never shown whose face belongs to whom"),
    ],
)
def test_each_fault_breaks_its_own_rule_and_no_other(faulty: type[Attacker], rule: str, said: str) -> None:
    broken = broken_rules(faulty())
    assert list(broken) == [rule]
    assert said in broken[rule]


def test_chance_at_test_time_is_found() -> None:
    assert "draw nothing at test time" in broken_rules(RemembersItsCalls())[SEED]


def test_where_pairs_are_not_used_shuffling_them_is_no_trial() -> None:
    *others, shuffled = check_attacker(Unpaired())
    assert all(result.passed and not result.skipped for result in others)
    assert shuffled.passed
    assert "unpaired" in shuffled.skipped


def test_who_says_that_it_is_told_the_region_is_told_it() -> None:
    results = {result.rule: result for result in check_attacker(Told())}
    assert all(result.passed for result in results.values())
    assert [rule for rule, result in results.items() if result.skipped] == [REGION]
    with pytest.raises(AssertionError, match="no region"):
        assert_conforms(Told(region="estimated"))


def never(released: ReleasedSlices, images: Images) -> Images:
    raise RuntimeError("never works")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda released, images: np.where(images > 0, np.float32(np.nan), images), "NaN or infinite"),
        (lambda released, images: images[1:], "must be float32"),
        (lambda released, images: images.astype(np.float64), "must be float32"),
        (lambda released, images: 2 * images - 1, "goes from -1 to"),
        (lambda released, images: images.tolist(), "not list"),
        (never, "RuntimeError: never works"),
    ],
)
def test_after_images_that_are_none_nothing_else_is_tried(change: Any, said: str) -> None:
    class Faulty(Good):
        def line(self, slope: float, offset: float) -> Reconstructor:
            return Line(slope, offset, change)

    results = list(check_attacker(Faulty()))
    assert [result.rule for result in results] == [RUNS]
    assert said in results[0].problem


@pytest.mark.parametrize(
    ("given", "judged", "cut"),
    [
        ({}, STEPS, True),
        ({"budget_minutes": 60}, STEPS, True),
        ({"steps": 7}, 7, False),
        ({"steps": 4000}, 4000, False),
    ],
)
def test_trainings_are_short_unless_steps_are_named(given: dict[str, Any], judged: int, cut: bool) -> None:
    attacker = Counts(**given)
    Counts.seen.clear()
    assert not broken_rules(attacker)
    assert Counts.seen == [(BRIEF, None)] * 4 + [(judged, None)] * 2
    assert (f"after {STEPS} steps" in remark(attacker)) is cut


def test_what_shuffled_pairs_may_give_is_an_average_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is sharp: somebody who is just as good as the average face passes, a third better does not."""

    class Nearer(Good):
        part: float = param(0.0, "how far from the average to the original", ge=0, le=1)

        def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
            return Line(1, 0, self.change)

        def change(self, released: ReleasedSlices, images: Images) -> Images:
            average = testing_attackers.average_faces(*TEST, SIDE)
            original = toy_cohort("identity", *TEST, SIDE).original
            return average + np.float32(self.part) * (original - average)

    assert testing_attackers._knows_people(Nearer(part=0)) == ""
    assert testing_attackers._knows_people(Nearer(part=0.04)) == "", "8 % of the error may be gone"
    assert "44% closer" in testing_attackers._knows_people(Nearer(part=0.25))


def test_commands_that_name_nothing(workplace: Workplace) -> None:
    unknown = workplace.refbench("check", "attacker", "pix2pixx")
    assert unknown.returncode == 2
    assert "pix2pix" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_the_exit_code_tells_whether_an_attacker_conforms(workplace: Workplace) -> None:
    good = workplace.refbench("check", "attacker", "none")
    assert good.returncode == 0, good.stderr
    assert good.stdout.count("✓") == len(RULES) - 1
    assert "– learns nothing about new people from shuffled pairs: it learns nothing at all" in good.stdout
    assert "none keeps them all." in good.stdout
    file = workplace.folder / "mine.py"
    file.write_text(
        "from refbench.attackers.none import NoAttack, Unchanged\n"
        "class Inverted(Unchanged):\n"
        "    def reconstruct(self, released):\n"
        "        return 1 - released.images\n"
        "class Inverts(NoAttack):\n"
        "    def fit(self, train, validation, context):\n"
        "        return Inverted()\n"
        "    def load(self, folder, device='cpu'):\n"
        "        return Inverted()\n"
    )
    bad = workplace.refbench("check", "attacker", "inverts", "--plugin", file)
    assert bad.returncode == 3
    assert f"✗ {IDENTITY}" in bad.stdout
    assert "breaks 1 rule(s)" in bad.stderr
