"""Two releases of one scan, fused: what is certain comes back, what gains nothing is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Workplace
from scipy import ndimage

from refbench.composition import Attacked, compose_job
from refbench.fusion import FEATURES, KINDS, Fusion, Held, Lesson, learn
from refbench.job import Job
from refbench.jobs import compose
from refbench.jobs.task import gather
from refbench.plan import Plan, build_plan
from refbench.store import Store
from refbench.suite import load_suite
from refbench.types import Images, Mask
from refbench.worker import run_job

SHAPE = (3, 24, 24)
FACE = np.zeros(SHAPE, bool)
FACE[:, 4:20, 2:14] = True
UPPER, LOWER = FACE.copy(), FACE.copy()
UPPER[:, 12:], LOWER[:, :12] = False, False


def original(seed: int) -> Images:
    noise = np.random.default_rng(seed).random(SHAPE)
    return np.clip(ndimage.gaussian_filter(noise, (0, 1, 1)) * 2 - 0.5, 0.05, 1).astype(np.float32)


def removed(image: Images, where: Mask) -> tuple[Images, Images]:
    """A release without some pixels, and an attack that puts a constant there."""
    return np.where(where, np.float32(0), image), np.where(where, np.float32(0.5), image)


def blurred(image: Images, spread: float = 1.0) -> tuple[Images, Images]:
    """A release that is blurred in the face, and an attack that sharpens it a little."""
    smooth = ndimage.gaussian_filter(image, (0, spread, spread))
    release = np.where(FACE, smooth, image)
    sharper = smooth + 0.5 * (smooth - ndimage.gaussian_filter(smooth, (0, spread, spread)))
    return release, np.where(FACE, np.clip(sharper, 0, 1), image)


def as_is(image: Images) -> tuple[Images, Images]:
    return image, image


Hider = Callable[[Images], tuple[Images, Images]]


def lesson(seed: int, first: Hider, second: Hider, person: int | None = None) -> Lesson:
    image = original(seed)
    return Lesson(
        seed if person is None else person,
        Held(*first(image), *second(image)),
        image,
        FACE,
        lambda made: -float(np.square(made - image)[FACE].mean()),
    )


def taught(first: Hider, second: Hider, people: int = 6) -> tuple[Fusion, Lesson]:
    """What is learnt on some people, and somebody else."""
    return learn([lesson(seed, first, second) for seed in range(people)]), lesson(99, first, second)


def test_beside_the_original_itself_nothing_is_hidden() -> None:
    fusion, new = taught(blurred, as_is)
    np.testing.assert_allclose(fusion.apply(new.held), new.original, atol=0.01)


def test_the_same_release_twice_gains_nothing() -> None:
    """Although the attack leaves something to be gained: only a second release may."""
    fusion, new = taught(blurred, blurred)
    np.testing.assert_array_equal(fusion.apply(new.held), new.held.made)


def test_what_either_release_kept_comes_back() -> None:
    """Each release lacks another half of the face; neither alone is better than a guess in its half."""
    fusion, new = taught(lambda image: removed(image, UPPER), lambda image: removed(image, LOWER))
    assert fusion.how == "fused"
    np.testing.assert_allclose(fusion.apply(new.held), new.original, atol=0.02)


def test_of_two_blurs_both_help() -> None:
    fusion, new = taught(lambda image: blurred(image, 2.0), lambda image: blurred(image, 1.0))
    better = max(new.judge(new.held.made), new.judge(new.held.also_made))
    assert new.judge(fusion.apply(new.held)) > better


def test_a_release_that_says_nothing_is_left_out() -> None:
    """Its pixels and what the attacker made of it are noise of its own."""

    def noise(image: Images) -> tuple[Images, Images]:
        rng = np.random.default_rng(int(1e6 * image.sum()))
        return tuple(np.where(FACE, rng.random(SHAPE), image).astype(np.float32) for _ in range(2))

    def well(image: Images) -> tuple[Images, Images]:
        return np.where(FACE, np.float32(0), image), np.where(FACE, np.clip(image + 0.02, 0, 1), image)

    fusion, new = taught(well, noise)
    assert new.judge(fusion.apply(new.held)) >= new.judge(new.held.made)


def test_without_gain_the_better_one_is_taken_as_it_is() -> None:
    worse, better = (lambda image: removed(image, FACE)), blurred
    single = [lesson(0, worse, better)]
    assert learn(single).how == "second", "nobody is left out who could judge a fusion"
    assert learn([lesson(0, better, worse)]).how == "first"
    visits = [lesson(seed, worse, better, person=7) for seed in range(4)]
    assert learn(visits).how == "second", "visits of one person do not judge each other"


def test_what_the_first_release_kept_stands() -> None:
    new = lesson(3, lambda image: removed(image, UPPER), lambda image: removed(image, UPPER))
    for fusion in (Fusion("second", np.zeros((KINDS, FEATURES))), learn([])):
        made = fusion.apply(new.held)
        assert made[~UPPER].tobytes() == new.held.released[~UPPER].tobytes()


def test_without_validation_people_it_is_the_mean() -> None:
    new = lesson(3, lambda image: removed(image, UPPER), blurred)
    expected = (new.held.made + new.held.also_made) / 2
    np.testing.assert_array_equal(learn([]).apply(new.held)[UPPER], expected[UPPER])


def test_undefined_scores_decide_nothing() -> None:
    first = lesson(0, blurred, as_is)
    silent = Lesson(0, first.held, first.original, FACE, lambda made: float("nan"))
    assert learn([silent]).how == "first"


SUITE = """
plugins: [{tiny}, {cut}]
dataset: {{tiny_heads: {{people: 4}}}}
slices: {{count: 9, size: 24}}
split: {{test: 1, validation: 2}}
anonymizers: [smear, cut]
attackers: [offset]
"""
CUT_FILE = """
from refbench.anonymizers.base import Anonymizer

class Cut(Anonymizer):
    def anonymize(self, head, rng):
        voxels = head.voxels.copy()
        voxels[15:, 12:] = 0
        return head.with_voxels(voxels)
"""
SMEAR, CUT = 0, 1


@dataclass(frozen=True)
class Made:
    """All scans of a small cohort released twice and cut, by the jobs themselves; attacks that bring all back."""

    plan: Plan
    store: Store
    plugins: tuple[Path, ...]

    def run(self, job: Job) -> Path:
        scratch = self.store.scratch(job.key)
        scratch.mkdir(parents=True, exist_ok=True)
        run_job(job, self.store, scratch, self.plugins, "cpu", lambda *_: None)
        self.store.commit(job, scratch / "result", {"status": "ok"})
        return self.store.folder(job.key)

    def slices(self, part: str, anonymizer: int, name: str) -> Images:
        keys = [item.slices[anonymizer].key for item in self.plan.scans if item.part == part]
        return gather([self.store.folder(key) for key in keys], name)

    def attack(self, part: str, anonymizer: int, name: str) -> Job:
        """A job whose reconstructions are the slices of that name."""
        keys = [item.slices[anonymizer].key for item in self.plan.scans if item.part == part]
        job = Job("reconstruct", part, {"test": keys, "gives": name})
        result = self.store.scratch(job.key)
        result.mkdir(parents=True)
        np.save(result / "reconstructed.npy", self.slices(part, anonymizer, name))
        self.store.commit(job, result, {"status": "ok"})
        return job

    def attacked(self, anonymizer: int, name: str) -> Attacked:
        return Attacked(anonymizer, self.attack("test", anonymizer, name), self.attack("validation", anonymizer, name))

    def compose(self, first: Attacked, second: Attacked) -> Job:
        suite = self.plan.suite
        selection = {"metric": self.plan.releases[0][0].identity["metric"], "region": "changed"}
        slices = suite.file.slices.model_dump(mode="json")
        return compose_job("a cell", self.plan.scans, first, second, slices, selection)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    workplace = Workplace(tmp_path_factory.mktemp("compose"))
    store = Store(workplace.folder / "store")
    plugins = (Path(__file__).with_name("tiny_plugins.py"), workplace.folder / "cut.py")
    plugins[1].write_text(CUT_FILE)
    suite = workplace.suite(SUITE.format(tiny=plugins[0], cut=plugins[1]))
    made = Made(build_plan(load_suite(str(suite)), store), store, plugins)
    for item in made.plan.scans:
        if item.part != "train":
            for job in (*item.common(), *item.anonymized, *item.slices):
                made.run(job)
    return made


def test_the_second_release_is_brought_to_the_places_of_the_first(made: Made) -> None:
    """One was cut elsewhere, as half of the head is gone: what the first attack lacks comes from the second."""
    cut, smear = made.attacked(CUT, "anonymized"), made.attacked(SMEAR, "original")
    job = made.compose(cut, smear)
    own, other = (
        json.loads((made.store.folder(item.slices[n].key) / "geometry.json").read_text())
        for item in made.plan.scans
        if item.part == "test"
        for n in (CUT, SMEAR)
    )
    assert own["columns"] != other["columns"]
    images = np.load(made.run(job) / "reconstructed.npy")
    original, released = (made.slices("test", CUT, name) for name in ("original", "anonymized"))
    assert images.shape == original.shape
    assert images.dtype == np.float32
    changed = made.slices("test", CUT, "changed")
    before, after = (np.abs(one - original)[changed].mean() for one in (released, images))
    assert after < 0.25 * before


def test_at_the_same_places_nothing_is_interpolated(made: Made) -> None:
    release = made.attacked(SMEAR, "face")  # any images will do
    job = made.compose(release, release)
    view = job.identity["test"][0]
    task = SimpleNamespace(identity=job.identity, inputs={key: made.store.folder(key) for key in job.needs})
    attack = made.slices("test", SMEAR, "original")
    held = compose.held(task, view, {view["first"]["slice"]: attack})
    np.testing.assert_allclose(held.also_released, held.released, atol=1e-6)
    inside = held.released < 1  # what is brighter than white is cut off in slices, and not in heads
    np.testing.assert_allclose(held.also_made[inside], attack[inside], atol=1e-5)


def test_a_scan_whose_second_release_failed_is_what_the_first_attack_made_of_it(made: Made) -> None:
    first = made.attacked(SMEAR, "changed")
    nobody = Job("reconstruct", "of nobody", {"test": []})
    job = made.compose(first, Attacked(CUT, nobody, nobody))
    assert [view["second"] for view in job.identity["test"]] == [None]
    assert job.identity["validation"] == []


def test_the_key_holds_both_attacks_and_no_names(made: Made) -> None:
    one, other = (
        Attacked(
            n,
            *(
                Job("reconstruct", "", {"test": [i.slices[n].key for i in made.plan.scans if i.part == part]})
                for part in ("test", "validation")
            ),
        )
        for n in (SMEAR, CUT)
    )
    job, turned = made.compose(one, other), made.compose(other, one)
    assert job.key != turned.key
    assert set(job.needs) == set(turned.needs)
    assert {one.test.key, other.test.key, one.validation.key, other.validation.key} <= set(job.needs)
    assert made.plan.scans[0].scan.subject not in json.dumps(job.identity)
