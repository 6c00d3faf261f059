import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from refbench.attackers import pix2pix_training, training
from refbench.attackers.base import TrainingContext
from refbench.attackers.network_reconstructor import NetworkReconstructor
from refbench.attackers.pix2pix import Pix2Pix
from refbench.attackers.pix2pix_training import adversarial_loss, discriminator_loss
from refbench.types import Images, ReleasedSlices, SlicePairs

TINY = {"width": 2, "batch": 2}


def slices(images: Any) -> ReleasedSlices:
    images = np.asarray(images, np.float32)
    numbers = np.arange(len(images))
    return ReleasedSlices(images, numbers, numbers, np.ones(images.shape, bool))


def blobs(count: int, size: int, seed: int) -> Images:
    """Smooth images of one bright blob each, float32 [count, size, size], 0-1."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    centres = rng.uniform(0.3, 0.7, (2, count, 1, 1))
    images: Images = np.exp(-((rows - centres[0]) ** 2 + (columns - centres[1]) ** 2) / 0.03).astype(np.float32)
    return images


def toy_pairs(count: int = 6, size: int = 16) -> SlicePairs:
    original = blobs(count, size, seed=1)
    return SlicePairs(slices(1 - original), original)


def context(folder: Path, seed: int = 0, report: Callable[..., None] = lambda *_: None) -> TrainingContext:
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingContext(seed, folder, "cpu", report)


def same(first: object, second: object) -> bool:
    assert isinstance(first, NetworkReconstructor)
    assert isinstance(second, NetworkReconstructor)
    pairs = zip(first.saved.network.state_dict().values(), second.generator.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_defaults_are_the_papers() -> None:
    attacker = Pix2Pix()
    assert (attacker.width, attacker.batch, attacker.learning_rate) == (64, 1, 2e-4)
    assert (attacker.l1_weight, attacker.adversarial_weight, attacker.dropout) == (100.0, 1.0, 0.5)
    assert Pix2Pix.needs == "paired"


def test_cross_entropy_by_hand() -> None:
    verdicts = torch.tensor([0.0, math.log(3.0)])  # probabilities 1/2 and 3/4 of being real
    assert adversarial_loss(verdicts, True).item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert adversarial_loss(verdicts, False).item() == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)


def test_discriminator_judges_the_released_image_beside_the_candidate() -> None:
    class SecondMinusFirst(nn.Module):
        def forward(self, pairs: Tensor) -> Tensor:
            return pairs[:, 1:] - pairs[:, :1]

    released = torch.zeros(1, 1, 2, 2)
    original, fake = torch.full_like(released, math.log(3.0)), torch.full_like(released, -math.log(3.0))
    loss = discriminator_loss(SecondMinusFirst(), released, original, fake)
    assert loss.item() == pytest.approx(0.5 * (-math.log(0.75) - math.log(0.75)))


def test_discriminator_learns_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs: list[int] = []

    def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        inputs.append(optimiser.param_groups[0]["params"][0].shape[1])
        training.update(optimiser, loss)

    monkeypatch.setattr(pix2pix_training, "update", update)
    Pix2Pix(**TINY, steps=2).fit(toy_pairs(), toy_pairs(), context(tmp_path))
    assert inputs == [2, 1, 2, 1]


def test_without_adversarial_weight_only_the_distance_is_learnt(tmp_path: Path) -> None:
    reports: list[dict[str, float]] = []
    Pix2Pix(**TINY, steps=2, adversarial_weight=0).fit(
        toy_pairs(), toy_pairs(), context(tmp_path, report=lambda done, total, losses: reports.append(losses))
    )
    assert set(reports[-1]) == {"l1"}


def test_batches_are_drawn_with_replacement_and_stay_paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Tensor] = []

    def judge(discriminator: nn.Module, released: Tensor, original: Tensor, fake: Tensor) -> Tensor:
        torch.testing.assert_close(released, -original)
        shown.append(original[:, 0, 0, 0])
        return discriminator_loss(discriminator, released, original, fake)

    monkeypatch.setattr(pix2pix_training, "discriminator_loss", judge)
    original = np.tile(np.linspace(0, 1, 8, dtype=np.float32)[:, None, None], (1, 16, 16))
    pairs = SlicePairs(slices(1 - original), original)
    Pix2Pix(**TINY, epochs=2).fit(pairs, pairs, context(tmp_path))
    assert sum(map(len, shown)) == 2 * 8
    assert len(torch.cat(shown)[:8].unique()) < 8


def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attacker, pairs = Pix2Pix(width=2, batch=2, steps=9, dropout=0.5), toy_pairs(size=32)
    straight = attacker.fit(pairs, pairs, context(tmp_path / "straight"))

    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def kill(done: int, total: int, losses: dict[str, float]) -> None:
        if done == 3:
            monkeypatch.setattr(training, "CHECKPOINT_SECONDS", math.inf)
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attacker.fit(pairs, pairs, context(tmp_path / "killed", report=kill))
    steps: list[int] = []
    resumed = attacker.fit(
        pairs, pairs, context(tmp_path / "killed", report=lambda done, total, losses: steps.append(done))
    )
    assert steps[0] == 3, "resumes from the last checkpoint, which is older than the kill"
    assert same(straight, resumed)


def test_a_seed_decides_everything(tmp_path: Path) -> None:
    attacker, pairs = Pix2Pix(**TINY, steps=3), toy_pairs(size=32)
    first = attacker.fit(pairs, pairs, context(tmp_path / "1"))
    assert same(first, attacker.fit(pairs, pairs, context(tmp_path / "2")))
    assert not same(first, attacker.fit(pairs, pairs, context(tmp_path / "3", seed=1)))


def test_saved_and_loaded_reconstructs_exactly_the_same(tmp_path: Path) -> None:
    attacker, pairs = Pix2Pix(**TINY, steps=2), toy_pairs(20)
    trained = attacker.fit(pairs, pairs, context(tmp_path / "work"))
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    reconstructed = trained.reconstruct(pairs.released)
    assert np.array_equal(attacker.load(tmp_path / "saved").reconstruct(pairs.released), reconstructed)
    assert np.array_equal(trained.reconstruct(pairs.released), reconstructed), "dropout is off at test time"


@pytest.mark.parametrize("size", [(24, 40), (32, 64), (96, 96)])
def test_any_sides_that_can_be_halved_are_taken(size: tuple[int, int], tmp_path: Path) -> None:
    original = np.random.default_rng(0).random((2, *size), np.float32)
    pairs = SlicePairs(slices(original), original)
    trained = Pix2Pix(**TINY, steps=1).fit(pairs, pairs, context(tmp_path))
    assert trained.reconstruct(pairs.released).shape == (2, *size)


def test_it_learns_an_inversion_and_reconstructs_unseen_images(tmp_path: Path) -> None:
    original = blobs(40, 32, seed=2)
    pairs, unseen = SlicePairs(slices(1 - original), original), blobs(8, 32, seed=3)
    trained = Pix2Pix(width=8, batch=4, steps=80, learning_rate=3e-3, dropout=0).fit(pairs, pairs, context(tmp_path))
    reconstructed = trained.reconstruct(slices(1 - unseen))
    assert np.abs(reconstructed - unseen).mean() < 0.25 * np.abs(1 - 2 * unseen).mean()
