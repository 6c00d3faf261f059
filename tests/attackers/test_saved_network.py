import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from refbench.attackers.pace import Pace
from refbench.attackers.saved_network import SavedNetwork
from refbench.attackers.training import Trained
from refbench.errors import StoreError


class Tiny(nn.Module):
    """A layer, dropout, and a number that is counted and not learnt."""

    def __init__(self, width: int, rate: float = 0.5) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.drop = nn.Dropout(rate)
        self.register_buffer("seen", torch.tensor(7))

    def forward(self, values: Tensor) -> Tensor:
        answer: Tensor = self.drop(self.layer(values))
        return answer


TRAINED = Trained([(10, -0.5), (20, -0.25)], 20, 20, Pace(bfloat16=True, channels_last=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a saved network that was trained in bfloat16."""
    torch.manual_seed(0)
    SavedNetwork.of({"width": 4, "rate": 0.25}, Tiny(4, 0.25), "cpu", TRAINED).save(tmp_path)
    return tmp_path


def test_a_network_comes_back_as_it_was(folder: Path) -> None:
    torch.manual_seed(0)
    network = Tiny(4, 0.25)
    loaded = SavedNetwork.load(folder, "cpu", Tiny)
    assert (loaded.arguments, loaded.device, loaded.trained) == ({"width": 4, "rate": 0.25}, "cpu", None)
    assert isinstance(loaded.network, Tiny)
    assert loaded.network.drop.p == 0.25
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)


def test_saving_what_was_loaded_writes_the_same_network(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = tmp_path_factory.mktemp("again")
    SavedNetwork.load(folder, "cpu", Tiny).save(again)
    for name in ("network.json", "weights.safetensors"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert not (again / "training.json").exists(), "nothing is known any more of how it went"


def test_it_answers_without_dropout_without_gradients_and_the_same_every_time(folder: Path) -> None:
    values = torch.rand(3, 4)
    with SavedNetwork.load(folder, "cpu", Tiny).answering() as network:
        answer = network(values)
        assert torch.equal(answer, network(values))
    assert not answer.requires_grad


@pytest.mark.parametrize(
    ("trained", "dtype"),
    [
        (TRAINED, torch.bfloat16),
        (Trained([], None, 3, Pace()), torch.float32),
        (None, torch.float32),
    ],
    ids=["bfloat16", "float32", "untrained"],
)
def test_it_answers_in_the_numbers_it_was_trained_in(
    trained: Trained | None, dtype: torch.dtype, tmp_path: Path
) -> None:
    saved = SavedNetwork.of({"width": 4}, Tiny(4), "cpu", trained)
    saved.save(tmp_path)
    for one in (saved, SavedNetwork.load(tmp_path, "cpu", Tiny)):
        with one.answering() as network:
            assert network(torch.rand(1, 4)).dtype == dtype
    assert not torch.is_autocast_enabled("cpu")
    assert torch.is_grad_enabled()


def test_the_curve_of_the_validations_is_kept(folder: Path) -> None:
    told = json.loads((folder / "training.json").read_text())
    assert told["curve"] == [[10, -0.5], [20, -0.25]]
    assert (told["best"], told["steps"], told["pace"]["channels_last"]) == (20, 20, True)


@pytest.mark.parametrize("file", ["network.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "nonsense"])
def test_a_damaged_file_is_named(file: str, damage: str, folder: Path) -> None:
    if damage == "missing":
        (folder / file).unlink()
    elif damage == "cut":
        (folder / file).write_bytes((folder / file).read_bytes()[:-8])
    else:
        (folder / file).write_bytes(b"{}")
    with pytest.raises(StoreError, match=file) as raised:
        SavedNetwork.load(folder, "cpu", Tiny)
    assert f"remove {folder} to train again" in str(raised.value)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    (folder / "network.json").write_text(json.dumps({"arguments": {"width": 5}, "bfloat16": False}))
    with pytest.raises(StoreError, match=r"weights\.safetensors"):
        SavedNetwork.load(folder, "cpu", Tiny)
