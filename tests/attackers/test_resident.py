import numpy as np
import pytest
import torch

from refbench.attackers import resident
from refbench.attackers.resident import LEVELS, Resident


@pytest.mark.parametrize("shape", [(130, 4, 5), (70, 3, 4, 5)])
def test_images_come_back_to_half_a_level(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random(shape, np.float32)
    held = Resident(images, "cpu")
    assert len(held) == len(images)
    index = torch.tensor([len(images) - 1, 0, 0, 65])
    taken = held.take(index)
    assert taken.dtype == torch.float32
    assert taken.shape == (4, shape[1] if len(shape) == 4 else 1, 4, 5)
    np.testing.assert_allclose(taken.reshape(4, *shape[1:]), images[index], atol=0.51 / LEVELS)


def test_black_and_white_are_exact_and_nothing_lies_beyond() -> None:
    images = np.array([0, 1, -0.5, 1.5], np.float32).reshape(4, 1, 1)
    assert Resident(images, "cpu").take(torch.arange(4)).flatten().tolist() == [0, 1, 0, 1]
    assert Resident(images > 0.5, "cpu").take(torch.arange(4)).flatten().tolist() == [0, 1, 0, 1]


def test_every_level_survives() -> None:
    images = (np.arange(LEVELS + 1, dtype=np.float64) / LEVELS).astype(np.float32).reshape(-1, 1, 1)
    taken = Resident(images, "cpu").take(torch.arange(LEVELS + 1))
    assert np.array_equal(np.round(taken.numpy().ravel().astype(np.float64) * LEVELS), np.arange(LEVELS + 1))


def test_two_bytes_a_pixel() -> None:
    stored = Resident(np.zeros((3, 4, 5), np.float32), "cpu").stored
    assert stored.numel() * stored.element_size() == 2 * 3 * 4 * 5


def test_a_gpu_keeps_images_only_where_half_of_what_is_free_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    assert resident._fits(torch.zeros(24, dtype=torch.int16), "cuda")
    assert not resident._fits(torch.zeros(25, dtype=torch.int16), "cuda")
    assert resident._fits(torch.zeros(1000, dtype=torch.int16), "cpu")
