import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refbench.attackers.fake_pool import FakePool


class PlainPool:
    """The same in the plainest words, one fake after the other."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.fakes: list[float] = []

    def exchange(self, fakes: list[float], rng: np.random.Generator) -> list[float]:
        shown = []
        for fake in fakes:
            if len(self.fakes) < self.capacity:
                self.fakes.append(fake)
            elif self.capacity and rng.random() < 0.5:
                place = int(rng.integers(self.capacity))
                fake, self.fakes[place] = self.fakes[place], fake
            shown.append(fake)
        return shown


def images(numbers: list[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 3).clone()


def numbers(images: Tensor) -> list[float]:
    assert (images == images[:, :, :1, :1]).all(), "every image is of one fake only"
    return [float(image) for image in images[:, 0, 0, 0]]


@settings(max_examples=60, deadline=None)
@given(capacity=st.integers(0, 5), batch=st.integers(1, 7), steps=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_it_does_what_a_list_would_do(capacity: int, batch: int, steps: int, seed: int) -> None:
    pool, plain = FakePool(capacity, batch, 2, 3, "cpu"), PlainPool(capacity)
    rng, plain_rng = np.random.default_rng(seed), np.random.default_rng(seed)
    for step in range(steps):
        fakes = [float(step * batch + number) for number in range(batch)]
        decided = pool.draw(rng)
        assert len(decided[1].unique()) == batch, "on a GPU the order of two writes to one place is not defined"
        shown = pool.exchange(images(fakes), decided)
        assert numbers(shown) == plain.exchange(fakes, plain_rng)
        assert numbers(pool.rows[: len(plain.fakes)]) == plain.fakes
    assert rng.random() == plain_rng.random()


def test_passes_through_until_full_then_mixes_in_earlier_fakes() -> None:
    rng = np.random.default_rng(0)
    pool = FakePool(4, 4, 2, 3, "cpu")
    assert numbers(pool.exchange(images([0, 1, 2, 3]), pool.draw(rng))) == [0, 1, 2, 3]
    shown: list[float] = []
    for start in range(4, 404, 4):
        shown += numbers(pool.exchange(images([float(start + number) for number in range(4)]), pool.draw(rng)))
    newest = np.arange(4, 404)
    assert 0.4 < np.mean(shown == newest) < 0.6
    assert (shown <= newest).all(), "only fakes that exist already"
    assert len(set(shown)) == len(shown), "an exchanged fake leaves the pool"


def test_what_goes_in_is_cut_off_from_its_generator() -> None:
    pool = FakePool(2, 1, 2, 3, "cpu")
    fake = images([1.0]).requires_grad_()
    assert not pool.exchange(fake, pool.draw(np.random.default_rng(0))).requires_grad


def test_decisions_are_small_and_of_one_shape() -> None:
    pool, rng = FakePool(3, 2, 64, 64, "cpu"), np.random.default_rng(0)
    for _ in range(5):
        decided = pool.draw(rng)
        assert (decided.shape, decided.dtype, decided.device.type) == ((2, 2), torch.int64, "cpu")


def test_goes_on_from_its_state_in_the_same_memory() -> None:
    rng = np.random.default_rng(3)
    pool, other = FakePool(3, 2, 2, 3, "cpu"), FakePool(3, 2, 2, 3, "cpu")
    for start in (0.0, 2.0, 4.0):
        pool.exchange(images([start, start + 1]), pool.draw(rng))
    memory = other.rows.data_ptr()
    other.load_state_dict(pool.state_dict())
    assert other.rows.data_ptr() == memory, "a CUDA graph writes to a fixed place"
    fakes = images([6.0, 7.0])
    decided, again = pool.draw(np.random.default_rng(4)), other.draw(np.random.default_rng(4))
    assert torch.equal(decided, again)
    assert torch.equal(pool.exchange(fakes, decided), other.exchange(fakes, again))
