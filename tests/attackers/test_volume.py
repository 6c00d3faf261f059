import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.functional import conv3d, instance_norm, leaky_relu

from refbench.attackers import training
from refbench.attackers.base import TrainingContext
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.attackers.mean_face import MeanFace
from refbench.attackers.paired import PairedReconstructor, TrainingWindows
from refbench.attackers.resident import Resident
from refbench.attackers.volume import Volume
from refbench.attackers.volume_network import SliceConvolution, VolumeUNet, doubled, halved
from refbench.attackers.volume_training import draw_patches, painter, patch_starts
from refbench.errors import DataError
from refbench.types import ReleasedSlices, SlicePairs

Cohort = Callable[..., SlicePairs]


@cache
def fit(
    cohort: Cohort, how: str, region: KnownOrEstimated = "estimated", steps: int = 30, depth: int = 7
) -> PairedReconstructor:
    attacker = Volume(
        width=4, batch=1, steps=steps, learning_rate=2e-3, region=region, depth=depth, precision="float32"
    )
    trained = attacker.fit(cohort(how, seed=1), cohort(how, people=3, seed=2), TrainingContext(0, Path("unused")))
    assert isinstance(trained, PairedReconstructor)
    return trained


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written under the working folder."""
    (tmp_path / "unused").mkdir()
    monkeypatch.chdir(tmp_path)


def error(pairs: SlicePairs, images: np.ndarray) -> float:
    return float(((images - pairs.original)[pairs.changed] ** 2).mean())


def weights(trained: PairedReconstructor) -> list[Tensor]:
    return list(trained.saved.network.state_dict().values())


def numbered_windows(lengths: tuple[int, ...], augment: bool) -> TrainingWindows:
    """Slices of 4 x 4 pixels, each of which holds its own number, in hundredths."""
    images = np.repeat(np.arange(sum(lengths), dtype=np.float32) / 100, 16).reshape(-1, 1, 4, 4)
    part = Resident(images, "cpu")
    return TrainingWindows(part, part, part, part, lengths, augment)


def one_slice_removed(cohort: Cohort, people: int, seed: int) -> SlicePairs:
    """Slices of one person are all alike, and of the middle one the face is removed: only its neighbours know it."""
    pairs = cohort("removal", people=people, seed=seed)
    middle = pairs.released.position == 2
    original = np.repeat(pairs.original[middle], 5, axis=0)
    changed = pairs.changed & middle[:, None, None]
    released = replace(pairs.released, images=np.where(changed, np.float32(0), original), changed=changed)
    return SlicePairs(released, original)


@pytest.mark.slow
def test_learns_to_look_at_the_neighbouring_slices(cohort: Cohort, tmp_path: Path) -> None:
    train, validation, people = (one_slice_removed(cohort, count, seed) for count, seed in ((8, 1), (2, 2), (3, 3)))
    context = TrainingContext(0, tmp_path)
    attacker = Volume(width=8, batch=2, steps=160, region="known", learning_rate=2e-3, precision="float32")
    filled = attacker.fit(train, validation, context).reconstruct(people.released)
    mean_face = MeanFace(region="known").fit(train, validation, context).reconstruct(people.released)
    assert error(people, filled) < 0.85 * error(people, mean_face)


def test_fills_the_faces_of_new_people_better_than_their_mean(cohort: Cohort, tmp_path: Path) -> None:
    people = cohort("removal", people=3, seed=3)
    mean_face = MeanFace(region="known").fit(
        cohort("removal", seed=1), cohort("removal", people=3, seed=2), TrainingContext(0, tmp_path)
    )
    filled = fit(cohort, "removal", "known").reconstruct(people.released)
    assert error(people, filled) < error(people, mean_face.reconstruct(people.released))


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_sharpens_what_was_blurred(region: KnownOrEstimated, cohort: Cohort) -> None:
    people = cohort("blur", people=3, seed=3)
    released = people.released if region == "known" else replace(people.released, changed=None)
    assert error(people, fit(cohort, "blur", region).reconstruct(released)) < 0.4 * error(people, released.images)


def test_outside_the_known_region_no_bit_changes(cohort: Cohort) -> None:
    people = cohort("removal", people=2, seed=4)
    images = fit(cohort, "removal", "known").reconstruct(people.released)
    assert np.array_equal(images[~people.changed], people.released.images[~people.changed])
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    with pytest.raises(DataError, match="known"):
        fit(cohort, "removal", "known").reconstruct(replace(people.released, changed=None))


def test_unchanged_cohorts_stay_as_they_are(cohort: Cohort) -> None:
    people = cohort("identity", people=2, seed=4)
    released = replace(people.released, changed=None)
    assert np.array_equal(fit(cohort, "identity").reconstruct(released), people.original)


def test_without_slices_to_train_on_it_says_so(cohort: Cohort) -> None:
    nobody = cohort("blur", people=1).take(slice(0, 0))
    with pytest.raises(DataError, match="no slices"):
        Volume().fit(nobody, nobody, TrainingContext(0, Path("unused")))


def test_a_release_alone_is_answered_as_among_others(cohort: Cohort) -> None:
    trained = fit(cohort, "removal", steps=3, depth=3)
    people = replace(cohort("removal", people=3, seed=4).released, changed=None)
    together = trained.reconstruct(people)
    for number in range(3):
        mine = people.release == number
        assert np.array_equal(trained.reconstruct(people.take(mine)), together[mine])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_stacks_of_any_number_of_slices(count: int, cohort: Cohort) -> None:
    trained = fit(cohort, "removal", "known", steps=3, depth=3)
    one = cohort("removal", people=1, seed=4).released
    stack = np.arange(count) % len(one)
    assert one.changed is not None
    longer = ReleasedSlices(one.images[stack], np.zeros(count, int), np.arange(count), one.changed[stack])
    images = trained.reconstruct(longer)
    assert images.shape == longer.images.shape
    assert np.isfinite(images).all()
    assert (images != longer.images).any(axis=(1, 2)).all(), "every slice is repainted"


def test_saved_and_loaded_answers_exactly_the_same(cohort: Cohort, tmp_path: Path) -> None:
    people = replace(cohort("blur", people=2, seed=4).released, changed=None)
    trained = fit(cohort, "blur", steps=3, depth=3)
    trained.save(tmp_path)
    again = Volume(width=4, depth=3).load(tmp_path)
    assert np.array_equal(again.reconstruct(people), trained.reconstruct(people))


def test_a_seed_decides_everything(cohort: Cohort, tmp_path: Path) -> None:
    train, nobody = cohort("removal", people=3), cohort("removal", people=1).take(slice(0, 0))
    runs = []
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        runs.append(
            weights(Volume(width=2, batch=2, steps=2).fit(train, nobody, TrainingContext(seed, tmp_path / name)))
        )
    assert all(map(torch.equal, runs[0], runs[1]))
    assert not all(map(torch.equal, runs[0], runs[2]))


def test_killed_and_resumed_ends_with_the_same_weights(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    attacker = Volume(width=2, batch=1, steps=5, validations=2, region="known")
    people = cohort("removal", people=3), cohort("removal", people=1, seed=2)

    def kill(done: int, total: int, losses: dict[str, float]) -> None:
        if done == 3:
            monkeypatch.setattr(training, "CHECKPOINT_SECONDS", math.inf)
        if done == 4:
            raise KeyboardInterrupt

    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
    straight = attacker.fit(*people, TrainingContext(0, tmp_path / "straight"))
    with pytest.raises(KeyboardInterrupt):
        attacker.fit(*people, TrainingContext(0, tmp_path / "killed", report=kill))
    steps: list[int] = []
    resumed = attacker.fit(*people, TrainingContext(0, tmp_path / "killed", report=lambda done, *_: steps.append(done)))
    assert steps[0] == 3
    assert all(map(torch.equal, weights(straight), weights(resumed)))


def test_windows_too_small_for_all_levels_have_fewer(cohort: Cohort) -> None:
    pairs = cohort("blur", people=2)
    changed = np.zeros_like(pairs.changed)
    changed[:, 18:22, 10:14] = True
    released = replace(pairs.released, images=np.where(changed, np.float32(0), pairs.original), changed=changed)
    trained = Volume(width=2, batch=1, depth=1, steps=1, region="known").fit(
        SlicePairs(released, pairs.original), pairs.take(slice(0, 0)), TrainingContext(0, Path("unused"))
    )
    assert isinstance(trained, PairedReconstructor)
    assert trained.saved.arguments["levels"] == 3
    assert np.isfinite(trained.reconstruct(released)).all()


def test_neighbours_as_channels_are_refused() -> None:
    with pytest.raises(ValidationError, match="2d"):
        Volume(context="2.5d")


def test_patches_are_neighbours_of_one_release_and_some_run_backwards() -> None:
    people = numbered_windows((5, 3, 4), augment=True)
    drawn = draw_patches(people, np.random.default_rng(0), 200, 3)
    patches = drawn["chosen"].reshape(200, 3).numpy()
    steps = np.diff(patches, axis=1)
    assert set(map(tuple, steps)) == {(1, 1), (-1, -1)}
    firsts, counts = np.unique(patches.min(axis=1), return_counts=True)
    assert firsts.tolist() == [0, 1, 2, 5, 8, 9]
    assert counts[3] == pytest.approx(200 / 3, rel=0.3), "every release is as likely"
    variants = drawn["variants"].reshape(200, 3, 2, 3)
    assert (variants == variants[:, :1]).all(), "all slices of a patch are varied alike"
    assert len(variants[:, 0].unique(dim=0)) == 200


def test_patches_without_variation_run_forwards() -> None:
    drawn = draw_patches(numbered_windows((5, 3), augment=False), np.random.default_rng(0), 20, 3)
    assert set(drawn) == {"chosen"}
    assert (drawn["chosen"].reshape(20, 3).diff(dim=1) == 1).all()


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 21])
def test_patches_cover_every_slice_and_overlap_by_half(depth: int) -> None:
    for count in range(1, 70):
        starts = patch_starts(count, depth)
        assert starts[0] == 0
        assert starts[-1] + depth == count or len(starts) == 1
        assert all(1 <= step <= max(depth // 2, 1) for step in np.diff(starts))


class Where(nn.Module):
    """Answers with the mean of the first channel of the patch it is shown."""

    def forward(self, slices: Tensor, count: int) -> Tensor:
        assert len(slices) == count
        return slices[:, :1].mean(dim=0, keepdim=True).expand(count, -1, -1, -1)


def test_overlapping_answers_are_blended() -> None:
    seen = torch.tensor([0.0, 3.0, 6.0, 9.0])[:, None, None, None].expand(4, 1, 2, 2)
    answer = painter(3)(Where(), seen, torch.ones(4, 2, 2))
    # Two patches, of mean 3 and 6; in the middle one counts twice where the other counts once.
    torch.testing.assert_close(answer[:, 0, 0], torch.tensor([4.0, 1 + (2 * 3 + 6) / 3, 1 + (3 + 2 * 6) / 3, 7.0]))


def test_an_odd_slice_is_halved_and_doubled_by_itself() -> None:
    slices = torch.tensor([1.0, 3.0, 7.0, 2.0, 4.0, 5.0])[:, None, None, None].expand(6, 1, 2, 4)  # two volumes
    half = halved(slices, 3)
    assert half.shape == (4, 1, 2, 4)
    assert half[:, 0, 0, 0].tolist() == [2.0, 7.0, 3.0, 5.0]
    assert doubled(half, 2, 3)[:, 0, 0, 0].tolist() == [2.0, 2.0, 7.0, 3.0, 3.0, 5.0]
    assert halved(slices, 2)[:, 0, 0, 0].tolist() == [2.0, 4.5, 4.5]


def test_a_convolution_that_reaches_to_the_neighbours_is_a_three_dimensional_one() -> None:
    torch.manual_seed(0)
    layer = SliceConvolution(2, 3, reaches=True)
    volumes = torch.rand(2, 2, 5, 8, 6)
    kernel = layer.convolution.weight.unflatten(1, (3, 2)).transpose(1, 2)
    expected = conv3d(volumes, kernel, layer.convolution.bias, padding=1)
    expected = leaky_relu(instance_norm(expected.transpose(1, 2).flatten(0, 1)), 0.2)
    torch.testing.assert_close(layer(volumes.transpose(1, 2).flatten(0, 1), 5), expected)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_the_network_takes_any_number_of_slices_and_starts_at_no_change(count: int) -> None:
    network = VolumeUNet(inputs=3, width=2, levels=4)
    change = network(torch.rand(2 * count, 3, 32, 16), count)
    assert change.shape == (2 * count, 1, 32, 16)
    assert not change.any()


def test_the_network_sees_other_slices_but_no_other_volume() -> None:
    torch.manual_seed(0)
    network = VolumeUNet(inputs=1, width=2, levels=3)
    nn.init.normal_(network.last.weight)
    slices = torch.rand(10, 1, 16, 16)
    with torch.inference_mode():
        before = network(slices, 5)
        slices[0] = 0
        after = network(slices, 5)
    assert (before[4] != after[4]).any()
    torch.testing.assert_close(before[5:], after[5:])
