import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm, leaky_relu

from refbench.attackers.gated_network import MOST, GatedConvolution, GatedUNet


def awake(network: GatedUNet) -> GatedUNet:
    """The same with a last layer that no longer answers 0."""
    nn.init.normal_(network.last.weight)
    return network


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def test_gates_open_and_close_features() -> None:
    layer = GatedConvolution(1, 2)
    with torch.no_grad():
        for convolution, factors in ((layer.features, [1.0, -2.0]), (layer.gates, [3.0, 0.5])):
            assert convolution.bias is not None
            convolution.weight.zero_()
            convolution.bias.zero_()
            convolution.weight[:, 0, 1, 1] = torch.tensor(factors)
    pixels = torch.randn(1, 1, 4, 5)
    parts = [leaky_relu(a * pixels, 0.2) * torch.sigmoid(b * pixels) for a, b in ((1, 3), (-2, 0.5))]
    opened = torch.cat(parts, dim=1)
    torch.testing.assert_close(layer(pixels), instance_norm(opened), atol=1e-4, rtol=1e-4)


def test_a_new_network_changes_nothing_and_yet_learns() -> None:
    network = GatedUNet(inputs=3, width=2, levels=2)
    answer = network(torch.rand(2, 3, 8, 12))
    assert answer.shape == (2, 1, 8, 12)
    assert not answer.any()
    (answer - 1).square().mean().backward()
    assert network.last.weight.grad is not None
    assert network.last.weight.grad.any()


@pytest.mark.parametrize("levels", [1, 3, 4])
def test_channels_double_up_to_a_limit_while_sides_halve(levels: int) -> None:
    network = GatedUNet(inputs=4, width=2, levels=levels)
    shapes: list[tuple[int, ...]] = []

    def note(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    for level in network.down:
        level.register_forward_hook(note)
    network(torch.rand(1, 4, 32, 48))
    assert shapes == [(2 * min(2**level, MOST), 16 // 2**level, 24 // 2**level) for level in range(levels)]
    assert convolutions(network)[0].in_channels == 4 * 4
    gated = 2 * levels + 2 * (levels - 1)
    assert len(convolutions(network)) == 2 * gated + 1


def test_every_level_and_every_input_has_a_say() -> None:
    torch.manual_seed(0)
    network = awake(GatedUNet(inputs=3, width=2, levels=2))
    images = torch.rand(1, 3, 8, 8, requires_grad=True)
    network(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().amax(dim=(0, 2, 3)).gt(0).all()
    assert all(layer.weight.grad is not None and layer.weight.grad.any() for layer in convolutions(network))


def test_fine_detail_passes_over_the_skips_and_the_whole_window_is_seen() -> None:
    torch.manual_seed(0)
    network = awake(GatedUNet(inputs=1, width=8, levels=4)).eval()
    images = torch.rand(1, 1, 64, 64)
    altered = images.clone()
    altered[0, 0, 5, 6] += 1
    change = (network(altered) - network(images))[0, 0].detach().abs()
    assert change[4:6, 6:8].mean() > change.mean(), "more changes where the pixel is than elsewhere"
    assert change[40:, 40:].max() > 1e-6, "and something far away"


def test_slices_are_answered_one_by_one() -> None:
    torch.manual_seed(0)
    network = awake(GatedUNet(inputs=2, width=2, levels=3)).eval()
    images = torch.rand(3, 2, 16, 16)
    together = network(images)
    for number in range(3):
        torch.testing.assert_close(
            network(images[number : number + 1]), together[number : number + 1], atol=1e-3, rtol=1e-3
        )
