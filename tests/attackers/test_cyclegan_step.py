"""One step of the CycleGAN: losses, pools, order, draws."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from refbench.attackers import cyclegan_training, training
from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.cyclegan_training import CycleGame, adversarial_loss, discriminator_loss, initialise
from refbench.attackers.networks import ResidualGenerator
from refbench.attackers.resident import LEVELS
from refbench.types import Images, ReleasedSlices, SlicePairs

TINY = {"width": 2, "blocks": 1, "batch": 2, "pool": 3, "precision": "float32"}


def pairs_of(released: Images, original: Images) -> SlicePairs:
    numbers = np.arange(len(released))
    return SlicePairs(ReleasedSlices(released, numbers, numbers, np.ones(released.shape, bool)), original)


def toy_pairs(count: int = 6, size: int = 16) -> SlicePairs:
    """Random images and their inversions, in the very steps that a training keeps them in."""
    levels = np.random.default_rng(1).integers(0, LEVELS, (count, size, size), endpoint=True)
    original, inverted = (grey.astype(np.float32) / LEVELS for grey in (levels, LEVELS - levels))
    return pairs_of(inverted, original)


def test_least_squares_by_hand() -> None:
    verdicts = torch.tensor([0.0, 1.0, 3.0])
    assert adversarial_loss(verdicts, 1.0).item() == pytest.approx((1 + 0 + 4) / 3)
    assert adversarial_loss(verdicts, 0.0).item() == pytest.approx((0 + 1 + 9) / 3)


def test_discriminator_loss_is_half_of_both_terms() -> None:
    real, fake = torch.full((2, 1, 1, 1), 0.5), torch.full((2, 1, 1, 1), 0.25)
    loss = discriminator_loss(nn.Identity(), real, fake)
    assert loss.item() == pytest.approx(0.5 * (0.5**2 + 0.25**2))


class Plus(nn.Module):
    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))

    def forward(self, images: Tensor) -> Tensor:
        return images + self.number


@pytest.mark.parametrize(("paired_weight", "paired"), [(0.0, 0.0), (10.0, 0.25)])
def test_the_whole_objective_by_hand(paired_weight: float, paired: float, monkeypatch: pytest.MonkeyPatch) -> None:
    minimised: list[float] = []
    monkeypatch.setattr(cyclegan_training, "update", lambda optimiser, loss: minimised.append(loss.item()))
    # Grey 0.5 and 0.75 are 0 and 0.5 in the range of tanh.
    pairs = pairs_of(*np.full((2, 1, 16, 16), [[[[0.5]]], [[[0.75]]]], np.float32))
    attacker = CycleGAN(**{**TINY, "batch": 1, "pool": 0}, paired_weight=paired_weight)
    game = CycleGame(attacker, pairs, "cpu")
    stand_ins = {"to_original": 0.25, "to_released": -0.5, "judge_original": 0.0, "judge_released": 0.0}
    for name, number in stand_ins.items():
        monkeypatch.setattr(game, name, Plus(number))
    losses = game.step(game.draw(np.random.default_rng(0)))
    # Fakes: 0 + 0.25 and 0.5 - 0.5; a verdict is the image itself.
    discriminators = 0.5 * ((0.5 - 1) ** 2 + 0.25**2) + 0.5 * ((0 - 1) ** 2 + 0**2)
    adversarial = (0.25 - 1) ** 2 + (0 - 1) ** 2
    cycle = abs(0.25 - 0.5 - 0) + abs(0 + 0.25 - 0.5)
    expected = [discriminators, adversarial + 10 * cycle + paired_weight * paired]
    assert minimised == pytest.approx(expected, abs=1e-3)
    assert losses["cycle"].item() == pytest.approx(cycle, abs=1e-4)
    if paired_weight:
        assert losses["paired"].item() == pytest.approx(paired, abs=1e-4)
    else:
        assert "paired" not in losses


class PlainGame:
    """The same training, spelled out: plain autograd, plain Adam, a list for a pool."""

    def __init__(self, game: CycleGame, rate: float) -> None:
        self.g, self.f = copy.deepcopy(game.to_original), copy.deepcopy(game.to_released)
        self.judge_b, self.judge_a = copy.deepcopy(game.judge_original), copy.deepcopy(game.judge_released)
        chained = [
            [*self.g.parameters(), *self.f.parameters()],
            [*self.judge_b.parameters(), *self.judge_a.parameters()],
        ]
        self.generators, self.discriminators = (
            torch.optim.Adam(parameters, rate, (0.5, 0.999), fused=False) for parameters in chained
        )
        self.pools: tuple[list[Tensor], list[Tensor]] = ([], [])

    def step(self, a: Tensor, b: Tensor, capacity: int, rng: np.random.Generator) -> None:
        fake_b, fake_a = self.g(a), self.f(b)
        shown = []
        for pool, fakes in zip(self.pools, (fake_b, fake_a), strict=True):
            for fake in fakes.detach():
                if len(pool) < capacity:
                    pool.append(fake)
                elif rng.random() < 0.5:
                    place = int(rng.integers(capacity))
                    fake, pool[place] = pool[place], fake
                shown.append(fake)
        old_b, old_a = torch.stack(shown).chunk(2)
        loss = ((self.judge_b(b) - 1) ** 2).mean() / 2 + (self.judge_b(old_b) ** 2).mean() / 2
        loss = loss + ((self.judge_a(a) - 1) ** 2).mean() / 2 + (self.judge_a(old_a) ** 2).mean() / 2
        self.discriminators.zero_grad()
        loss.backward()
        self.discriminators.step()
        loss = ((self.judge_b(fake_b) - 1) ** 2).mean() + ((self.judge_a(fake_a) - 1) ** 2).mean()
        loss = loss + 10 * (self.f(fake_b) - a).abs().mean() + 10 * (self.g(fake_a) - b).abs().mean()
        self.generators.zero_grad()
        loss.backward()
        self.generators.step()


def test_steps_are_those_of_a_plain_implementation() -> None:
    pairs, rate = toy_pairs(), 2e-4
    torch.manual_seed(0)
    game = CycleGame(CycleGAN(**TINY), pairs, "cpu")
    plain = PlainGame(game, rate)
    rng, plain_rng = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(4):
        game.step(game.draw(rng))
        chosen = [plain_rng.integers(len(pairs), size=2) for _ in range(2)]
        a, b = (
            2 * torch.from_numpy(images[index])[:, None] - 1
            for images, index in zip((pairs.released.images, pairs.original), chosen, strict=True)
        )
        plain.step(a, b, TINY["pool"], plain_rng)
    for mine, expected in (
        (game.to_original, plain.g),
        (game.to_released, plain.f),
        (game.judge_original, plain.judge_b),
        (game.judge_released, plain.judge_a),
    ):
        for name, value in mine.state_dict().items():
            # A bias before a norm has no gradient but rounding, which Adam blows up to its learning rate.
            blown_up = 4 * 2.1 * rate if name.endswith("bias") else 0.0
            torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=blown_up + 1e-5)


def test_discriminators_learn_first_and_the_generators_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    game = CycleGame(CycleGAN(**TINY), toy_pairs(), "cpu")
    judges = (game.judge_original, game.judge_released)

    def judged(module: nn.Module, inputs: object, output: object) -> None:
        frozen = not any(parameter.requires_grad for parameter in module.parameters())
        events.append("judge, frozen" if frozen else "judge")

    def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        before = [parameter.detach().clone() for judge in judges for parameter in judge.parameters()]
        training.update(optimiser, loss)
        after = [parameter for judge in judges for parameter in judge.parameters()]
        learnt = any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
        events.append("discriminators" if learnt else "generators")

    for judge in judges:
        judge.register_forward_hook(judged)
    monkeypatch.setattr(cyclegan_training, "update", update)
    game.step(game.draw(np.random.default_rng(0)))
    assert events == ["judge", "judge", "discriminators", "judge, frozen", "judge, frozen", "generators"]
    assert all(parameter.requires_grad for judge in judges for parameter in judge.parameters())


def test_in_bfloat16_too_the_generators_learn_from_the_updated_discriminators() -> None:
    game = CycleGame(CycleGAN(**TINY, learning_rate=0.1), toy_pairs(), "cpu")
    verdicts: list[tuple[Tensor, Tensor]] = []
    game.judge_original.register_forward_hook(lambda module, inputs, output: verdicts.append((inputs[0], output)))
    with torch.autocast("cpu", torch.bfloat16):
        game.step(game.draw(np.random.default_rng(0)))
    fakes, verdict = verdicts[-1]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(verdict, game.judge_original(fakes))


def test_discriminators_are_shown_what_comes_out_of_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    game = CycleGame(CycleGAN(**TINY), toy_pairs(), "cpu")
    for pool in (game.pool_original, game.pool_released):
        monkeypatch.setattr(pool, "exchange", lambda fakes, decided: torch.full_like(fakes, 0.125))
    shown: list[Tensor] = []

    def judge(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        shown.append(fake)
        return discriminator_loss(discriminator, real, fake)

    monkeypatch.setattr(cyclegan_training, "discriminator_loss", judge)
    game.step(game.draw(np.random.default_rng(0)))
    assert len(shown) == 2
    assert all((fakes == 0.125).all() for fakes in shown)


def test_both_optimisers_are_adam_with_the_papers_betas_and_rate() -> None:
    game = CycleGame(CycleGAN(**TINY), toy_pairs(), "cpu")
    for optimiser in (game.generators, game.discriminators):
        assert type(optimiser) is torch.optim.Adam
        (group,) = optimiser.param_groups
        assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.5, 0.999), 0)


def test_weights_begin_as_in_keras() -> None:
    torch.manual_seed(0)
    generator = ResidualGenerator(8, 1)
    initialise(generator)
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            area = layer.kernel_size[0] * layer.kernel_size[1]
            limit = math.sqrt(6 / (area * (layer.in_channels + layer.out_channels)))
            assert layer.weight.abs().max() <= limit
            assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.1)
            assert layer.bias is not None
            assert not layer.bias.any()
        if isinstance(layer, nn.InstanceNorm2d):
            assert (layer.weight == 1).all()
            assert not layer.bias.any()


def test_domains_are_drawn_independently_with_replacement_and_on_the_host() -> None:
    game, rng = CycleGame(CycleGAN(**TINY), toy_pairs(8), "cpu"), np.random.default_rng(0)
    drawn = [game.draw(rng) for _ in range(200)]
    assert {name: value.shape for name, value in drawn[0].items()} == {
        "released": (2,),
        "original": (2,),
        "pool_original": (2, 2),
        "pool_released": (2, 2),
    }
    assert all(value.device.type == "cpu" and value.dtype == torch.int64 for value in drawn[0].values())
    released, original = (torch.cat([one[name] for one in drawn]) for name in ("released", "original"))
    assert set(released.tolist()) == set(original.tolist()) == set(range(8))
    met = (released == original).float().mean()
    assert 0.05 < met < 0.2, "a slice meets its original by chance, one time in eight"
    epochs = released.reshape(-1, 8)
    assert any(len(epoch.unique()) < 8 for epoch in epochs), "a draw without replacement would show all eight"


def test_the_paired_variant_draws_pairs() -> None:
    game = CycleGame(CycleGAN(**TINY, paired_weight=10), toy_pairs(8), "cpu")
    drawn = game.draw(np.random.default_rng(0))
    assert torch.equal(drawn["released"], drawn["original"])
