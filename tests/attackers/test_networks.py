import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, instance_norm, pad

from refbench.attackers.networks import (
    InstanceNorm,
    PatchDiscriminator,
    ReflectionPad,
    ResidualGenerator,
    ToOneChannel,
    UNet,
    from_network,
    halvings_of,
    to_network,
)


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
    assert kinds.count(ReflectionPad) == 2
    assert kinds[:4] == [ReflectionPad, nn.Conv2d, InstanceNorm, nn.ReLU]
    assert kinds[-3:] == [ReflectionPad, ToOneChannel, nn.Tanh]
    first, *inside, last = convolutions(generator)
    assert (first.padding, last.padding) == ((0, 0), (0, 0))
    assert all(layer.padding == (1, 1) and layer.padding_mode == "zeros" for layer in inside)


def test_each_halving_and_doubling_is_exact() -> None:
    sizes: list[tuple[int, int]] = []
    generator = ResidualGenerator(2, 1)
    for layer in convolutions(generator):
        layer.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape[2:])))
    generator(torch.zeros(1, 1, 24, 40))
    assert sizes == [(24, 40), (12, 20), (6, 10), (6, 10), (6, 10), (12, 20), (24, 40), (24, 40)]


def test_strides_of_two_are_the_mirror_image_of_keras() -> None:
    def turned(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.flip(2, 3)

    layers = [layer for layer in convolutions(ResidualGenerator(2, 1)) if layer.stride == (2, 2)]
    down, up = layers[0], layers[2]
    assert isinstance(up, nn.ConvTranspose2d)
    images = torch.rand(1, 2, 8, 12)
    keras_down = conv2d(pad(images, (0, 1, 0, 1)), turned(down.weight), down.bias, stride=2)
    torch.testing.assert_close(turned(down(turned(images))), keras_down)
    features = torch.rand(1, 8, 4, 6)
    keras_up = conv_transpose2d(features, turned(up.weight), up.bias, stride=2)[..., :-1, :-1]
    torch.testing.assert_close(turned(up(turned(features))), keras_up)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_norm_is_of_each_image_and_channel(layout: torch.memory_format) -> None:
    norm = InstanceNorm(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    images = (5 * torch.rand(2, 3, 6, 4) + 2).to(memory_format=layout)
    mean, spread = images.mean((2, 3), keepdim=True), images.var((2, 3), correction=0, keepdim=True)
    expected = (images - mean) / (spread + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(images), expected)
    torch.testing.assert_close(norm(images), instance_norm(images, weight=norm.weight, bias=norm.bias, eps=1e-5))


def test_norms_scale_shift_and_use_the_image_itself_at_test_time() -> None:
    norms = [module for module in ResidualGenerator(4, 2).modules() if isinstance(module, nn.InstanceNorm2d)]
    assert len(norms) == 9
    assert all(norm.affine and norm.eps == 1e-5 and not norm.track_running_stats for norm in norms)
    generator = ResidualGenerator(4, 2)
    images = torch.rand(3, 1, 16, 16) * 2 - 1
    torch.testing.assert_close(generator.train()(images), generator.eval()(images))
    torch.testing.assert_close(generator(images)[1:2], generator(images[1:2]))


def test_deterministic_reflection_is_the_same_with_the_same_gradient() -> None:
    images = torch.rand(2, 3, 8, 6, requires_grad=True)
    layer, weights = ReflectionPad((3, 2, 1, 4)), torch.rand(2, 3, 13, 11)
    padded = layer(images)
    (gradient,) = torch.autograd.grad((padded * weights).sum(), images)
    torch.use_deterministic_algorithms(True)
    try:
        again = layer(images)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(again, padded)
    torch.testing.assert_close(torch.autograd.grad((again * weights).sum(), images)[0], gradient)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolution_to_one_channel_is_the_usual_one(layout: torch.memory_format) -> None:
    layer = ToOneChannel(3, 4)
    images = torch.rand(2, 3, 9, 7, requires_grad=True)
    results = [layer(images.contiguous(memory_format=layout)), conv2d(images, layer.weight, layer.bias)]
    assert results[0].shape == (2, 1, 6, 4)
    torch.testing.assert_close(*results)
    weights = torch.rand(2, 1, 6, 4)
    mine, usual = (torch.autograd.grad((result * weights).sum(), [images, *layer.parameters()]) for result in results)
    torch.testing.assert_close(mine, usual)


def test_the_papers_discriminator_has_its_counted_parameters_and_a_map_of_32_x_32() -> None:
    discriminator = PatchDiscriminator(64)
    assert parameters(discriminator) == 2_764_481
    assert [(c.out_channels, c.kernel_size, c.stride[0]) for c in convolutions(discriminator)] == [
        (64, (4, 4), 2),
        (128, (4, 4), 2),
        (256, (4, 4), 2),
        (512, (4, 4), 1),
        (1, (4, 4), 1),
    ]
    assert discriminator(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 32, 32)
    kinds = [type(layer) for layer in discriminator.layers]
    assert kinds[:3] == [nn.Conv2d, nn.LeakyReLU, nn.Conv2d], "no norm in the first layer"
    assert kinds[-2:] == [nn.ZeroPad2d, ToOneChannel], "nothing follows the last convolution, no sigmoid either"
    assert kinds.count(InstanceNorm) == 3
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
    # By Keras' `same`, from the last layer to the first: 15 to 18, 14 to 20, 27 to 42, 53 to 86, 105 to 174.
    assert (rows.min(), rows.max()) == (105, 174)


@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (24, 40), (64, 32)])
def test_generators_keep_the_size(size: tuple[int, int], inputs: int) -> None:
    images = torch.rand(2, inputs, *size) * 2 - 1
    for network in (ResidualGenerator(4, 1, inputs), UNet(4, halvings_of(*size), 0.0, inputs)):
        translated = network(images)
        assert translated.shape == (2, 1, *size)
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


def test_intensities_enter_the_range_of_tanh_and_come_back() -> None:
    intensities = torch.tensor([0.0, 0.25, 1.0])
    assert to_network(intensities).tolist() == [-1.0, -0.5, 1.0]
    assert torch.equal(from_network(to_network(intensities)), intensities)
    assert from_network(torch.tensor([-1.5, 1.5])).tolist() == [0.0, 1.0]
