import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from refbench.attackers import inpaint_training, training
from refbench.attackers.base import TrainingContext
from refbench.attackers.inpaint import Inpaint
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.attackers.mean_face import MeanFace
from refbench.attackers.networks import PatchDiscriminator
from refbench.attackers.paired import PairedReconstructor
from refbench.attackers.windows import Windows
from refbench.errors import DataError, StoreError
from refbench.types import Images, ReleasedSlices, SlicePairs

Cohort = Callable[..., SlicePairs]
TINY: dict[str, Any] = {"width": 2, "batch": 2, "precision": "float32"}


def context(folder: Path, seed: int = 0, **more: Any) -> TrainingContext:
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingContext(seed, folder, **more)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written under the working folder."""
    monkeypatch.chdir(tmp_path)


@cache
def fit(cohort: Cohort, how: str, region: KnownOrEstimated = "known", steps: int = 2) -> PairedReconstructor:
    more: dict[str, Any] = {"steps": steps, "learning_rate": 3e-3, "validations": 2}
    attacker = Inpaint(**{**TINY, "width": 4, "batch": 8}, **more, region=region)
    trained = attacker.fit(cohort(how, seed=1), cohort(how, people=3, seed=2), context(Path("unused")))
    assert isinstance(trained, PairedReconstructor)
    return trained


def error(pairs: SlicePairs, images: np.ndarray) -> float:
    return float(((images - pairs.original)[pairs.changed] ** 2).mean())


def started(trained: PairedReconstructor, pairs: SlicePairs) -> Images:
    """What the network starts from, in its place."""
    images = pairs.released.images.copy()
    for view in trained.frame.views(pairs.released):
        trained.frame.paste(images, view, view.start)
    return images


def nobody(pairs: SlicePairs) -> SlicePairs:
    return pairs.take(slice(0, 0))


def same(first: object, second: object) -> bool:
    assert isinstance(first, PairedReconstructor)
    assert isinstance(second, PairedReconstructor)
    pairs = zip(first.saved.network.state_dict().values(), second.saved.network.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


# What it is good for


def test_fills_the_faces_of_new_people_better_than_the_mean_face_it_starts_from(cohort: Cohort, tmp_path: Path) -> None:
    people, trained = cohort("removal", people=3, seed=3), fit(cohort, "removal", steps=80)
    mean_face = MeanFace(region="known").fit(
        cohort("removal", seed=1), cohort("removal", people=3, seed=2), context(tmp_path)
    )
    floor = error(people, mean_face.reconstruct(people.released))
    assert error(people, started(trained, people)) == pytest.approx(floor, rel=1e-4)
    assert error(people, trained.reconstruct(people.released)) < 0.96 * floor


@pytest.mark.slow
def test_sharpens_blurred_faces_further_than_the_filter_it_starts_from(cohort: Cohort) -> None:
    people, trained = cohort("blur", people=3, seed=3), fit(cohort, "blur", steps=80)
    start = error(people, started(trained, people))
    assert start < 0.4 * error(people, people.released.images)
    assert error(people, trained.reconstruct(people.released)) < 0.9 * start


def test_an_untrained_network_answers_what_it_starts_from(cohort: Cohort) -> None:
    trained, people = fit(cohort, "removal"), cohort("removal", people=2, seed=3)
    torch.nn.init.zeros_(trained.saved.network.last.weight)  # type: ignore[arg-type]  # as it was built
    torch.nn.init.zeros_(trained.saved.network.last.bias)  # type: ignore[arg-type]
    np.testing.assert_array_equal(trained.reconstruct(people.released), started(trained, people))
    fit.cache_clear()


# What it leaves alone


def test_outside_the_known_region_no_bit_changes(cohort: Cohort) -> None:
    trained, people = fit(cohort, "removal"), cohort("removal", people=2, seed=4)
    images = trained.reconstruct(people.released)
    np.testing.assert_array_equal(images[~people.changed], people.released.images[~people.changed])
    assert (images != people.released.images)[people.changed & (people.original > 0.1)].all()
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    with pytest.raises(DataError, match="region: known"):
        trained.reconstruct(replace(people.released, changed=None))


def test_an_estimated_region_is_found_and_the_true_one_never_read(cohort: Cohort) -> None:
    trained, people = fit(cohort, "removal", "estimated"), cohort("removal", people=2, seed=4)
    images = trained.reconstruct(replace(people.released, changed=None))
    touched = images != people.released.images
    assert touched[people.changed & (people.original > 0.1)].mean() > 0.9
    assert (touched & ~people.changed).mean() < 0.05
    lie = replace(people.released, changed=~people.changed)
    np.testing.assert_array_equal(trained.reconstruct(lie), images)


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_where_nobody_is_ever_changed_nothing_is(cohort: Cohort, region: KnownOrEstimated, tmp_path: Path) -> None:
    people, trained = cohort("identity", people=2, seed=4), fit(cohort, "identity", region)
    assert trained.saved.trained is None
    np.testing.assert_array_equal(trained.reconstruct(people.released), people.original)
    trained.save(tmp_path)
    loaded = Inpaint(**TINY, region=region).load(tmp_path)
    np.testing.assert_array_equal(loaded.reconstruct(people.released), people.original)


def test_a_release_alone_is_answered_as_among_others(cohort: Cohort) -> None:
    trained = fit(cohort, "removal", "estimated")
    people = replace(cohort("removal", people=3, seed=4).released, changed=None)
    together = trained.reconstruct(people)
    for number in range(3):
        mine = people.release == number
        np.testing.assert_array_equal(trained.reconstruct(people.take(mine)), together[mine])


def test_a_tiny_region_of_a_single_slice_is_repainted(cohort: Cohort, tmp_path: Path) -> None:
    original = cohort("identity", people=2, seed=1)
    images = original.original.copy()
    images[:, 18:22, 10:14] = 0
    released = replace(original.released, images=images, changed=images != original.original)
    pairs = SlicePairs(released, original.original)
    trained = Inpaint(**{**TINY, "batch": 1}, steps=2, region="known").fit(pairs, nobody(pairs), context(tmp_path))
    assert isinstance(trained, PairedReconstructor)
    assert isinstance(trained.frame, Windows)
    assert trained.frame.size == (16, 16)
    one = pairs.take(slice(0, 1))
    answer = trained.reconstruct(one.released)
    assert np.isfinite(answer).all()
    assert (answer != one.released.images)[one.changed].all()


# A training


@pytest.mark.parametrize(("weight", "losses"), [(0, ["squared"]), (0.1, ["adversarial", "discriminator", "squared"])])
def test_a_discriminator_takes_part_only_where_it_has_a_weight(
    weight: float, losses: list[str], cohort: Cohort, tmp_path: Path
) -> None:
    reports: list[dict[str, float]] = []
    pairs = cohort("removal", people=3, seed=1)
    Inpaint(**TINY, steps=2, adversarial_weight=weight, region="known").fit(
        pairs, nobody(pairs), context(tmp_path, report=lambda done, total, told: reports.append(told))
    )
    assert sorted(reports[-1]) == losses
    assert all(np.isfinite(value) for value in reports[-1].values())


def test_the_discriminator_learns_first_and_sees_candidate_and_mask(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs: list[int] = []

    def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        inputs.append(optimiser.param_groups[0]["params"][0].shape[1])
        training.update(optimiser, loss)

    monkeypatch.setattr(inpaint_training, "update", update)
    pairs = cohort("removal", people=3, seed=1)
    attacker = Inpaint(**TINY, steps=2, adversarial_weight=0.1, region="known", context="2.5d")
    attacker.fit(pairs, nobody(pairs), context(tmp_path))
    assert inputs == [2, 4 * 5, 2, 4 * 5], "the painter: slice, its two neighbours, region, start; four pixels each"


def test_only_the_region_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    monkeypatch.setattr(inpaint_training, "update", lambda optimiser, loss: losses.append(loss.item()))

    def judge(pairs: SlicePairs, images: Images) -> float:
        return -float(np.square(images - pairs.released.images).mean())  # the start is what was released

    original = np.full((10, 40, 40), 0.6, np.float32)
    images = original.copy()
    images[:, 12:28, 4:24] = 0.25
    numbers = np.arange(10)
    pairs = SlicePairs(ReleasedSlices(images, numbers // 5, numbers % 5, images != original), original)
    attacker = Inpaint(**TINY, steps=1, region="known", augment=False)
    attacker.fit(pairs, nobody(pairs), context(tmp_path, judge=judge))
    assert losses == [pytest.approx(0.35**2, rel=1e-3)]


@pytest.mark.parametrize("augment", [False, True])
def test_the_discriminator_compares_the_pasted_answer_with_the_original(
    augment: bool, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Tensor] = []

    class Noting(PatchDiscriminator):
        def forward(self, images: Tensor) -> Tensor:
            judged.append(images.detach())
            return super().forward(images)

    monkeypatch.setattr(inpaint_training, "PatchDiscriminator", Noting)
    pairs = cohort("removal", people=3, seed=1)
    attacker = Inpaint(**TINY, steps=1, adversarial_weight=0.1, region="known", augment=augment)
    attacker.fit(pairs, nobody(pairs), context(tmp_path))
    both, again = judged
    real, fake = both.chunk(2)
    mask = real[:, 1] > 0
    assert torch.equal(real[:, 1], fake[:, 1])
    assert real[:, 1].unique().tolist() == [0, 1]
    assert torch.equal(real[:, 0][~mask], fake[:, 0][~mask])
    assert not torch.equal(real[:, 0][mask], fake[:, 0][mask])
    assert real[:, 0].min() < -0.9, "0-1 enter as -1 to 1"
    assert torch.equal(again, fake), "the painter is judged by what the discriminator has just seen"


def test_the_learning_rate_rises_and_falls_along_a_cosine(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        rates.append(optimiser.param_groups[0]["lr"] / 4e-3)

    monkeypatch.setattr(inpaint_training, "update", update)
    pairs = cohort("removal", people=3, seed=1)
    attacker = Inpaint(**TINY, steps=40, region="known", learning_rate=4e-3, augment=False)
    attacker.fit(pairs, nobody(pairs), context(tmp_path))
    assert rates[:3] == pytest.approx([0.05, 0.5, 1.0])
    assert rates[21] == pytest.approx(0.5)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.01


@pytest.mark.parametrize("weight", [0, 0.1])
def test_killed_and_resumed_ends_with_the_same_weights(
    weight: float, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, people = cohort("removal", people=3, seed=1), cohort("removal", people=2, seed=2)
    attacker = Inpaint(**TINY, steps=7, validations=3, adversarial_weight=weight, region="known")
    straight = attacker.fit(pairs, people, context(tmp_path / "straight"))
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def kill(done: int, total: int, losses: dict[str, float]) -> None:
        if done == 4:  # its checkpoint is not written any more, so that step 4 is done twice
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attacker.fit(pairs, people, context(tmp_path / "killed", report=kill))
    steps: list[int] = []
    resumed = attacker.fit(
        pairs, people, context(tmp_path / "killed", report=lambda done, total, losses: steps.append(done))
    )
    assert steps[0] == 4
    assert same(straight, resumed)


def test_a_seed_decides_everything_and_the_share_nothing(cohort: Cohort, tmp_path: Path) -> None:
    pairs = cohort("removal", people=2, seed=1)

    def trained(folder: str, seed: int = 0, **more: Any) -> object:
        attacker = Inpaint(**TINY, steps=2, region="known", **more)
        return attacker.fit(pairs, nobody(pairs), context(tmp_path / folder, seed))

    first = trained("1")
    assert same(first, trained("2"))
    assert same(first, trained("3", share=0.25)), "who is shown is the harness' affair"
    assert not same(first, trained("4", seed=1))
    assert not same(first, trained("5", augment=False))


def test_the_validation_people_choose_the_weights_and_their_curve_is_saved(cohort: Cohort, tmp_path: Path) -> None:
    shown: list[Images] = []
    people = cohort("removal", people=2, seed=2)

    def judge(pairs: SlicePairs, images: Images) -> float:
        if pairs is not people:  # one person alone: how far to trust the mean face
            return -float(np.square(images - pairs.original).mean())
        shown.append(images)
        return [1.0, 3.0, 2.0][len(shown) - 1]

    attacker = Inpaint(**TINY, steps=6, validations=3, region="known")
    trained = attacker.fit(cohort("removal", people=3, seed=1), people, context(tmp_path / "work", judge=judge))
    np.testing.assert_array_equal(trained.reconstruct(people.released), shown[1])
    assert not np.array_equal(shown[1], shown[2])
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    told = json.loads((tmp_path / "saved" / "training.json").read_text())
    assert (told["curve"], told["best"]) == ([[2, 1.0], [4, 3.0], [6, 2.0]], 4)


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_it_trains_without_validation_people(region: KnownOrEstimated, cohort: Cohort, tmp_path: Path) -> None:
    pairs, people = cohort("removal", people=3, seed=1), cohort("removal", people=2, seed=3)
    trained = Inpaint(**TINY, steps=2, region=region).fit(pairs, nobody(pairs), context(tmp_path))
    assert error(people, trained.reconstruct(people.released)) < 0.2 * error(people, people.released.images)


def test_without_slices_to_train_on_it_says_so(cohort: Cohort, tmp_path: Path) -> None:
    pairs = cohort("removal", people=1)
    with pytest.raises(DataError, match="no slices"):
        Inpaint().fit(nobody(pairs), pairs, context(tmp_path))


# Saving


@pytest.mark.parametrize(("how", "region"), [("removal", "estimated"), ("blur", "known")])
def test_saved_and_loaded_answers_exactly_the_same(
    how: str, region: KnownOrEstimated, cohort: Cohort, tmp_path: Path
) -> None:
    trained, people = fit(cohort, how, region), cohort(how, people=2, seed=4)
    trained.save(tmp_path)
    loaded = Inpaint(**TINY, region=region).load(tmp_path)
    np.testing.assert_array_equal(
        loaded.reconstruct(people.released), trained.reconstruct(people.released), err_msg="dimensions come from disk"
    )
    (tmp_path / "attacker.npz").write_bytes(b"")
    with pytest.raises(StoreError, match=r"attacker\.npz"):
        Inpaint(**TINY, region=region).load(tmp_path)
