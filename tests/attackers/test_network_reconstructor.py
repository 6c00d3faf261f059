from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from refbench.attackers.network_reconstructor import BATCH, NetworkReconstructor
from refbench.attackers.saved_network import SavedNetwork
from refbench.errors import StoreError
from refbench.types import ReleasedSlices


class Scaled(nn.Module):
    """Multiplies what it sees, notes how many slices it was shown at once."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.shown: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(tuple(images.shape))
        return self.factor * images


def reconstructor(factor: float = 1.0) -> NetworkReconstructor:
    return NetworkReconstructor(SavedNetwork.of({"factor": factor}, Scaled(factor), "cpu", None))


def slices(count: int) -> ReleasedSlices:
    images = np.random.default_rng(0).random((count, 6, 10), np.float32)
    return ReleasedSlices(images, np.arange(count) // 3, np.arange(count) % 3)


@pytest.mark.parametrize("count", [0, 1, BATCH, 2 * BATCH + 1])
def test_every_slice_is_passed_once_a_few_at_a_time(count: int) -> None:
    made, released = reconstructor(), slices(count)
    images = made.reconstruct(released)
    np.testing.assert_allclose(images, released.images, atol=1e-6)
    assert images.dtype == np.float32
    assert isinstance(made.saved.network, Scaled)
    assert sum(shape[0] for shape in made.saved.network.shown) == count
    assert all(shape[0] <= BATCH and shape[1:] == (1, 6, 10) for shape in made.saved.network.shown)


def test_slices_enter_as_minus_one_to_one_and_answers_are_clipped() -> None:
    released = ReleasedSlices(np.array([[[0, 0.25, 0.5, 1]]], np.float32), np.zeros(1, int), np.zeros(1, int))
    np.testing.assert_allclose(reconstructor(-1.0).reconstruct(released)[0, 0], [1, 0.75, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(reconstructor(3.0).reconstruct(released)[0, 0], [0, 0, 0.5, 1], atol=1e-6)


def test_the_released_images_stay_as_they_are() -> None:
    released = slices(3)
    before = released.images.copy()
    reconstructor(-1.0).reconstruct(released)
    np.testing.assert_array_equal(released.images, before)


def test_saved_and_loaded_and_damaged(tmp_path: Path) -> None:
    made, released = reconstructor(0.5), slices(5)
    made.save(tmp_path)
    loaded = NetworkReconstructor.load(tmp_path, "cpu", Scaled)
    np.testing.assert_array_equal(loaded.reconstruct(released), made.reconstruct(released))
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(StoreError, match=r"weights\.safetensors"):
        NetworkReconstructor.load(tmp_path, "cpu", Scaled)
