from pathlib import Path

import numpy as np

from refbench.attackers.base import TrainingContext
from refbench.attackers.none import NoAttack
from refbench.types import ReleasedSlices, SlicePairs


def released(seed: int) -> ReleasedSlices:
    images = np.random.default_rng(seed).random((6, 8, 10), np.float32)
    return ReleasedSlices(images, np.arange(6) // 3, np.arange(6) % 3, np.zeros(images.shape, bool))


def test_returns_what_was_released_and_keeps_it(tmp_path: Path) -> None:
    train = SlicePairs(released(0), released(1).images)
    reconstructor = NoAttack().fit(train, train, TrainingContext(0, tmp_path))
    reconstructor.save(tmp_path)
    test = released(2)
    for trained in (reconstructor, NoAttack().load(tmp_path)):
        out = trained.reconstruct(test)
        np.testing.assert_array_equal(out, test.images)
        assert not np.shares_memory(out, test.images)


def test_needs_nothing() -> None:
    assert NoAttack().needs == "nothing"
