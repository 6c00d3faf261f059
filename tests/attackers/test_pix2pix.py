import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from refbench.attackers import pix2pix_training, training
from refbench.attackers.base import TrainingContext
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.attackers.networks import ResidualGenerator, UNet, halvings_of, to_network
from refbench.attackers.paired import PairedReconstructor
from refbench.attackers.pix2pix import Pix2Pix
from refbench.attackers.pix2pix_training import adversarial_loss, discriminator_loss, painter
from refbench.attackers.windows import WholeImages, Windows
from refbench.errors import DataError, InvalidOutput
from refbench.types import Images, ReleasedSlices, SlicePairs

Cohort = Callable[..., SlicePairs]
TINY: dict[str, Any] = {"width": 2, "batch": 2, "precision": "float32"}
WHOLE: dict[str, Any] = {**TINY, "composite": False, "augment": False}


def slices(images: Any) -> ReleasedSlices:
    images = np.asarray(images, np.float32)
    numbers = np.arange(len(images))
    return ReleasedSlices(images, numbers, np.zeros_like(numbers), np.ones(images.shape, bool))


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


def nobody(pairs: SlicePairs) -> SlicePairs:
    return pairs.take(slice(0, 0))


def context(folder: Path, seed: int = 0, **more: Any) -> TrainingContext:
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingContext(seed, folder, **more)


def fit(attacker: Pix2Pix, pairs: SlicePairs, where: TrainingContext) -> PairedReconstructor:
    """Without validation people."""
    trained = attacker.fit(pairs, nobody(pairs), where)
    assert isinstance(trained, PairedReconstructor)
    return trained


def same(first: object, second: object) -> bool:
    assert isinstance(first, PairedReconstructor)
    assert isinstance(second, PairedReconstructor)
    pairs = zip(first.saved.network.state_dict().values(), second.saved.network.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


# Parameters


def test_the_preset_paper_is_the_publications() -> None:
    paper = Pix2Pix(preset="paper")
    assert (paper.generator, paper.width, paper.batch, paper.epochs, paper.steps) == ("unet", 64, 1, 200, None)
    assert (paper.learning_rate, paper.dropout) == (2e-4, 0.5)
    assert (paper.l1_weight, paper.adversarial_weight, paper.adversarial_loss) == (100.0, 1.0, "vanilla")
    assert (paper.composite, paper.context, paper.augment) == (False, "2d", False)
    assert paper.label("pix2pix") == "pix2pix(preset=paper)"


def test_what_is_given_beside_the_preset_wins() -> None:
    attacker = Pix2Pix(preset="paper", batch=8, composite=True, region="known")
    assert (attacker.batch, attacker.composite, attacker.region, attacker.augment) == (8, True, "known", False)
    assert attacker.label("pix2pix") == "pix2pix(batch=8, region=known, preset=paper, composite=True)"


@pytest.mark.parametrize("given", [{"composite": False}, {"preset": "paper"}])
def test_a_known_region_is_of_use_for_composites_alone(given: dict[str, Any]) -> None:
    assert Pix2Pix(region="known").composite
    with pytest.raises(ValidationError, match="composite: true"):
        Pix2Pix(region="known", **given)


# Losses


def test_cross_entropy_by_hand() -> None:
    verdicts = torch.tensor([0.0, math.log(3.0)])  # probabilities 1/2 and 3/4 of being real
    assert adversarial_loss(verdicts, True).item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert adversarial_loss(verdicts, False).item() == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)


def test_least_squares_by_hand() -> None:
    verdicts = torch.tensor([0.25, 2.0])
    assert adversarial_loss(verdicts, True, least_squares=True).item() == pytest.approx((0.75**2 + 1) / 2)
    assert adversarial_loss(verdicts, False, least_squares=True).item() == pytest.approx((0.25**2 + 4) / 2)


@pytest.mark.parametrize(("least_squares", "loss"), [(False, -math.log(0.75)), (True, 0.5 * (0.75**2 + 0.25**2))])
def test_discriminator_judges_the_candidate_beside_all_that_was_seen(least_squares: bool, loss: float) -> None:
    class Excess(nn.Module):
        """How much brighter the candidate is than what was seen, on the whole."""

        def forward(self, shown: Tensor) -> Tensor:
            assert shown.shape[1] == 4
            return shown[:, 3:] - shown[:, :3].sum(dim=1, keepdim=True)

    seen = torch.tensor([1.0, -2.0, 1.0])[None, :, None, None].expand(1, 3, 2, 2)
    real, fake = (0.25, 0.25) if least_squares else (math.log(3.0), -math.log(3.0))
    verdict = discriminator_loss(
        Excess(), seen, torch.full((1, 1, 2, 2), real), torch.full((1, 1, 2, 2), fake), least_squares
    )
    assert verdict.item() == pytest.approx(loss)


@pytest.mark.parametrize("composite", [False, True])
def test_an_answer_may_lie_anywhere_from_black_to_white(composite: bool) -> None:
    class Says(nn.Module):
        def forward(self, shown: Tensor) -> Tensor:
            assert [shown.min().item(), shown.max().item()] == [-1, 1], "0-1 enter as the range of tanh"
            return torch.tensor([-1.0, 0.0, 1.0])[:, None, None, None].expand(3, 1, 2, 2)

    seen = torch.tensor([0.0, 1.0]).expand(3, 1, 2, 2)
    start = torch.tensor([0.9, 0.3, 0.1] if composite else [0.5] * 3)[:, None, None].expand(3, 2, 2)
    answer = painter(composite)(Says(), seen, start).clamp(0, 1)
    torch.testing.assert_close(answer[:, 0, 0], torch.tensor([0.0, 0.3, 1.0] if composite else [0.0, 0.5, 1.0]))


@pytest.mark.parametrize(("composite", "l1"), [(False, 1.0), (True, 0.6)])
def test_l1_is_on_the_scale_of_tanh_which_its_weight_is_meant_for(
    composite: bool, l1: float, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    monkeypatch.setattr(pix2pix_training, "update", lambda optimiser, loss: losses.append(loss.item()))
    if composite:
        # Nothing but an intensity of 0.3 is missing, and the answer is what was released.
        original = np.full((10, 40, 40), 0.6, np.float32)
        images = original.copy()
        images[:, 12:28, 4:24] = 0.3
        numbers = np.arange(10)
        released = ReleasedSlices(images, numbers // 5, numbers % 5, images != original)
        pairs, answer = SlicePairs(released, original), images[0, 12, 4]
    else:
        pairs, answer = SlicePairs(slices(np.zeros((4, 16, 16))), np.ones((4, 16, 16), np.float32)), 0.5

    def paint(generator: nn.Module, seen: Tensor, start: Tensor) -> Tensor:
        return torch.full_like(start, float(answer))

    monkeypatch.setattr(pix2pix_training, "painter", lambda composite: paint)
    options = {**TINY, "composite": composite, "augment": composite, "adversarial_weight": 0, "l1_weight": 50.0}
    region: KnownOrEstimated = "known" if composite else "estimated"
    fit(Pix2Pix(**options, steps=1, region=region), pairs, context(tmp_path))
    assert losses == [pytest.approx(50 * l1, rel=1e-3)]


# Networks


def test_skips_reach_down_to_a_pixel_at_256() -> None:
    assert halvings_of(256, 256) == 8
    network = UNet(width=1, halvings=8, dropout=0)
    sides: list[int] = []
    for decoder in network.decoders[:-1]:
        decoder.register_forward_pre_hook(lambda module, inputs: sides.append(inputs[0].shape[-1]))
    network(torch.zeros(1, 1, 256, 256))
    assert sides == [2, 4, 8, 16, 32, 64, 128], "each is half the layer below and half what came over the skip"


@pytest.mark.parametrize(("region", "view", "inputs"), [("known", "2d", 3), ("estimated", "2.5d", 5)])
def test_the_discriminator_sees_what_the_generator_sees_and_the_candidate_and_learns_first(
    region: KnownOrEstimated,
    view: str,
    inputs: int,
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channels: list[int] = []

    def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        channels.append(optimiser.param_groups[0]["params"][0].shape[1])
        training.update(optimiser, loss)

    monkeypatch.setattr(pix2pix_training, "update", update)
    fit(Pix2Pix(**TINY, steps=2, region=region, context=view), cohort("removal", people=3), context(tmp_path))
    assert channels == [inputs + 1, inputs, inputs + 1, inputs]
    channels.clear()
    fit(Pix2Pix(**WHOLE, steps=2), toy_pairs(), context(tmp_path / "whole"))
    assert channels == [2, 1, 2, 1]


@pytest.mark.parametrize("augment", [False, True])
def test_where_nothing_was_changed_the_candidate_is_the_original(
    augment: bool, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[tuple[Tensor, Tensor, Tensor]] = []

    def judge(discriminator: nn.Module, seen: Tensor, original: Tensor, fake: Tensor, least_squares: bool) -> Tensor:
        judged.append((seen, original, fake))
        return discriminator_loss(discriminator, seen, original, fake, least_squares)

    monkeypatch.setattr(pix2pix_training, "discriminator_loss", judge)
    pairs = cohort("removal", people=3)
    fit(Pix2Pix(**TINY, steps=2, region="known", augment=augment), pairs, context(tmp_path))
    for seen, original, fake in judged:
        mask = seen[:, 1:2] > 0  # in -1 to 1: more than half changed
        assert torch.equal(fake[~mask], original[~mask])
        assert not torch.equal(fake[mask], original[mask])
        assert not fake.requires_grad, "the generator does not learn from the discriminator's loss"


@pytest.mark.parametrize("composite", [False, True])
def test_a_resnet_in_place_of_the_unet(composite: bool, cohort: Cohort, tmp_path: Path) -> None:
    pairs = cohort("removal", people=3) if composite else toy_pairs()
    options = TINY if composite else WHOLE
    attacker = Pix2Pix(**options, steps=2, generator="resnet", blocks=1)
    trained = fit(attacker, pairs, context(tmp_path / "work"))
    assert isinstance(trained.saved.network, ResidualGenerator)
    assert trained.saved.arguments == {"width": 2, "inputs": 3 if composite else 1, "blocks": 1}
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    loaded = attacker.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.reconstruct(pairs.released), trained.reconstruct(pairs.released))


def test_weights_begin_as_the_publication_draws_them() -> None:
    network = UNet(width=16, halvings=4, dropout=0)
    pix2pix_training.initialise(network)
    drawn = torch.cat(
        [module.weight.flatten() for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    )
    assert drawn.std().item() == pytest.approx(0.02, rel=0.02)
    assert abs(drawn.mean().item()) < 1e-4


# A training


def test_without_adversarial_weight_only_the_distance_is_learnt(tmp_path: Path) -> None:
    reports: list[dict[str, float]] = []
    where = context(tmp_path, report=lambda done, total, losses: reports.append(losses))
    fit(Pix2Pix(**WHOLE, steps=2, adversarial_weight=0), toy_pairs(), where)
    assert set(reports[-1]) == {"l1"}
    fit(Pix2Pix(**WHOLE, steps=2, adversarial_loss="least_squares"), toy_pairs(), replace(where, seed=1))
    assert set(reports[-1]) == {"l1", "adversarial", "discriminator"}


def test_batches_are_drawn_with_replacement_and_stay_paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Tensor] = []

    def judge(discriminator: nn.Module, seen: Tensor, original: Tensor, fake: Tensor, least_squares: bool) -> Tensor:
        torch.testing.assert_close(seen, -original, atol=1e-4, rtol=0)
        shown.append(original[:, 0, 0, 0])
        return discriminator_loss(discriminator, seen, original, fake, least_squares)

    monkeypatch.setattr(pix2pix_training, "discriminator_loss", judge)
    original = np.tile(np.linspace(0, 1, 8, dtype=np.float32)[:, None, None], (1, 16, 16))
    fit(Pix2Pix(**WHOLE, epochs=2), SlicePairs(slices(1 - original), original), context(tmp_path))
    assert sum(map(len, shown)) == 2 * 8
    assert len(torch.cat(shown)[:8].unique()) < 8


@pytest.mark.parametrize("options", [{**WHOLE, "dropout": 0.5}, {**TINY, "region": "known"}], ids=["whole", "windows"])
def test_killed_and_resumed_ends_with_the_same_weights(
    options: dict[str, Any], cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacker, pairs = Pix2Pix(**options, steps=9, validations=3), cohort("removal", people=3)
    if not attacker.composite:
        pairs = toy_pairs(size=32)
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
    attacker, pairs = Pix2Pix(**WHOLE, steps=3), toy_pairs(size=32)
    first = fit(attacker, pairs, context(tmp_path / "1"))
    assert same(first, fit(attacker, pairs, context(tmp_path / "2")))
    assert not same(first, fit(attacker, pairs, context(tmp_path / "3", seed=1)))


def test_divergence_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidOutput, match="lower learning_rate"):
        fit(Pix2Pix(**WHOLE, steps=6, learning_rate=1e30), toy_pairs(), context(tmp_path))


@pytest.mark.parametrize("size", [(24, 40), (32, 64), (96, 96)])
def test_any_sides_that_can_be_halved_are_taken(size: tuple[int, int], tmp_path: Path) -> None:
    original = np.random.default_rng(0).random((2, *size), np.float32)
    pairs = SlicePairs(slices(original), original)
    trained = fit(Pix2Pix(**WHOLE, steps=1), pairs, context(tmp_path))
    assert trained.reconstruct(pairs.released).shape == (2, *size)


@pytest.mark.parametrize("size", [20, 8])
def test_whole_images_that_do_not_fit_are_refused(size: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 16 pixels with both sides multiples of 8"):
        fit(Pix2Pix(**WHOLE, steps=1), toy_pairs(size=size), context(tmp_path))


@pytest.mark.parametrize("composite", [False, True])
def test_no_slices_are_refused(composite: bool, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Pix2Pix: there are no slices"):
        fit(Pix2Pix(**TINY, composite=composite), toy_pairs(0), context(tmp_path))


# A reconstructor


def test_saved_and_loaded_reconstructs_exactly_the_same(tmp_path: Path) -> None:
    attacker, pairs = Pix2Pix(**WHOLE, steps=2, dropout=0.5), toy_pairs(20)
    trained = attacker.fit(pairs, pairs, context(tmp_path / "work"))
    assert isinstance(trained, PairedReconstructor)
    assert isinstance(trained.frame, WholeImages)
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    reconstructed = trained.reconstruct(pairs.released)
    assert np.array_equal(attacker.load(tmp_path / "saved").reconstruct(pairs.released), reconstructed)
    assert np.array_equal(trained.reconstruct(pairs.released), reconstructed), "dropout is off at test time"
    assert json.loads((tmp_path / "saved" / "training.json").read_text())["steps"] == 2


def test_whole_images_are_the_generators_answers(tmp_path: Path) -> None:
    pairs = toy_pairs()
    trained = fit(Pix2Pix(**WHOLE, steps=2), pairs, context(tmp_path))
    with torch.no_grad():
        answer = trained.saved.network(to_network(torch.from_numpy(pairs.released.images[:, None])))
    expected = ((answer[:, 0] + 1) / 2).numpy()
    np.testing.assert_allclose(trained.reconstruct(pairs.released), expected, atol=1e-6)


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_a_composite_repaints_the_region_alone_one_release_at_a_time(
    region: KnownOrEstimated, cohort: Cohort, tmp_path: Path
) -> None:
    train, people = cohort("removal", people=6, seed=1), cohort("removal", people=2, seed=3)
    attacker = Pix2Pix(**TINY, steps=3, region=region, context="2.5d")
    trained = fit(attacker, train, context(tmp_path / "work"))
    assert isinstance(trained.frame, Windows)
    released = people.released if region == "known" else replace(people.released, changed=None)
    images = trained.reconstruct(released)
    touched = images != released.images
    assert touched[people.changed & (people.original > 0.1)].mean() > (0.99 if region == "known" else 0.9)
    assert (touched & ~people.changed).mean() <= (0 if region == "known" else 0.05)
    for number in range(2):
        mine = released.release == number
        np.testing.assert_array_equal(trained.reconstruct(released.take(mine)), images[mine])
    (tmp_path / "saved").mkdir()
    trained.save(tmp_path / "saved")
    np.testing.assert_array_equal(attacker.load(tmp_path / "saved").reconstruct(released), images)


def test_a_composite_leaves_alone_what_nobody_changed(cohort: Cohort, tmp_path: Path) -> None:
    train, people = cohort("identity", people=3), cohort("identity", people=2, seed=1)
    trained = fit(Pix2Pix(**TINY, steps=1), train, context(tmp_path))
    np.testing.assert_array_equal(trained.reconstruct(people.released), people.released.images)


def test_it_learns_an_inversion_and_reconstructs_unseen_images(tmp_path: Path) -> None:
    original = blobs(40, 32, seed=2)
    pairs, unseen = SlicePairs(slices(1 - original), original), blobs(8, 32, seed=3)
    attacker = Pix2Pix(**{**WHOLE, "width": 8, "batch": 4}, steps=80, learning_rate=3e-3, dropout=0)
    reconstructed = fit(attacker, pairs, context(tmp_path)).reconstruct(slices(1 - unseen))
    assert np.abs(reconstructed - unseen).mean() < 0.25 * np.abs(1 - 2 * unseen).mean()
