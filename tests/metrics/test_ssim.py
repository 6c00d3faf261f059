import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import structural_similarity

from refbench.metrics.ssim import SSIM
from refbench.types import Images, Region

images = arrays(np.float32, (2, 14, 13), elements=st.floats(0, 1, width=32))


def whole(shape: tuple[int, ...]) -> Region:
    return Region("whole", np.ones(shape, bool))


def random_images(shape: tuple[int, int, int] = (3, 40, 37), seed: int = 0) -> Images:
    return np.random.default_rng(seed).random(shape, np.float32)


def scikit_image(x: np.ndarray, y: np.ndarray, sigma: float = 1.5, data_range: float = 1.0) -> tuple[float, np.ndarray]:
    mean, similarity = structural_similarity(
        x.astype(np.float64),
        y.astype(np.float64),
        gaussian_weights=True,
        sigma=sigma,
        use_sample_covariance=False,
        data_range=data_range,
        full=True,
    )
    return mean, similarity


@pytest.mark.parametrize("shape", [(5, 11, 11), (5, 40, 37), (2, 75, 42), (2, 42, 43), (1, 128, 64)])
def test_equals_scikit_image_on_whole_images(shape: tuple[int, int, int]) -> None:
    x = random_images(shape, 1)
    y = np.clip(x + 0.3 * random_images(shape, 2) - 0.15, 0, 1).astype(np.float32)
    expected = [scikit_image(a, b)[0] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(SSIM().score(x, y, whole(shape)), expected, rtol=0, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(images, images)
def test_equals_scikit_image_on_any_images(x: Images, y: Images) -> None:
    expected = [scikit_image(a, b)[0] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(SSIM().score(x, y, whole(x.shape)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("sigma", "data_range"), [(0.8, 1.0), (2.5, 1.0), (1.5, 255.0)])
def test_equals_scikit_image_with_other_parameters(sigma: float, data_range: float) -> None:
    x, y = random_images(seed=1), random_images(seed=2)
    expected = [scikit_image(a, b, sigma, data_range)[0] for a, b in zip(x, y, strict=True)]
    score = SSIM(sigma=sigma, data_range=data_range).score(x, y, whole(x.shape))
    np.testing.assert_allclose(score, expected, rtol=0, atol=1e-12)


def test_flat_bright_images_keep_their_precision() -> None:
    x = np.full((1, 32, 32), 0.9, np.float32)
    y = x + (1e-3 * random_images((1, 32, 32))).astype(np.float32)
    expected = scikit_image(x[0], y[0])[0]
    np.testing.assert_allclose(SSIM().score(x, y, whole(x.shape)), expected, rtol=0, atol=1e-6)


def test_a_mask_takes_the_mean_of_the_map_inside_the_border() -> None:
    x, y, mask = random_images(seed=1), random_images(seed=2), random_images(seed=3) > 0.6
    inside = mask.copy()
    inside[:, :5] = inside[:, -5:] = False
    inside[:, :, :5] = inside[:, :, -5:] = False
    expected = [scikit_image(a, b)[1][m].mean() for a, b, m in zip(x, y, inside, strict=True)]
    np.testing.assert_allclose(SSIM().score(x, y, Region("face", mask)), expected, rtol=0, atol=1e-12)


def test_crops_before_it_computes() -> None:
    x, y = random_images(seed=1), random_images(seed=2)
    box = (slice(3, 33), slice(0, 18))
    expected = [scikit_image(a, b)[0] for a, b in zip(x[:, 3:33, :18], y[:, 3:33, :18], strict=True)]
    score = SSIM().score(x, y, Region("front_half", np.ones(x.shape, bool), box))
    np.testing.assert_allclose(score, expected, rtol=0, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(images, images)
def test_is_symmetric_and_bounded(x: Images, y: Images) -> None:
    score = SSIM().score(x, y, whole(x.shape))
    np.testing.assert_allclose(SSIM().score(y, x, whole(x.shape)), score, rtol=0, atol=1e-12)
    assert (np.abs(score) <= 1 + 1e-12).all()


@settings(max_examples=50, deadline=None)
@given(images)
def test_an_image_is_perfectly_similar_to_itself(x: Images) -> None:
    np.testing.assert_allclose(SSIM().score(x, x, whole(x.shape)), SSIM.ceiling, rtol=0, atol=1e-12)


def test_each_image_is_scored_on_its_own() -> None:
    x, y = random_images((9, 30, 30), 1), random_images((9, 30, 30), 2)
    together = SSIM().score(x, y, whole(x.shape))
    alone = [SSIM().score(x[i : i + 1], y[i : i + 1], whole((1, 30, 30)))[0] for i in range(9)]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)


def test_no_pixel_inside_the_border_has_no_score_and_no_warning() -> None:
    x = random_images()
    empty, border = np.zeros(x.shape, bool), np.ones(x.shape, bool)
    border[:, 5:-5, 5:-5] = False
    small = random_images((2, 10, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(SSIM().score(x, x, Region("changed", empty))).all()
        assert np.isnan(SSIM().score(x, x, Region("changed", border))).all()
        assert np.isnan(SSIM().score(small, small, whole(small.shape))).all()


def test_one_empty_mask_spoils_no_other_image() -> None:
    x, mask = random_images(), np.ones((3, 40, 37), bool)
    mask[1] = False
    np.testing.assert_allclose(SSIM().score(x, x, Region("changed", mask)), [1, np.nan, 1], rtol=0, atol=1e-12)


def test_leaves_the_images_alone_and_takes_none() -> None:
    x, y = random_images(seed=1), random_images(seed=2)
    x.flags.writeable = y.flags.writeable = False
    SSIM().score(x, y, whole(x.shape))
    assert SSIM().score(x[:0], y[:0], whole((0, 40, 37))).shape == (0,)
