import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from refbench.attackers import cyclegan_training, training
from refbench.attackers.base import TrainingContext
from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.cyclegan_training import FakePool, adversarial_loss, discriminator_loss
from refbench.attackers.network_reconstructor import NetworkReconstructor
from refbench.errors import DataError, InvalidOutput, StoreError
from refbench.types import ReleasedSlices, SlicePairs

TINY = {"width": 2, "blocks": 1, "batch": 2, "pool": 3}


def slices(images: Any) -> ReleasedSlices:
    images = np.asarray(images, np.float32)
    numbers = np.arange(len(images))
    return ReleasedSlices(images, numbers, numbers, np.ones(images.shape, bool))


def toy_pairs(count: int = 6, size: int = 16) -> SlicePairs:
    original = np.random.default_rng(1).random((count, size, size), np.float32)
    return SlicePairs(slices(1 - original), original)


def context(folder: Path, seed: int = 0, report: Callable[..., None] = lambda *_: None) -> TrainingContext:
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingContext(seed, folder, "cpu", report)


def weights(reconstructor: object) -> list[Tensor]:
    assert isinstance(reconstructor, NetworkReconstructor)
    return list(reconstructor.generator.state_dict().values())


def same(first: object, second: object) -> bool:
    return all(torch.equal(one, other) for one, other in zip(weights(first), weights(second), strict=True))


def test_defaults_are_the_papers() -> None:
    assert CycleGAN().model_dump() == {
        "width": 32,
        "blocks": 9,
        "batch": 1,
        "epochs": 200,
        "steps": None,
        "learning_rate": 2e-4,
        "cycle_weight": 10.0,
        "pool": 50,
    }
    assert CycleGAN.needs == "unpaired"


def test_least_squares_by_hand() -> None:
    verdicts = torch.tensor([0.0, 1.0, 3.0])
    assert adversarial_loss(verdicts, 1.0).item() == pytest.approx((1 + 0 + 4) / 3)
    assert adversarial_loss(verdicts, 0.0).item() == pytest.approx((0 + 1 + 9) / 3)


def test_discriminator_loss_is_half_of_both_terms() -> None:
    real, fake = torch.full((2, 1, 1, 1), 0.5), torch.full((2, 1, 1, 1), 0.25)
    loss = discriminator_loss(nn.Identity(), real, fake)
    assert loss.item() == pytest.approx(0.5 * (0.5**2 + 0.25**2))


def test_pool_passes_through_until_full_then_mixes_in_earlier_fakes() -> None:
    rng = np.random.default_rng(0)
    pool = FakePool(4)
    numbers = torch.arange(400.0).reshape(400, 1, 1, 1)
    assert torch.equal(pool.exchange(numbers[:4], rng), numbers[:4])
    shown = pool.exchange(numbers[4:], rng).flatten()
    newest = shown == numbers[4:].flatten()
    assert 0.4 < newest.float().mean() < 0.6
    assert (shown <= numbers[4:].flatten()).all(), "only fakes that exist already"
    assert len(pool.fakes) == 4
    assert len(shown.unique()) == len(shown), "an exchanged fake leaves the pool"


def test_pool_of_none_shows_the_newest() -> None:
    fakes = torch.rand(5, 1, 2, 2)
    assert torch.equal(FakePool(0).exchange(fakes, np.random.default_rng(0)), fakes)


def test_discriminators_learn_first_and_from_pooled_fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(
        FakePool, "exchange", lambda pool, fakes, rng: events.append("pool") or torch.full_like(fakes, 0.123)
    )

    def judge(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        assert (fake == 0.123).all(), "the discriminator is shown what came out of the pool"
        events.append("judge")
        return discriminator_loss(discriminator, real, fake)

    def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        names = {True: "discriminators", False: "generators"}
        events.append(names[optimiser.param_groups[0]["params"][0].shape[-1] == 4])
        training.update(optimiser, loss)

    monkeypatch.setattr(cyclegan_training, "discriminator_loss", judge)
    monkeypatch.setattr(cyclegan_training, "update", update)
    CycleGAN(**TINY, steps=2).fit(toy_pairs(), toy_pairs(), context(tmp_path))
    assert events == ["pool", "judge", "pool", "judge", "discriminators", "generators"] * 2


def test_domains_are_drawn_independently_and_with_replacement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []

    def spy(images: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        batch = training.draw(images, count, rng)
        drawn.append(batch[:, 0, 0, 0])
        return batch

    monkeypatch.setattr(cyclegan_training, "draw", spy)
    original = np.tile(np.linspace(0, 1, 8, dtype=np.float32)[:, None, None], (1, 16, 16))
    pairs = SlicePairs(slices(original), original)
    CycleGAN(**TINY, epochs=4).fit(pairs, pairs, context(tmp_path))
    released, originals = torch.cat(drawn[0::2]), torch.cat(drawn[1::2])
    assert len(released) == len(originals) == 4 * 8
    assert not torch.equal(released, originals)
    epoch = released[:8]
    assert len(epoch.unique()) < 8, "a draw without replacement would show all eight"


def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attacker, pairs = CycleGAN(**TINY, steps=9), toy_pairs()
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
def test_trains_resumes_and_reconstructs_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attacker, pairs = CycleGAN(**TINY, steps=6), toy_pairs()
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def kill(done: int, total: int, losses: dict[str, float]) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attacker.fit(pairs, pairs, TrainingContext(0, tmp_path, "cuda", kill))
    trained = attacker.fit(pairs, pairs, TrainingContext(0, tmp_path, "cuda"))
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    on_cpu = attacker.load(tmp_path / "saved").reconstruct(pairs.released)
    np.testing.assert_allclose(trained.reconstruct(pairs.released), on_cpu, atol=0.01)


def test_another_recipe_does_not_take_up_a_checkpoint(tmp_path: Path) -> None:
    pairs = toy_pairs()
    CycleGAN(**TINY, steps=2).fit(pairs, pairs, context(tmp_path / "used"))
    other = CycleGAN(**TINY, steps=2, learning_rate=1e-3)
    used = other.fit(pairs, pairs, context(tmp_path / "used"))
    assert same(used, other.fit(pairs, pairs, context(tmp_path / "fresh")))


def test_a_seed_decides_everything_and_leaves_the_callers_generators_alone(tmp_path: Path) -> None:
    attacker, pairs = CycleGAN(**TINY, steps=3), toy_pairs()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = attacker.fit(pairs, pairs, context(tmp_path / "1"))
    assert torch.equal(torch.rand(3), expected)
    assert same(first, attacker.fit(pairs, pairs, context(tmp_path / "2")))
    assert not same(first, attacker.fit(pairs, pairs, context(tmp_path / "3", seed=1)))


def test_saved_and_loaded_reconstructs_exactly_the_same(tmp_path: Path) -> None:
    attacker, pairs = CycleGAN(**TINY, steps=2), toy_pairs(20)
    trained = attacker.fit(pairs, pairs, context(tmp_path / "work"))
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    reconstructed = trained.reconstruct(pairs.released)
    assert np.array_equal(attacker.load(tmp_path / "saved").reconstruct(pairs.released), reconstructed)
    assert reconstructed.shape == pairs.original.shape
    assert reconstructed.dtype == np.float32
    assert reconstructed.min() >= 0
    assert reconstructed.max() <= 1
    assert {file.name for file in (tmp_path / "saved").iterdir()} == {"network.json", "weights.safetensors"}
    assert json.loads((tmp_path / "saved" / "network.json").read_text())["network"] == "ResidualGenerator"


def test_damaged_network_names_its_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        CycleGAN().load(tmp_path)


def test_progress_reaches_the_end_with_finite_losses(tmp_path: Path) -> None:
    reports: list[tuple[int, int, dict[str, float]]] = []
    CycleGAN(**TINY, steps=3).fit(toy_pairs(), toy_pairs(), context(tmp_path, report=lambda *r: reports.append(r)))
    done, total, losses = reports[-1]
    assert (done, total) == (3, 3)
    assert set(losses) == {"discriminator", "adversarial", "cycle"}


def test_divergence_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    pairs = toy_pairs()
    pairs.original[:] = np.nan
    with pytest.raises(InvalidOutput, match="lower learning_rate"):
        CycleGAN(**TINY, steps=2).fit(pairs, pairs, context(tmp_path))
    assert not list(tmp_path.iterdir()), "a diverged training is never kept as a checkpoint"


def test_slices_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="multiples of 8"):
        CycleGAN(**TINY, steps=1).fit(toy_pairs(size=20), toy_pairs(), context(tmp_path))
    with pytest.raises(DataError, match="no slices"):
        CycleGAN(**TINY, steps=1).fit(toy_pairs(0), toy_pairs(), context(tmp_path))


def test_learning_rate_is_constant_then_falls_linearly() -> None:
    factors = [training.linear_decay(step, 200) for step in range(200)]
    assert factors[:101] == [1.0] * 101
    assert factors[150] == pytest.approx(0.5)
    assert factors[199] == pytest.approx(0.01)


def test_steps_stand_in_for_epochs() -> None:
    assert training.step_count(images=6300, batch=1, epochs=200, steps=None) == 1_260_000
    assert training.step_count(images=10, batch=4, epochs=2, steps=None) == 6
    assert training.step_count(images=10, batch=4, epochs=2, steps=5) == 5


def test_training_closes_the_cycle(tmp_path: Path) -> None:
    cycles: list[float] = []
    attacker = CycleGAN(width=4, blocks=1, batch=4, steps=60, learning_rate=2e-3)
    rng = np.random.default_rng(0)
    original = (0.5 + 0.5 * np.sin(np.linspace(0, 6, 16) + rng.random((8, 16, 1)) * 6)).astype(np.float32)
    pairs = SlicePairs(slices(original[:, ::-1] * 0.5), original)
    for steps in (1, 60):
        CycleGAN(**{**attacker.model_dump(), "steps": steps}).fit(
            pairs, pairs, context(tmp_path / str(steps), report=lambda d, t, losses: cycles.append(losses["cycle"]))
        )
    assert cycles[-1] < 0.6 * cycles[0]
