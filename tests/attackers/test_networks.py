import pytest
import torch
from torch import nn

from refbench.attackers.networks import PatchDiscriminator, ResidualGenerator, UNet, halvings_of


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolutions(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


def test_the_papers_generator_has_its_counted_parameters_and_convolutions() -> None:
    generator = ResidualGenerator(32, 9)
    assert parameters(generator) == 2_849_537
    assert len(convolutions(generator)) == 24


def test_generator_is_c7s1_32_d64_d128_nine_blocks_u64_u32_c7s1_1() -> None:
    layers = [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions(ResidualGenerator(32, 9))]
    assert layers == [(32, 7, 1), (64, 3, 2), (128, 3, 2), *[(128, 3, 1)] * 18, (64, 3, 2), (32, 3, 2), (1, 7, 1)]
    assert sum(isinstance(layer, nn.ConvTranspose2d) for layer in convolutions(ResidualGenerator(32, 9))) == 2


def test_generator_reflects_at_both_ends_and_pads_with_zeros_inside() -> None:
    generator = ResidualGenerator(32, 9)
    kinds = [type(layer) for layer in generator.layers]
    assert kinds.count(nn.ReflectionPad2d) == 2
    assert kinds[:4] == [nn.ReflectionPad2d, nn.Conv2d, nn.InstanceNorm2d, nn.ReLU]
    assert kinds[-3:] == [nn.ReflectionPad2d, nn.Conv2d, nn.Tanh]
    inside = convolutions(generator)[1:-1]
    assert all(layer.padding == (1, 1) and layer.padding_mode == "zeros" for layer in inside)


def test_norms_scale_shift_and_use_the_image_itself_at_test_time() -> None:
    norms = [module for module in ResidualGenerator(4, 2).modules() if isinstance(module, nn.InstanceNorm2d)]
    assert all(norm.affine and norm.eps == 1e-5 and not norm.track_running_stats for norm in norms)
    generator = ResidualGenerator(4, 2)
    images = torch.rand(3, 1, 16, 16) * 2 - 1
    torch.testing.assert_close(generator.train()(images), generator.eval()(images))


def test_the_papers_discriminator_has_its_counted_parameters_and_a_map_of_32_x_32() -> None:
    discriminator = PatchDiscriminator(64)
    assert parameters(discriminator) == 2_764_481
    assert [(c.out_channels, c.stride[0]) for c in convolutions(discriminator)] == [
        (64, 2),
        (128, 2),
        (256, 2),
        (512, 1),
        (1, 1),
    ]
    assert discriminator(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 32, 32)
    assert not isinstance(discriminator.layers[1], nn.InstanceNorm2d), "no norm in the first layer"
    assert all(layer.negative_slope == 0.2 for layer in discriminator.layers if isinstance(layer, nn.LeakyReLU))


def test_discriminator_sees_patches_of_70_x_70() -> None:
    # Norms mix the whole image, so they are taken out to see what one verdict looks at.
    layers = [layer for layer in PatchDiscriminator(2).layers if not isinstance(layer, nn.InstanceNorm2d)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
    images = torch.zeros(1, 1, 256, 256, requires_grad=True)
    nn.Sequential(*layers)(images)[0, 0, 16, 16].backward()
    assert images.grad is not None
    rows, columns = torch.nonzero(images.grad[0, 0], as_tuple=True)
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (70, 70)


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (64, 32)])
def test_generators_keep_the_size(size: tuple[int, int]) -> None:
    images = torch.rand(2, 1, *size) * 2 - 1
    for network in (ResidualGenerator(4, 1), UNet(4, halvings_of(*size), 0.0)):
        translated = network(images)
        assert translated.shape == images.shape
        assert translated.abs().max() <= 1


@pytest.mark.parametrize(
    ("size", "halvings"),
    [((256, 256), 8), ((512, 512), 8), ((128, 128), 7), ((64, 64), 6), ((96, 96), 5), ((64, 128), 6)],
)
def test_halvings_go_down_to_one_pixel_where_the_size_allows(size: tuple[int, int], halvings: int) -> None:
    assert halvings_of(*size) == halvings


def test_unet_of_the_paper_has_its_channels_and_dropout() -> None:
    unet = UNet(64, 8, 0.5)
    downward = [c.out_channels for encoder in unet.encoders for c in convolutions(encoder)]
    assert downward == [64, 128, 256, 512, 512, 512, 512, 512]
    upward = [(c.in_channels, c.out_channels) for decoder in unet.decoders for c in convolutions(decoder)]
    assert upward == [(128, 1), (256, 64), (512, 128), (1024, 256), (1024, 512), (1024, 512), (1024, 512), (512, 512)]
    drops = [layer.p for decoder in unet.decoders for layer in decoder.modules() if isinstance(layer, nn.Dropout)]
    assert [drop > 0 for drop in drops] == [False] * 5 + [True] * 3


def test_unet_carries_fine_detail_over_its_skips() -> None:
    unet = UNet(2, 4, 0.0)
    first, second = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    second[0, 0, 8, 8] = 1.0
    bottleneck = unet.decoders[-1]
    bottleneck.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    assert not torch.equal(unet(first), unet(second))
