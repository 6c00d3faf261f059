import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from refbench.attackers import cyclegan_training, training
from refbench.attackers.base import TrainingContext
from refbench.attackers.composite import Composite
from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.network_reconstructor import NetworkReconstructor
from refbench.attackers.networks import from_network, to_network
from refbench.errors import DataError, InvalidOutput, StoreError
from refbench.types import Images, ReleasedSlices, SlicePairs

TINY = {"width": 2, "blocks": 1, "batch": 2, "pool": 3, "precision": "float32"}


def slices(images: Any) -> ReleasedSlices:
    images = np.asarray(images, np.float32)
    numbers = np.arange(len(images))
    return ReleasedSlices(images, numbers, numbers, np.ones(images.shape, bool))


def toy_pairs(count: int = 6, size: int = 16) -> SlicePairs:
    original = np.random.default_rng(1).random((count, size, size), np.float32)
    return SlicePairs(slices(1 - original), original)


def nobody() -> SlicePairs:
    return toy_pairs(0)


def context(folder: Path, seed: int = 0, report: Callable[..., None] = lambda *_: None, **more: Any) -> TrainingContext:
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingContext(seed, folder, "cpu", report, **more)


def weights(reconstructor: object) -> list[Tensor]:
    assert isinstance(reconstructor, NetworkReconstructor)
    return list(reconstructor.saved.network.state_dict().values())


def same(first: object, second: object) -> bool:
    return all(torch.equal(one, other) for one, other in zip(weights(first), weights(second), strict=True))


# Parameters


def test_defaults_are_the_papers() -> None:
    paper = {
        "width": 32,
        "blocks": 9,
        "batch": 1,
        "epochs": 200,
        "steps": None,
        "budget_minutes": None,
        "learning_rate": 2e-4,
        "cycle_weight": 10.0,
        "paired_weight": 0.0,
        "pool": 50,
        "composite": False,
        "share": 1.0,
    }
    for attacker in (CycleGAN(), CycleGAN(preset="paper")):
        assert {name: getattr(attacker, name) for name in paper} == paper
        assert (attacker.validations, attacker.patience, attacker.precision) == (10, None, "auto")
    assert CycleGAN().needs == "unpaired"


def test_presets_fill_in_what_is_not_given_and_say_so() -> None:
    fast, small = CycleGAN(preset="fast"), CycleGAN(preset="small", steps=50)
    assert (fast.width, fast.blocks, fast.epochs, fast.batch) == (32, 9, 200, 8)
    assert fast.learning_rate == pytest.approx(2e-4 * math.sqrt(8), rel=0.02)
    assert (small.width, small.blocks, small.steps) == (16, 4, 50)
    assert small.label("cyclegan") == "cyclegan(steps=50, preset=small)"
    assert CycleGAN(**fast.model_dump()).model_dump() == fast.model_dump()


def test_a_known_region_needs_composite() -> None:
    assert CycleGAN(composite=True, region="known").region == "known"
    with pytest.raises(ValidationError, match="composite: true"):
        CycleGAN(region="known")


# A training


def test_learning_rate_is_constant_then_falls_linearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        rates.append(optimiser.param_groups[0]["lr"] / 2e-4)
        training.update(optimiser, loss)

    monkeypatch.setattr(cyclegan_training, "update", update)
    CycleGAN(**TINY, steps=8).fit(toy_pairs(), nobody(), context(tmp_path))
    assert rates[0::2] == rates[1::2] == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_an_epoch_shows_as_many_slices_as_there_are(tmp_path: Path) -> None:
    reports: list[tuple[int, int, dict[str, float]]] = []
    CycleGAN(**TINY, epochs=2).fit(toy_pairs(5), nobody(), context(tmp_path, report=lambda *r: reports.append(r)))
    done, total, losses = reports[-1]
    assert (done, total) == (6, 6), "twice five slices in batches of two, the last one rounded up"
    assert set(losses) == {"discriminator", "adversarial", "cycle"}


@pytest.mark.parametrize("validations", [0, 3])
def test_killed_and_resumed_ends_with_the_same_weights(
    validations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacker, pairs = CycleGAN(**TINY, steps=9, validations=validations), toy_pairs()
    straight = attacker.fit(pairs, pairs, context(tmp_path / "straight"))

    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def kill(done: int, total: int, losses: dict[str, float]) -> None:
        if done == 5:  # its checkpoint is not written any more, so that step 5 is done twice
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attacker.fit(pairs, pairs, context(tmp_path / "killed", report=kill))
    steps: list[int] = []
    resumed = attacker.fit(
        pairs, pairs, context(tmp_path / "killed", report=lambda done, total, losses: steps.append(done))
    )
    assert steps[0] == 5
    assert same(straight, resumed)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("deterministic", [False, True])
def test_trains_resumes_and_reconstructs_on_a_gpu(
    deterministic: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacker, pairs = CycleGAN(**TINY, steps=6), toy_pairs()
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def kill(done: int, total: int, losses: dict[str, float]) -> None:
        if done == 4:
            raise KeyboardInterrupt

    on_gpu = TrainingContext(0, tmp_path, "cuda", deterministic=deterministic)
    with pytest.raises(KeyboardInterrupt):
        attacker.fit(pairs, pairs, TrainingContext(0, tmp_path, "cuda", kill, deterministic=deterministic))
    trained = attacker.fit(pairs, pairs, on_gpu)
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    on_cpu = attacker.load(tmp_path / "saved").reconstruct(pairs.released)
    np.testing.assert_allclose(trained.reconstruct(pairs.released), on_cpu, atol=0.01)


def test_a_seed_decides_everything_and_leaves_the_callers_generators_alone(tmp_path: Path) -> None:
    attacker, pairs = CycleGAN(**TINY, steps=3), toy_pairs()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = attacker.fit(pairs, pairs, context(tmp_path / "1"))
    assert torch.equal(torch.rand(3), expected)
    assert same(first, attacker.fit(pairs, pairs, context(tmp_path / "2")))
    assert not same(first, attacker.fit(pairs, pairs, context(tmp_path / "3", seed=1)))


def test_the_validation_people_choose_the_weights(tmp_path: Path) -> None:
    shown: list[Images] = []

    def judge(pairs: SlicePairs, images: Images) -> float:
        assert pairs is people
        shown.append(images)
        return [1.0, 3.0, 2.0][len(shown) - 1]

    people = toy_pairs(4)
    attacker = CycleGAN(**TINY, steps=6, validations=3)
    trained = attacker.fit(toy_pairs(), people, context(tmp_path, judge=judge))
    assert len(shown) == 3
    np.testing.assert_array_equal(trained.reconstruct(people.released), shown[1])
    assert not np.array_equal(shown[1], shown[2])


def test_without_validation_people_nobody_is_asked(tmp_path: Path) -> None:
    def judge(pairs: SlicePairs, images: Images) -> float:
        raise AssertionError("there is nobody to ask")

    CycleGAN(**TINY, steps=2).fit(toy_pairs(), nobody(), context(tmp_path, judge=judge))


def test_bfloat16_leaves_losses_and_weights_float32(tmp_path: Path) -> None:
    reports: list[dict[str, float]] = []
    attacker = CycleGAN(**{**TINY, "precision": "bfloat16"}, steps=2)
    trained = attacker.fit(toy_pairs(), nobody(), context(tmp_path, report=lambda d, t, losses: reports.append(losses)))
    assert all(math.isfinite(loss) for loss in reports[-1].values())
    assert all(value.dtype == torch.float32 for value in weights(trained))
    assert trained.reconstruct(toy_pairs().released).dtype == np.float32


def test_divergence_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidOutput, match="lower learning_rate"):
        CycleGAN(**TINY, steps=4, learning_rate=1e30).fit(toy_pairs(), nobody(), context(tmp_path))
    assert not list(tmp_path.iterdir()), "a diverged training is never kept as a checkpoint"


@pytest.mark.parametrize(("size", "match"), [(20, "multiples of 8"), (8, "at least 16")])
def test_slices_that_do_not_fit_are_refused(size: int, match: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=match):
        CycleGAN(**TINY, steps=1).fit(toy_pairs(size=size), nobody(), context(tmp_path))


def test_no_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no slices"):
        CycleGAN(**TINY, steps=1).fit(nobody(), nobody(), context(tmp_path))


def test_training_closes_the_cycle(tmp_path: Path) -> None:
    cycles: list[float] = []
    attacker = CycleGAN(width=4, blocks=1, batch=4, steps=40, learning_rate=4e-3, precision="float32")
    rng = np.random.default_rng(0)
    original = (0.5 + 0.5 * np.sin(np.linspace(0, 6, 16) + rng.random((8, 16, 1)) * 6)).astype(np.float32)
    pairs = SlicePairs(slices(original[:, ::-1] * 0.5), original)
    for steps in (1, 40):
        CycleGAN(**{**attacker.model_dump(), "steps": steps}).fit(
            pairs, nobody(), context(tmp_path / str(steps), report=lambda d, t, losses: cycles.append(losses["cycle"]))
        )
    assert cycles[-1] < 0.6 * cycles[0]


# A reconstructor


def test_saved_and_loaded_reconstructs_exactly_the_same(tmp_path: Path) -> None:
    attacker, pairs = CycleGAN(**TINY, steps=2), toy_pairs(20)
    trained = attacker.fit(pairs, nobody(), context(tmp_path / "work"))
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    reconstructed = trained.reconstruct(pairs.released)
    assert np.array_equal(attacker.load(tmp_path / "saved").reconstruct(pairs.released), reconstructed)
    assert reconstructed.shape == pairs.original.shape
    assert reconstructed.dtype == np.float32
    assert reconstructed.min() >= 0
    assert reconstructed.max() <= 1
    assert json.loads((tmp_path / "saved" / "network.json").read_text())["arguments"] == {"width": 2, "blocks": 1}


def test_reconstruction_is_one_pass_through_the_generator(tmp_path: Path) -> None:
    pairs = toy_pairs()
    trained = CycleGAN(**TINY, steps=2).fit(pairs, nobody(), context(tmp_path))
    assert isinstance(trained, NetworkReconstructor)
    with torch.no_grad():
        expected = from_network(trained.saved.network(to_network(torch.from_numpy(pairs.released.images[:, None]))))
    np.testing.assert_allclose(trained.reconstruct(pairs.released), expected[:, 0].numpy(), atol=1e-6)


def test_damaged_network_names_its_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        CycleGAN().load(tmp_path)


@pytest.mark.parametrize("region", ["estimated", "known"])
def test_composite_pastes_only_the_changed_region(
    region: str, cohort: Callable[..., SlicePairs], tmp_path: Path
) -> None:
    train, people = cohort("removal", people=8), cohort("removal", people=2, seed=1)
    judged: list[Images] = []

    def judge(pairs: SlicePairs, images: Images) -> float:
        judged.append(images)
        return 0.0

    attacker = CycleGAN(**TINY, steps=2, validations=1, composite=True, region=region)
    trained = attacker.fit(train, people, context(tmp_path / "work", judge=judge))
    assert isinstance(trained, Composite)
    reconstructed, whole = trained.reconstruct(people.released), trained.whole.reconstruct(people.released)
    touched = reconstructed != people.released.images
    np.testing.assert_array_equal(reconstructed[touched], whole[touched])
    share = (touched & people.changed).sum() / people.changed.sum()
    assert share > (0.99 if region == "known" else 0.7)
    assert (touched & ~people.changed).mean() <= (0 if region == "known" else 0.05)
    np.testing.assert_array_equal(judged[-1], reconstructed)

    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    np.testing.assert_array_equal(attacker.load(tmp_path / "saved").reconstruct(people.released), reconstructed)


def test_composite_leaves_alone_what_nobody_changed(cohort: Callable[..., SlicePairs], tmp_path: Path) -> None:
    train, people = cohort("identity", people=4), cohort("identity", people=2, seed=1)
    trained = CycleGAN(**TINY, steps=1, composite=True).fit(train, train.take(slice(0, 0)), context(tmp_path))
    np.testing.assert_array_equal(trained.reconstruct(people.released), people.released.images)
