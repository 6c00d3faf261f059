from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from refbench.attackers.base import TrainingContext
from refbench.attackers.inpaint import Inpaint
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.attackers.paired import (
    PairedReconstructor,
    TrainingWindows,
    add_change,
    l1_inside,
    prepare,
    validator,
)
from refbench.attackers.resident import LEVELS, Resident
from refbench.attackers.saved_network import SavedNetwork
from refbench.attackers.windows import WholeImages, Windows
from refbench.errors import DataError, StoreError
from refbench.types import Images, SlicePairs

Cohort = Callable[..., SlicePairs]
HERE = TrainingContext(0, Path("unused"))


def windows(count: int, augment: bool, side: int = 16) -> TrainingWindows:
    """Slice n of `original` rises from n hundredths; the others follow from it. The mask is the window's left half."""
    slopes = np.tile(np.linspace(0, 0.5, side, dtype=np.float32), (count, side, 1))
    original = slopes + np.arange(count, dtype=np.float32)[:, None, None] / 100
    mask = np.zeros(original.shape, bool)
    mask[:, :, : side // 2] = True
    parts = (np.stack([original, 1 - original], axis=1), original / 2, mask, original)
    seen, start, inside, true = (Resident(part, "cpu") for part in parts)
    return TrainingWindows(seen, start, inside, true, (count,), augment)


class Darker(nn.Module):
    """Answers how much darker: a share of how dark the first channel is, in every pixel."""

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))

    def forward(self, seen: Tensor) -> Tensor:
        return -self.share * (1 - seen[:, :1])


def of(frame: WholeImages | Windows, share: float = 0.5) -> PairedReconstructor:
    return PairedReconstructor(frame, SavedNetwork.of({"share": share}, Darker(share), "cpu", None), add_change)


def learnt(
    cohort: Cohort, how: str, region: KnownOrEstimated = "known", composite: bool = True
) -> tuple[WholeImages | Windows, TrainingWindows]:
    train = cohort(how, people=4, seed=1)
    attacker = Inpaint(region=region, context="2.5d")
    return prepare(attacker, train, train.take(slice(0, 0)), HERE, composite=composite)


# Training windows


@pytest.mark.parametrize("augment", [False, True])
def test_batches_stay_paired(augment: bool) -> None:
    people = windows(50, augment)
    seen, start, mask, original = people.take(people.draw(np.random.default_rng(0), 20))
    assert (seen.shape, start.shape, mask.shape, original.shape) == ((20, 2, 16, 16), *[(20, 1, 16, 16)] * 3)
    near = 2 / LEVELS
    torch.testing.assert_close(seen[:, :1], original, atol=near, rtol=0)
    torch.testing.assert_close(seen[:, 1:], 1 - original, atol=near, rtol=0)
    torch.testing.assert_close(start, original / 2, atol=near, rtol=0)
    assert set(mask.unique().tolist()) == {0, 1}
    moved = (mask != mask[:1]).any() or (mask[0, 0, :, :8] != 1).any()
    assert moved == augment


def test_slices_are_drawn_with_replacement_from_all() -> None:
    people = windows(8, augment=False)
    drawn = people.draw(np.random.default_rng(0), 400)["chosen"]
    assert drawn.unique().tolist() == list(range(8))
    assert drawn.bincount().min() > 25
    assert len(people.draw(np.random.default_rng(0), 8)["chosen"].unique()) < 8


def test_what_is_drawn_is_small_on_the_host_and_of_the_generator_alone() -> None:
    people = windows(8, augment=True)
    drawn, again = (people.draw(np.random.default_rng(3), 5) for _ in range(2))
    assert {name: tuple(value.shape) for name, value in drawn.items()} == {"chosen": (5,), "variants": (5, 2, 3)}
    assert all(value.device.type == "cpu" and torch.equal(value, again[name]) for name, value in drawn.items())
    assert set(windows(8, augment=False).draw(np.random.default_rng(3), 5)) == {"chosen"}


# Preparation


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_windows_of_the_training_people_hold_their_originals(cohort: Cohort, region: KnownOrEstimated) -> None:
    frame, people = learnt(cohort, "removal", region)
    assert isinstance(frame, Windows)
    assert (len(people), people.lengths, people.original.size) == (20, (5, 5, 5, 5), frame.size)
    everything = TrainingWindows(*(people.seen, people.start, people.mask, people.original), people.lengths, False)
    seen, start, mask, original = everything.take({"chosen": torch.arange(20)})
    assert seen.shape[1] == frame.channels == 5
    torch.testing.assert_close(seen[:, -1:], start)
    known = mask == 0
    agree = ((seen[:, :1] - original).abs() < 1e-3)[known].float().mean()
    assert agree == 1 if region == "known" else agree > 0.97
    assert seen[:, :1][mask > 0].median() == 0
    assert original[mask > 0].mean() > 0.2


def test_whole_images_of_the_training_people(cohort: Cohort) -> None:
    frame, people = learnt(cohort, "removal", composite=False)
    assert isinstance(frame, WholeImages)
    assert frame.channels == 3
    chosen = {"chosen": torch.tensor([7])}
    seen, start, mask, original = replace(people, augment=False).take(chosen)
    train = cohort("removal", people=4, seed=1)
    near = 1 / LEVELS
    np.testing.assert_allclose(seen[0], train.released.images[[7, 6, 8]], atol=near)
    np.testing.assert_allclose(original[0, 0], train.original[7], atol=near)
    assert (start - 0.5).abs().max() < near
    assert mask.all()


@pytest.mark.parametrize("region", ["known", "estimated"])
def test_where_nobody_was_changed_there_are_no_windows(cohort: Cohort, region: KnownOrEstimated) -> None:
    frame, people = learnt(cohort, "identity", region)
    assert isinstance(frame, Windows)
    assert (len(people), people.lengths, people.original.size) == (0, (), frame.size)


@pytest.mark.parametrize("composite", [False, True])
def test_without_slices_it_says_so(cohort: Cohort, composite: bool) -> None:
    nobody = cohort("removal", people=1).take(slice(0, 0))
    with pytest.raises(DataError, match="Inpaint: there are no slices"):
        prepare(Inpaint(), nobody, nobody, HERE, composite=composite)


# Losses and answers


def test_l1_counts_the_mask_alone_and_pulls_nowhere_else() -> None:
    answer = torch.tensor([[[[0.5, 0.2], [0.9, 0.0]]]], requires_grad=True)
    original, mask = torch.tensor([[[[0.1, 0.4], [0.0, 0.7]]]]), torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    loss = l1_inside(answer, original, mask)
    assert loss.item() == pytest.approx((0.4 + 0.2) / 2)
    loss.backward()
    assert answer.grad is not None
    torch.testing.assert_close(answer.grad, torch.tensor([[[[0.5, -0.5], [0.0, 0.0]]]]))


def test_l1_of_an_empty_mask_is_zero() -> None:
    answer = torch.ones(2, 1, 4, 4, requires_grad=True)
    loss = l1_inside(answer, torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert answer.grad is not None
    assert not answer.grad.any()


def test_an_answer_is_the_start_and_the_change() -> None:
    seen, start = torch.full((2, 3, 4, 4), 0.4), torch.full((2, 4, 4), 0.9)
    torch.testing.assert_close(add_change(Darker(0.5), seen, start), torch.full((2, 4, 4), 0.6))


def test_answers_go_where_they_belong(cohort: Cohort) -> None:
    frame, people = learnt(cohort, "removal")[0], cohort("removal", people=3, seed=3)
    images = of(frame).reconstruct(people.released)
    expected = people.released.images.copy()
    for view in frame.views(people.released):
        frame.paste(expected, view, view.start - 0.5 * (1 - view.seen[:, 0]))
    np.testing.assert_allclose(images, expected, atol=1e-6)
    assert (images != people.released.images)[people.changed].any()
    whole = of(WholeImages(0)).reconstruct(people.released)
    np.testing.assert_allclose(whole, 0.5 * people.released.images, atol=1e-6)


def test_a_release_alone_is_answered_as_among_others_and_in_any_order(cohort: Cohort) -> None:
    frame = learnt(cohort, "removal", "estimated")[0]
    people = replace(cohort("removal", people=3, seed=3).released, changed=None)
    together = of(frame).reconstruct(people)
    order = np.concatenate([np.flatnonzero(people.release == number) for number in (2, 0, 1)])
    np.testing.assert_array_equal(of(frame).reconstruct(people.take(order)), together[order])
    for number in range(3):
        mine = people.release == number
        np.testing.assert_array_equal(of(frame).reconstruct(people.take(mine)), together[mine])


# Validation


def test_nobody_to_ask_is_nobody_asked(cohort: Cohort) -> None:
    nobody = cohort("removal", people=1).take(slice(0, 0))
    assert validator(WholeImages(0), Darker(), add_change, nobody, HERE) is None


def test_validation_people_are_shown_the_network_as_it_is_at_that_moment(cohort: Cohort) -> None:
    frame, people = learnt(cohort, "removal")[0], cohort("removal", people=2, seed=2)
    people = replace(people, original=people.original / 2)  # the truth is nowhere what was released
    judged: list[Images] = []

    def judge(pairs: SlicePairs, images: Images) -> float:
        assert pairs is people
        judged.append(images)
        return -1.5

    network = Darker(0.5)
    validate = validator(frame, network, add_change, people, replace(HERE, judge=judge))
    assert validate is not None
    assert validate() == -1.5
    with torch.no_grad():
        network.share.fill_(0.25)
    validate()
    for images, share in zip(judged, (0.5, 0.25), strict=True):
        np.testing.assert_array_equal(images, of(frame, share).reconstruct(people.released))
    assert not np.array_equal(*judged)


# Saving


@pytest.mark.parametrize("composite", [False, True])
def test_saved_and_loaded_answers_exactly_the_same(cohort: Cohort, composite: bool, tmp_path: Path) -> None:
    frame, people = learnt(cohort, "removal", "estimated", composite)[0], cohort("removal", people=2, seed=3).released
    made = of(frame, 0.3)
    made.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["attacker.npz", "network.json", "weights.safetensors"]
    loaded = PairedReconstructor.load(tmp_path, "cpu", Darker, add_change)
    np.testing.assert_array_equal(loaded.reconstruct(people), made.reconstruct(people))


@pytest.mark.parametrize("file", ["attacker.npz", "network.json", "weights.safetensors"])
def test_a_damaged_file_is_named(file: str, tmp_path: Path) -> None:
    of(WholeImages(0)).save(tmp_path)
    (tmp_path / file).write_bytes(b"nonsense")
    with pytest.raises(StoreError, match=file):
        PairedReconstructor.load(tmp_path, "cpu", Darker, add_change)
