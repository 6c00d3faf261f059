from pathlib import Path

import pytest
import torch
from distributed_training import Diverging, SharedAttacker, train_by_torch
from torch.multiprocessing.spawn import spawn
from toy_training import toy_pairs

from refbench.attackers import distributed
from refbench.attackers.base import TrainingContext
from refbench.attackers.distributed import fit_on_several
from refbench.errors import PluginError


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_joint_batch(tmp_path: Path) -> None:
    pairs, told = toy_pairs(), []

    def context(name: str) -> TrainingContext:
        (tmp_path / name).mkdir()
        return TrainingContext(0, tmp_path / name, report=lambda done, *_: told.append(done))

    alone = fit_on_several(SharedAttacker(), pairs, pairs, context("alone"), 1)
    told.clear()
    together = fit_on_several(SharedAttacker(), pairs, pairs, context("together"), 2)
    for one, other in zip(alone.weights, together.weights, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert together.trained == alone.trained, "process 0 validates and counts as one process would"
    assert told[-1] == 5, "what it tells is what the training is told of"
    assert distributed.world() == 1, "afterwards nobody waits for anybody"


@pytest.mark.slow
def test_gradients_are_those_of_torchs_own(tmp_path: Path) -> None:
    images = torch.rand(4, 1, 8, 8)
    spawn(train_by_torch, (f"file://{tmp_path / 'meeting'}", images, str(tmp_path / "weights")), nprocs=2)
    ours, theirs = torch.load(tmp_path / "weights", weights_only=True)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fit_on_several(Diverging(), toy_pairs(), toy_pairs(0), TrainingContext(0, tmp_path), 2)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="batch of 3 cannot be shared by 2 devices; make batch a multiple of 2"):
        fit_on_several(SharedAttacker(batch=3), toy_pairs(), toy_pairs(), TrainingContext(0, tmp_path), 2)


def test_alone_there_is_nothing_to_agree_on() -> None:
    assert (distributed.world(), distributed.rank(), distributed.agreed(0.3)) == (1, 0, 0.3)
