import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from refbench.attackers import diffusion_training, training
from refbench.attackers.base import Reconstructor, TrainingContext, closeness
from refbench.attackers.denoiser import Denoiser, support
from refbench.attackers.diffusion import Diffusion
from refbench.attackers.diffusion_training import (
    AVERAGE,
    VALIDATION_PEOPLE,
    WeightAverage,
    _some_people,
    opposite_noises,
    painting,
    scale_of,
)
from refbench.attackers.noise_schedule import velocity_of
from refbench.attackers.paired import PairedReconstructor, TrainingWindows
from refbench.attackers.resident import Resident
from refbench.errors import DataError
from refbench.testing_cohort import PLANES, toy_cohort
from refbench.types import Images, ReleasedSlices, SlicePairs

Cohort = Callable[..., SlicePairs]
TINY = {"width": 4, "batch": 2, "steps": 3, "sampling_steps": 3, "precision": "float32"}


def context(
    folder: Path, seed: int = 0, report: Callable[[int, int, dict[str, float]], None] = lambda *_: None
) -> TrainingContext:
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingContext(seed, folder, "cpu", report)


def nobody(pairs: SlicePairs) -> SlicePairs:
    return pairs.take(slice(0, 0))


def untold(released: ReleasedSlices) -> ReleasedSlices:
    return replace(released, changed=None)


def lively(network: Denoiser, seed: int = 0) -> Denoiser:
    """The same with random weights everywhere, as after a training: the last layer begins at 0."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


def seen_of(count: int = 3, size: tuple[int, int] = (16, 32)) -> Tensor:
    """Three channels; a change is likely in the right half."""
    seen = torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(2))
    seen[:, 1, :, : size[1] // 2] = 0
    seen[:, 1, :, size[1] // 2 :] = 0.9
    return seen


def test_before_training_nothing_is_guessed_or_predicted() -> None:
    network, nothing = Denoiser(3, 4, (16, 32), 1), torch.zeros(3, 1, 16, 32)
    assert torch.equal(network.guess(seen_of()), nothing)
    assert torch.equal(network(torch.randn(3, 1, 16, 32), torch.rand(3), seen_of(), nothing), nothing)


def test_the_prediction_is_confined_and_depends_on_all_that_is_told() -> None:
    network, seen, angle = lively(Denoiser(3, 4, (16, 32), 1)), seen_of(), torch.tensor([0.3, 0.8, 1.3])
    place = support(seen)
    noisy, guess = torch.randn(3, 1, 16, 32) * place, network.guess(seen)
    velocity = network(noisy, angle, seen, guess)
    assert velocity.shape == noisy.shape
    for confined in (velocity, guess):
        assert not confined[..., :16].any()
        assert (confined[..., 16:] != 0).all()
    for other in (
        network(2 * noisy, angle, seen, guess),
        network(noisy, angle.flip(0), seen, guess),
        network(noisy, angle, seen.roll(1, 0), guess),
        network(noisy, angle, seen, 2 * guess),
    ):
        assert (other - velocity).abs().max() > 1e-3
    torch.testing.assert_close(network.guess(seen[1:2]), guess[1:2])
    torch.testing.assert_close(network(noisy[1:2], angle[1:2], seen[1:2], guess[1:2]), velocity[1:2])


def test_answer_is_the_start_the_guess_and_the_mean_of_samples_of_what_it_missed() -> None:
    network, seen = lively(Denoiser(3, 4, (16, 32), 2)), seen_of()
    start = torch.full((3, 16, 32), 0.5)
    one, other = (torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    network.scale.fill_(0.01)
    answers = []
    with torch.inference_mode():
        for noises in ([one, one], [other, other], [one, other]):
            network.noise.copy_(torch.stack(noises))
            answers.append(painting(4)(network, seen, start))
    torch.testing.assert_close(answers[2], (answers[0] + answers[1]) / 2)
    assert (answers[0] - answers[1])[..., 16:].abs().max() > 1e-3
    network.eval().denoising.last.weight.data.zero_()
    network.denoising.last.bias.data.zero_()
    network.noise.zero_()
    guessed = (start + 0.01 * network.guess(seen)[:, 0]).detach()
    torch.testing.assert_close(painting(4)(network, seen, start).detach(), guessed)
    assert torch.equal(answers[0][..., :16], start[..., :16])


@pytest.mark.parametrize(("count", "opposites"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_noises_come_in_opposite_pairs(count: int, opposites: int) -> None:
    noises = opposite_noises(np.random.default_rng(0), count, (8, 8))
    assert noises.shape == (count, 1, 8, 8)
    assert len(np.unique(np.abs(noises).reshape(count, -1), axis=0)) == count - opposites
    half = count - opposites
    assert np.array_equal(noises[half:], -noises[:opposites])
    assert np.array_equal(noises, opposite_noises(np.random.default_rng(0), count, (8, 8)))


def test_scale_by_hand() -> None:
    def window(*values: float) -> Resident:
        return Resident(np.array(values, np.float32).reshape(2, 1, 2), "cpu")

    people = TrainingWindows(
        seen=window(0, 0, 0, 0),
        start=window(0.5, 0.5, 0.5, 0.5),
        mask=window(1, 0, 1, 1),
        original=window(0.6, 1.0, 0.3, 0.7),
        lengths=(1, 1),
        augment=False,
    )
    assert scale_of(people, block=1) == pytest.approx(math.sqrt((0.01 + 0.04 + 0.04) / 3), rel=1e-3)
    assert scale_of(replace(people, mask=window(0, 0, 0, 0))) == 1.0


def test_the_network_learns_what_is_missing_in_units_of_its_scale(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images: list[Tensor] = []

    def note(clean: Tensor, noise: Tensor, angle: Tensor) -> Tensor:
        images.extend([clean, noise])
        return velocity_of(clean, noise, angle)

    monkeypatch.setattr(diffusion_training, "velocity_of", note)
    pairs = cohort("removal", 2)
    recipe = {**TINY, "batch": 32, "steps": 1}
    Diffusion(**recipe, region="known", augment=False).fit(pairs, nobody(pairs), context(tmp_path))
    clean, noise = images
    changed = noise != 0
    assert clean[changed].square().mean().sqrt().item() == pytest.approx(1, rel=0.1)
    assert noise[changed].std().item() == pytest.approx(1, rel=0.02)
    assert not clean[~changed].any()


def test_average_of_weights_by_hand() -> None:
    network = nn.Linear(1, 1)
    average = WeightAverage(network)

    def take(weight: float) -> float:
        nn.init.constant_(network.weight, weight)
        average.update(network)
        return float(average.network.weight.item())  # type: ignore[arg-type]

    assert take(5.0) == 5.0, "what the weights were before the first step does not count"
    second = 5 + (7 - 5) * (1 - 0.5 ** (AVERAGE + 1))
    assert take(7.0) == pytest.approx(second)
    third = second + (1 - second) * (1 - (2 / 3) ** (AVERAGE + 1))
    assert take(1.0) == pytest.approx(third)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


def test_average_of_steadily_growing_weights_lags_by_a_fixed_share_of_the_training() -> None:
    # The mean of t under a density of t ** gamma on 0 .. n is n (gamma + 1) / (gamma + 2).
    network = nn.Linear(1, 1)
    average = WeightAverage(network)
    for step in range(1, 201):
        nn.init.constant_(network.weight, float(step))
        average.update(network)
    assert average.network.weight.item() == pytest.approx(200 * (AVERAGE + 1) / (AVERAGE + 2), rel=0.01)


def test_some_validation_people_are_asked(cohort: Cohort) -> None:
    for count, asked in ((3, 3), (5, 5), (6, 3), (11, 4)):
        some = _some_people(cohort("removal", count))
        assert len(np.unique(some.released.release)) == asked <= VALIDATION_PEOPLE
        assert len(some) == asked * PLANES, "people are asked about all their slices"
    assert len(_some_people(nobody(cohort("removal", 2)))) == 0


@pytest.fixture(scope="module")
def removed() -> SlicePairs:
    return toy_cohort("removal", 2)


@pytest.fixture(scope="module")
def trained(removed: SlicePairs, tmp_path_factory: pytest.TempPathFactory) -> Reconstructor:
    """A few steps with the region estimated."""
    return Diffusion(**TINY).fit(removed, nobody(removed), context(tmp_path_factory.mktemp("training")))


@pytest.mark.parametrize("how", ["removal", "blur"])
def test_it_learns_what_new_people_have_behind_the_change(how: str, cohort: Cohort, tmp_path: Path) -> None:
    train, unseen = cohort(how, 8, side=24), cohort(how, 3, seed=2, side=24)
    recipe = {"width": 8, "batch": 8, "steps": 40, "learning_rate": 5e-3, "precision": "float32"}
    trained = Diffusion(**recipe, sampling_steps=5, region="known").fit(train, nobody(train), context(tmp_path))
    assert isinstance(trained, PairedReconstructor)
    start = unseen.released.images.copy()
    for view in trained.frame.views(unseen.released):
        trained.frame.paste(start, view, view.start)
    reconstructed = trained.reconstruct(unseen.released)
    assert closeness(unseen, reconstructed) > closeness(unseen, start) > closeness(unseen, unseen.released.images)


def test_nothing_changed_nothing_done(cohort: Cohort, tmp_path: Path) -> None:
    pairs = cohort("identity", 2)
    trained = Diffusion(**TINY).fit(pairs, pairs, context(tmp_path))
    assert np.array_equal(trained.reconstruct(untold(pairs.released)), pairs.original)


@pytest.mark.parametrize("shown", ["2d", "2.5d"])
def test_only_the_told_region_is_touched_and_it_must_be_told(shown: str, cohort: Cohort, tmp_path: Path) -> None:
    pairs = cohort("removal", 2)
    trained = Diffusion(**TINY, region="known", context=shown).fit(pairs, nobody(pairs), context(tmp_path))
    reconstructed = trained.reconstruct(pairs.released)
    outside = ~pairs.changed
    assert np.array_equal(reconstructed[outside], pairs.released.images[outside])
    assert (reconstructed != pairs.released.images)[pairs.changed].mean() > 0.5
    assert reconstructed.dtype == np.float32
    assert 0 <= reconstructed.min() <= reconstructed.max() <= 1
    with pytest.raises(DataError, match="region: known"):
        trained.reconstruct(untold(pairs.released))


def test_nobody_to_train_on_is_said(cohort: Cohort, tmp_path: Path) -> None:
    pairs = cohort("removal", 2)
    with pytest.raises(DataError, match="no slices to train on"):
        Diffusion(**TINY).fit(nobody(pairs), pairs, context(tmp_path))


def test_saved_and_loaded_reconstructs_exactly_the_same(
    removed: SlicePairs, trained: Reconstructor, tmp_path: Path
) -> None:
    trained.save(tmp_path)
    reconstructed = trained.reconstruct(untold(removed.released))
    assert np.array_equal(Diffusion(**TINY).load(tmp_path).reconstruct(untold(removed.released)), reconstructed)
    assert np.array_equal(trained.reconstruct(untold(removed.released)), reconstructed)


def test_a_release_alone_gives_what_it_gives_among_others(removed: SlicePairs, trained: Reconstructor) -> None:
    together = trained.reconstruct(untold(removed.released))
    alone = removed.released.release == 1
    assert np.array_equal(trained.reconstruct(untold(removed.released.take(alone))), together[alone])


def test_a_seed_decides_everything(cohort: Cohort, tmp_path: Path) -> None:
    pairs = cohort("removal", 2)

    def reconstructed(folder: str, seed: int) -> Images:
        trained = Diffusion(**TINY, region="known").fit(pairs, nobody(pairs), context(tmp_path / folder, seed))
        return trained.reconstruct(pairs.released)

    first = reconstructed("1", 0)
    assert np.array_equal(first, reconstructed("2", 0))
    assert not np.array_equal(first, reconstructed("3", 1))


def test_killed_and_resumed_ends_with_the_same_weights(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, attacker = cohort("removal", 2), Diffusion(**{**TINY, "steps": 6}, validations=3, region="known")
    straight = attacker.fit(pairs, pairs, context(tmp_path / "straight"))
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def kill(done: int, total: int, losses: dict[str, float]) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attacker.fit(pairs, pairs, context(tmp_path / "killed", report=kill))
    first: list[int] = []
    resumed = attacker.fit(pairs, pairs, context(tmp_path / "killed", report=lambda done, *_: first.append(done)))
    assert first[0] == 4, "it goes on from the checkpoint after step 3"
    assert isinstance(straight, PairedReconstructor)
    assert isinstance(resumed, PairedReconstructor)
    for one, other in zip(
        straight.saved.network.state_dict().values(), resumed.saved.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert straight.saved.trained is not None
    assert resumed.saved.trained is not None
    assert [step for step, _ in straight.saved.trained.curve] == [2, 4, 6]
    assert straight.saved.trained.curve == resumed.saved.trained.curve
