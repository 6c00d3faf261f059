from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refbench.attackers import checkpoint
from refbench.errors import StoreError

TENSORS = st.builds(
    lambda shape, seed, kind: torch.from_numpy(np.random.default_rng(seed).integers(0, 9, shape)).to(kind),
    st.lists(st.integers(0, 3), max_size=4),
    st.integers(0, 99),
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool]),
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
STATES = st.recursive(
    PLAIN | TENSORS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=12,
)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) and type(one) is type(other)


@settings(max_examples=60, deadline=None)
@given(state=STATES)
def test_what_was_written_is_read(state: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "state.safetensors"
    checkpoint.write(file, state)
    assert equal(state, checkpoint.read(file))


def test_shared_memory_and_other_layouts_are_no_trouble(tmp_path: Path) -> None:
    whole = torch.rand(2, 3, 4, 5)
    state = [whole, whole[0], whole.to(memory_format=torch.channels_last), (whole.mT,)]
    checkpoint.write(tmp_path / "a.safetensors", state)
    first, part, last, (turned,) = checkpoint.read(tmp_path / "a.safetensors")
    assert torch.equal(first, whole)
    assert torch.equal(last, whole)
    assert torch.equal(part, whole[0])
    assert torch.equal(turned, whole.mT)


def test_adam_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    def make() -> tuple[Tensor, torch.optim.Adam]:
        weight = torch.ones(3, requires_grad=True)
        return weight, torch.optim.Adam([weight], fused=True)

    def step(weight: Tensor, adam: torch.optim.Adam) -> None:
        weight.grad = torch.tensor([1.0, 2.0, 3.0])
        adam.step()

    (weight, adam), (other, resumed) = make(), make()
    step(weight, adam)
    checkpoint.write(tmp_path / "a", {"weight": weight, "adam": adam.state_dict()})
    stored = checkpoint.read(tmp_path / "a")
    other.data = stored["weight"]
    resumed.load_state_dict(stored["adam"])
    step(weight, adam)
    step(other, resumed)
    assert torch.equal(weight, other)


def test_a_kill_while_writing_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.safetensors"
    checkpoint.write(file, {"step": 1})

    def killed(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half a fi")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.write(file, {"step": 2})
    assert checkpoint.read(file) == {"step": 1}
    checkpoint.write(file, {"step": 3})
    assert checkpoint.read(file) == {"step": 3}
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", [b"", b"half a fi", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.safetensors holds no usable checkpoint: .*; remove it"):
        checkpoint.read(file)


def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="holds no set"):
        checkpoint.write(tmp_path / "a", {"names": {"x"}})
    assert not list(tmp_path.iterdir())
