import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_training import ToyAttacker, same, toy_pairs, toy_training, train

from refbench.attackers import cuda_graph, pace, pace_choice
from refbench.attackers.base import TrainingContext
from refbench.attackers.pace import Pace
from refbench.attackers.pace_choice import choose_pace
from refbench.attackers.snapshot import Snapshot
from refbench.attackers.training import Training

BFLOAT16, CHANNELS_LAST = Pace(bfloat16=True), Pace(bfloat16=True, channels_last=True)


@pytest.fixture(autouse=True)
def quick_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_choice, "LEAST_SECONDS", 0.0001)
    monkeypatch.setattr(pace_choice, "MOST_SHARE", 1e6)
    monkeypatch.setattr(pace_choice, "MOST_SHARE_IF_KEPT", 1e6)
    monkeypatch.setitem(pace_choice.COMPILE_SECONDS, "cpu", np.inf)


def rig(monkeypatch: pytest.MonkeyPatch, seconds: dict[Pace, float]) -> list[Pace]:
    """Steps are made as ever, but the stopwatch says what the test wants."""
    taken: list[Pace] = []
    take = pace_choice._Stopwatch.take

    def rigged(stopwatch: Any, tried: Pace) -> float:
        take(stopwatch, tried)
        taken.append(tried)
        stopwatch.seconds[tried] = seconds.get(tried, 1.0)
        return stopwatch.seconds[tried]

    monkeypatch.setattr(pace_choice._Stopwatch, "take", rigged)
    return taken


def bits(training: Training) -> list[Tensor]:
    return [value.clone() for network in training.networks.values() for value in network.state_dict().values()]


def test_measuring_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = rig(monkeypatch, {BFLOAT16: 0.95, CHANNELS_LAST: 0.95})
    measured = train(tmp_path / "measured", precision="auto")
    assert {Pace(), BFLOAT16, CHANNELS_LAST} == set(taken)
    assert measured.trained.pace == Pace()
    assert same(measured, train(tmp_path / "plain", precision="float32"))
    assert measured.training.others["memory"].state_dict()["draws"] == 12, "draws are taken back, too"


@pytest.mark.parametrize("fastest", [BFLOAT16, CHANNELS_LAST])
def test_a_clear_winner_is_taken(fastest: Pace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig(monkeypatch, {fastest: 0.6})
    trained = train(tmp_path)
    assert trained.trained.pace == fastest
    assert all(value.is_contiguous() for value in trained.weights), "afterwards the weights are laid out as ever"


def test_the_choice_is_kept_for_trainings_of_the_same_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = rig(monkeypatch, {BFLOAT16: 0.5})
    shared = {"choices": tmp_path / "choices"}
    train(tmp_path / "1", context=shared)
    kept = next((tmp_path / "choices").glob("*.json"))
    assert json.loads(kept.read_text())["pace"]["bfloat16"]
    taken.clear()
    assert train(tmp_path / "2", context=shared, seed=1).trained.pace == BFLOAT16
    assert not taken
    train(tmp_path / "3", context=shared, batch=4)
    assert taken, "another batch is measured anew"


def test_a_short_training_is_not_measured_but_takes_a_kept_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = rig(monkeypatch, {BFLOAT16: 0.5})
    monkeypatch.setattr(pace_choice, "MOST_SHARE", 0.03)
    assert train(tmp_path / "short", steps=200).trained.pace == Pace()
    assert taken == [Pace()], "one timing told that it is short"
    assert train(tmp_path / "budget", steps=10_000, budget_minutes=1e-3).trained.pace == Pace()

    monkeypatch.setattr(pace_choice, "MOST_SHARE", 1e6)
    train(tmp_path / "kept")
    monkeypatch.setattr(pace_choice, "MOST_SHARE", 0.03)
    assert train(tmp_path / "kept", steps=13).trained.pace == BFLOAT16


@pytest.mark.parametrize(
    ("precision", "deterministic", "expected"),
    [("float32", False, Pace()), ("bfloat16", False, CHANNELS_LAST), ("auto", True, Pace())],
)
def test_nothing_is_measured_where_nothing_is_open(
    precision: str, deterministic: bool, expected: Pace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = rig(monkeypatch, {})
    trained = train(tmp_path, precision=precision, context={"deterministic": deterministic})
    assert trained.trained.pace == expected
    assert not taken


def test_what_is_hopeless_is_timed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = rig(monkeypatch, {BFLOAT16: 15.0, CHANNELS_LAST: 0.5})
    assert train(tmp_path).trained.pace == CHANNELS_LAST
    assert taken.count(BFLOAT16) == 1
    assert taken.count(CHANNELS_LAST) == pace_choice.ROUNDS


def test_compiling_is_tried_only_where_it_can_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BACKEND", "eager")
    compiled = Pace(bfloat16=True, compiled=True)
    taken = rig(monkeypatch, {BFLOAT16: 0.5, compiled: 0.4})

    def chosen(folder: str, steps: int) -> Pace:
        (tmp_path / folder).mkdir()
        context = TrainingContext(0, tmp_path / folder)
        training = toy_training(toy_pairs().original, 2)
        return choose_pace(training, ToyAttacker(), np.random.default_rng(0), context, steps)

    monkeypatch.setattr(pace_choice, "MOST_SHARE", 0.03)
    monkeypatch.setitem(pace_choice.COMPILE_SECONDS, "cpu", 45.0)
    assert chosen("minutes", 1000) == BFLOAT16  # a step takes 1 s by the rigged stopwatch
    assert compiled not in taken
    assert chosen("hours", 3000) == compiled
    monkeypatch.setattr(pace_choice.shutil, "which", lambda name: None)
    assert chosen("no compiler", 3000) == BFLOAT16


def test_a_failing_compilation_falls_back_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("no compiler today")

    monkeypatch.setattr(pace, "BACKEND", broken)
    fallen_back, plain = _after_steps(Pace(compiled=True)), _after_steps(Pace())
    assert "torch.compile failed" in caplog.text
    assert all(torch.equal(one, other) for one, other in zip(fallen_back, plain, strict=True))


def test_compiled_networks_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(pace, "BACKEND", lambda module, inputs: compiled.append(module) or module.forward)
    assert all(
        torch.equal(one, other)
        for one, other in zip(_after_steps(Pace()), _after_steps(Pace(compiled=True)), strict=True)
    )
    assert compiled


def _after_steps(way: Pace, steps: int = 3) -> list[Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        training, rng = toy_training(toy_pairs().original, 2), np.random.default_rng(0)
        with way.running(training, "cpu") as run:
            for _ in range(steps):
                run(training.draw(rng))
        return bits(training)


def test_channels_last_keeps_moments_in_step_with_weights() -> None:
    """Adam's fused kernel walks through memory: moments of another layout would go to the wrong weights."""
    training, rng = toy_training(toy_pairs().original, 2), np.random.default_rng(0)
    for _ in range(2):  # moments from the first round enter the second one in the plain layout
        with CHANNELS_LAST.running(training, "cpu") as run:
            run(training.draw(rng))
            for optimiser in training.optimisers.values():
                for parameter, moments in optimiser.state.items():
                    assert moments["exp_avg"].stride() == parameter.stride()


def test_bfloat16_stays_near_float32() -> None:
    for one, other in zip(_after_steps(Pace()), _after_steps(CHANNELS_LAST), strict=True):
        torch.testing.assert_close(one, other, atol=0.05, rtol=0.05)


def test_a_validation_sees_the_network_in_the_numbers_it_will_answer_in() -> None:
    training = toy_training(toy_pairs().original, 2)
    network = training.networks["generator"]
    with CHANNELS_LAST.running(training, "cpu"):
        with CHANNELS_LAST.evaluating(network, "cpu"):
            assert not network.training
            assert torch.is_autocast_enabled("cpu")
        assert network.training
        assert not torch.is_autocast_enabled("cpu")


def test_snapshot_takes_back_everything() -> None:
    training, rng = toy_training(toy_pairs().original, 2), np.random.default_rng(0)
    training.step(training.draw(rng))
    snapshot, before, random = Snapshot(training), bits(training), torch.get_rng_state()
    moments = [value.clone() for state in training.optimisers["learns"].state.values() for value in state.values()]
    training.step(training.draw(rng))
    snapshot.restore()
    assert all(torch.equal(one, other) for one, other in zip(before, bits(training), strict=True))
    after = [value for state in training.optimisers["learns"].state.values() for value in state.values()]
    assert all(torch.equal(one, other) for one, other in zip(moments, after, strict=True))
    assert torch.equal(torch.get_rng_state(), random)
    assert training.others["memory"].state_dict()["draws"] == 1


def test_a_replayed_step_reads_what_was_drawn_and_starts_from_the_beginning() -> None:
    """A stand-in for the CUDA graph: what was captured is run again on the very same tensors."""
    weight, seen = torch.zeros(1), []

    def step(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        weight.add_(inputs["amount"].sum())
        seen.append(inputs["amount"])
        return {"weight": weight}

    def capture(function: Any) -> Any:
        assert weight == 0, "the warm-up was taken back before the capture"
        return function, {"weight": weight}

    run = cuda_graph.replayed(step, {"amount": torch.ones(2)}, "cpu", weight.zero_, capture)
    assert run({"amount": torch.tensor([1.0, 2.0])})["weight"] == 3
    assert run({"amount": torch.tensor([10.0, 20.0])})["weight"] == 33
    assert all(value is seen[0] for value in seen), "always the same place"


def test_a_failing_capture_falls_back_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    training, rng = toy_training(toy_pairs().original, 2), np.random.default_rng(0)
    if torch.cuda.is_available():
        pytest.skip("a capture of work on the CPU would not fail")
    with Pace(graph=True).running(training, "cpu") as run:
        losses = run(training.draw(rng))
    assert "CUDA graph of a step failed" in caplog.text
    assert torch.isfinite(losses["loss"])
    assert training.optimisers["learns"].state[next(training.networks["generator"].parameters())]["step"] == 1
