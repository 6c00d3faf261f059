import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refbench.metrics.correlation import Correlation
from refbench.types import Images, Region

# Multiples of 1/256: the intensities of 8-bit slices, and far enough apart that "varies" is never a matter of rounding
images = arrays(np.float32, (2, 6, 5), elements=st.integers(0, 256).map(lambda level: level / 256))
masks = arrays(np.bool_, (2, 6, 5))


def whole(shape: tuple[int, ...]) -> Region:
    return Region("whole", np.ones(shape, bool))


def random_images(count: int = 3, seed: int = 0) -> Images:
    return np.random.default_rng(seed).random((count, 16, 12), np.float32)


def test_equals_numpy_over_the_mask() -> None:
    x, y = random_images(70, 1), random_images(70, 2)  # more than one block of images
    mask = random_images(70, 3) > 0.4
    expected = [np.corrcoef(a[m].astype(float), b[m].astype(float))[0, 1] for a, b, m in zip(x, y, mask, strict=True)]
    np.testing.assert_allclose(Correlation().score(x, y, Region("face", mask)), expected, rtol=0, atol=1e-12)


def test_looks_only_inside_the_box() -> None:
    x, y = random_images(seed=1), random_images(seed=2)
    box = (slice(2, 12), slice(0, 6))
    cropped = Correlation().score(x[:, 2:12, :6], y[:, 2:12, :6], whole((3, 10, 6)))
    np.testing.assert_array_equal(Correlation().score(x, y, Region("front_half", np.ones(x.shape, bool), box)), cropped)


def test_pixels_outside_the_mask_do_not_matter() -> None:
    x, y, mask = random_images(seed=1), random_images(seed=2), random_images(seed=3) > 0.5
    score = Correlation().score(x, y, Region("face", mask))
    np.testing.assert_array_equal(
        Correlation().score(x, np.where(mask, y, 7).astype(np.float32), Region("face", mask)), score
    )


@settings(max_examples=50, deadline=None)
@given(images, masks)
def test_an_image_correlates_perfectly_with_itself(x: Images, mask: np.ndarray) -> None:
    score = Correlation().score(x, x, Region("face", mask))
    varies = [len(np.unique(image[inside])) > 1 for image, inside in zip(x, mask, strict=True)]
    np.testing.assert_allclose(score[varies], Correlation.ceiling, rtol=0, atol=1e-12)
    assert np.isnan(score[np.logical_not(varies)]).all()


@settings(max_examples=50, deadline=None)
@given(images, images, masks)
def test_is_symmetric_and_bounded(x: Images, y: Images, mask: np.ndarray) -> None:
    score = Correlation().score(x, y, Region("face", mask))
    np.testing.assert_allclose(Correlation().score(y, x, Region("face", mask)), score, rtol=0, atol=1e-12)
    assert (np.abs(score[~np.isnan(score)]) <= 1).all()


@settings(max_examples=50, deadline=None)
@given(images, images, st.sampled_from([0.125, 0.5, 2.0, 8.0]), st.sampled_from([-2.0, 0.0, 0.25, 1.0]))
def test_ignores_brightness_and_contrast(x: Images, y: Images, contrast: float, brightness: float) -> None:
    changed = (contrast * y + brightness).astype(np.float32)  # exact: powers of two on multiples of 1/256
    region = whole(x.shape)
    np.testing.assert_allclose(
        Correlation().score(x, changed, region), Correlation().score(x, y, region), rtol=0, atol=1e-9
    )


def test_a_negative_is_minus_one() -> None:
    x = random_images()
    np.testing.assert_allclose(Correlation().score(x, 1 - x, whole(x.shape)), -1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3])
def test_a_constant_image_has_no_score(constant: float) -> None:
    x = random_images()
    flat = np.full_like(x, constant)
    for reference, candidate in ((x, flat), (flat, x), (flat, flat)):
        assert np.isnan(Correlation().score(reference, candidate, whole(x.shape))).all()


@pytest.mark.parametrize("pixels", [0, 1])
def test_fewer_than_two_pixels_have_no_score_and_no_warning(pixels: int) -> None:
    x = random_images(1)
    mask = np.zeros(x.shape, bool)
    mask.flat[:pixels] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(Correlation().score(x, x, Region("changed", mask))).all()


def test_tiny_contrast_is_still_contrast() -> None:
    x = (random_images() * 1e-30).astype(np.float32)
    np.testing.assert_allclose(Correlation().score(x, x, whole(x.shape)), 1, rtol=0, atol=1e-12)


def test_leaves_the_images_alone_and_takes_none() -> None:
    x, y = random_images(seed=1), random_images(seed=2)
    x.flags.writeable = y.flags.writeable = False
    Correlation().score(x, y, whole(x.shape))
    assert Correlation().score(x[:0], y[:0], whole((0, 16, 12))).shape == (0,)
