import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from toy_training import ToyAttacker, same, toy_pairs, toy_training, train

from refbench.attackers import training as loop
from refbench.attackers.base import TrainingContext
from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.training import Training, linear_decay, run_training, warm_cosine
from refbench.errors import InvalidOutput


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)


def stop_at(step: int) -> dict[str, Any]:
    """A training that is killed before the checkpoint of a step is written."""

    def report(done: int, total: int, losses: dict[str, float]) -> None:
        if done == step:
            raise KeyboardInterrupt

    return {"report": report}


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopped_and_resumed_ends_with_the_same_weights(precision: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"people": 2, "validations": 3, "precision": precision}
    straight = train(tmp_path / "straight", **options)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", context=stop_at(7), **options)
    steps: list[int] = []
    resumed = train(tmp_path / "stopped", context={"report": lambda done, *_: steps.append(done)}, **options)
    assert steps == list(range(7, 13))
    assert same(straight, resumed)
    assert resumed.trained == straight.trained


KILLED = """
import sys
from pathlib import Path
from refbench.attackers import training
from toy_training import train
training.REPORT_SECONDS = training.CHECKPOINT_SECONDS = 0.0
train(Path(sys.argv[1]), steps=400, context={"report": lambda done, *_: print(done, flush=True)})
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout
    for line in process.stdout:
        if int(line) == 60:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps: list[int] = []
    resumed = train(tmp_path / "killed", steps=400, context={"report": lambda done, *_: steps.append(done)})
    assert steps[0] > 60
    assert same(resumed, train(tmp_path / "straight", steps=400))


def test_a_resumed_training_keeps_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(tmp_path, precision="bfloat16")
    monkeypatch.setattr(loop, "choose_pace", lambda *_: pytest.fail("chosen already"))
    assert train(tmp_path, precision="bfloat16").trained.pace == first.trained.pace


@pytest.mark.parametrize("other", [{"learning_rate": 1e-3}, {"seed": 1}, {"batch": 3}])
def test_a_checkpoint_of_another_recipe_is_not_taken_up(other: dict[str, Any], tmp_path: Path) -> None:
    train(tmp_path / "used")
    assert same(train(tmp_path / "used", **other), train(tmp_path / "fresh", **other))


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = train(tmp_path)
    assert same(first, train(tmp_path, context=stop_at(12)))


def test_validations_do_not_change_the_training(tmp_path: Path) -> None:
    silent = train(tmp_path / "silent")
    asked = _with_scores(tmp_path / "asked", [math.nan] * 6)
    assert same(silent, asked)


def test_the_best_weights_are_kept_and_the_curve_is_told(tmp_path: Path) -> None:
    asked = _with_scores(tmp_path / "asked", [0.1, 0.7, 0.3])
    assert asked.trained.curve == [(4, 0.1), (8, 0.7), (12, 0.3)]
    assert asked.trained.best == 8
    third_of_way = train(tmp_path / "third", steps=12)
    kept = asked.training.networks["generator"].state_dict()
    assert all(torch.equal(kept[name], value) for name, value in asked.seen[8].items())
    assert not torch.equal(kept["last.weight"], third_of_way.training.networks["generator"].state_dict()["last.weight"])


def test_patience_ends_a_training(tmp_path: Path) -> None:
    asked = _with_scores(tmp_path, [0.5, 0.4, math.nan, 0.6, 0.7, 0.8], patience=2)
    assert asked.trained.steps == 6
    assert asked.trained.best == 2


def test_a_budget_ends_by_time_and_decays_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10_000))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(now)))
    rates: list[float] = []
    monkeypatch.setattr(loop, "set_learning_rate", lambda optimiser, rate: rates.append(rate))
    trained = train(tmp_path, steps=10_000, budget_minutes=3.0).trained
    assert 30 < trained.steps < 180, "the clock moves on by a second each time that it is read"
    assert rates[0] == pytest.approx(1e-2)
    assert 0 < rates[-1] < 0.06 * rates[0]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.usefixtures("every_step")
def test_divergence_is_an_error_and_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    pairs = toy_pairs()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, context=stop_at(6))
    good = (tmp_path / loop.FILE).read_bytes()
    pairs.original[:] = np.nan
    with pytest.raises(InvalidOutput, match=r"its loss loss is nan at step 6 of 12; lower learning_rate"):
        _broken(tmp_path)
    assert (tmp_path / loop.FILE).read_bytes() == good


def _broken(folder: Path) -> None:
    with loop.seeded(TrainingContext(0, folder)) as rng:
        training = toy_training(toy_pairs().original, 2)
        step = training.step
        broken = Training(
            **{**training.__dict__, "step": lambda drawn: {"loss": step(drawn)["loss"] * torch.tensor(math.nan)}}
        )
        run_training(broken, ToyAttacker(), rng, TrainingContext(0, folder))


def test_a_seed_decides_everything(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train(tmp_path / "1")
    assert torch.equal(torch.rand(3), expected), "the caller's generator stays as it was"
    assert same(first, train(tmp_path / "2"))
    assert not same(first, train(tmp_path / "3", seed=1))


def test_epochs_count_images(tmp_path: Path) -> None:
    assert train(tmp_path, steps=None, epochs=3, batch=4).trained.steps == 3 * 2


def test_learning_rates_by_hand() -> None:
    assert [linear_decay(progress) for progress in (0.0, 0.5, 0.75, 1.0)] == [1.0, 1.0, 0.5, 0.0]
    assert warm_cosine(0.0) == pytest.approx(0.05)
    assert warm_cosine(0.05) == 1.0
    assert warm_cosine(0.525) == pytest.approx(0.5)
    assert warm_cosine(1.0) == pytest.approx(0.0)


class Waits(TorchDispatchMode):
    """Counts what would make the host wait for a GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2", "unique_dim")

    def __init__(self) -> None:
        super().__init__()
        self.met: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name in self.WAITING or (name == "index" and any(_is_mask(index) for index in args[1])):
            self.met.append(name)
        return function(*args, **(kwargs or {}))


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype == torch.bool


def test_waits_are_seen() -> None:
    with Waits() as waits:
        torch.ones(1).item()
        torch.ones(3)[torch.tensor([True, False, True])]
    assert waits.met == ["_local_scalar_dense", "index"]


@pytest.mark.parametrize("attacker", [ToyAttacker(), CycleGAN(width=2, blocks=1, batch=2, pool=3, steps=6)])
def test_a_step_never_waits_for_the_device(attacker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = _taken(attacker, tmp_path, monkeypatch)
    rng = np.random.default_rng(0)
    with loop.Pace(bfloat16=True).running(taken, "cpu") as run:
        run(taken.draw(rng))  # Adam makes its moments
        shapes = []
        for _ in range(4):
            drawn = taken.draw(rng)
            shapes.append({name: (value.shape, value.dtype) for name, value in drawn.items()})
            assert all(value.device.type == "cpu" and value.numel() < 100 for value in drawn.values())
            with Waits() as waits:
                losses = run(drawn)
            assert waits.met == []
            assert all(isinstance(loss, Tensor) and loss.numel() == 1 for loss in losses.values())
    assert all(shape == shapes[0] for shape in shapes), "a CUDA graph takes tensors of one shape"


def _taken(attacker: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """What an attacker hands to the loop."""
    taken: list[Training] = []
    module = sys.modules[ToyAttacker.__module__] if isinstance(attacker, ToyAttacker) else None
    if module is None:
        from refbench.attackers import cyclegan_training as module  # type: ignore[no-redef]

    def take(training: Training, *_: Any) -> Any:
        taken.append(training)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_training", take)
    images = np.random.default_rng(0).random((4, 16, 16), np.float32)
    pairs = toy_pairs(4)
    pairs = type(pairs)(type(pairs.released)(images, *(np.arange(4),) * 2, np.ones(images.shape, bool)), images)
    with pytest.raises(KeyboardInterrupt):
        attacker.fit(pairs, pairs.take(slice(0, 0)), TrainingContext(0, folder))
    return taken[0]


class _Asked:
    def __init__(self, trained: Any, training: Training, seen: dict[int, dict[str, Tensor]]) -> None:
        self.trained, self.training, self.seen = trained, training, seen

    @property
    def weights(self) -> list[Tensor]:
        return [value for network in self.training.networks.values() for value in network.state_dict().values()]


def _with_scores(folder: Path, scores: list[float], **options: Any) -> Any:
    """Train with made-up verdicts of the validation people; remember the weights that each was about."""
    folder.mkdir(exist_ok=True)
    attacker, told = ToyAttacker(validations=len(scores), **options), iter(scores)
    seen: dict[int, dict[str, Tensor]] = {}
    asked: list[Callable[[], nn.Module]] = []

    def validate() -> float:
        network = asked[0]()
        assert not network.training
        seen[(len(seen) + 1) * 12 // len(scores)] = {
            name: value.clone() for name, value in network.state_dict().items()
        }
        return next(told)

    with loop.seeded(TrainingContext(0, folder)) as rng:
        training = toy_training(toy_pairs().original, attacker.batch, validate)
        asked.append(lambda: training.networks["generator"])
        trained = run_training(training, attacker, rng, TrainingContext(0, folder))
    return _Asked(trained, training, seen)
