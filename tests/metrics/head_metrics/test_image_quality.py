import numpy as np
import pytest

from refbench.metrics.head_metrics.image_quality import empty_blocks, entropy_focus, image_quality
from refbench.metrics.head_metrics.tissue import FLUID, GREY, WHITE, Tissues

SHAPE = (20, 20, 20)


def head_and_hat() -> tuple[np.ndarray, np.ndarray]:
    head, hat = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    head[5:15, 5:15, 5:15] = True
    hat[:, :, 10:] = True
    return head, hat


def noisy_head(seed: int = 0) -> np.ndarray:
    """Air from 1 to 3, a head of 100."""
    head, _ = head_and_hat()
    air = np.random.default_rng(seed).integers(1, 4, SHAPE)
    return np.where(head, 100, air).astype(np.float32)


def tissues() -> Tissues:
    """White matter 110 and 130, grey matter 70, 80 and 90."""
    intensity = np.array([110.0, 130, 110, 130, 70, 80, 90, 10])
    kind = np.array([WHITE] * 4 + [GREY] * 3 + [FLUID], np.int8)
    return Tissues(intensity, kind, 1.0)


def test_by_hand() -> None:
    voxels, (head, hat) = noisy_head(), head_and_hat()
    quality = image_quality(voxels, head, hat, tissues())
    air = voxels[hat & ~head].astype(float).std()
    grey_variance = 200 / 3
    assert quality.fber == 100**2 / 2**2
    assert quality.cnr == pytest.approx(40 / np.sqrt(air**2 + 100 + grey_variance))
    assert quality.cjv == pytest.approx((10 + 10) / 0.6744897501960817 / 40)
    assert quality.snr_grey == pytest.approx(80 / np.sqrt(grey_variance * 3 / 2))


def test_entropy_focus_between_its_extremes() -> None:
    one = np.zeros(1000)
    one[7] = 5.0
    assert entropy_focus(one) == 0
    assert entropy_focus(np.full(1000, 3.0)) == pytest.approx(1)
    assert entropy_focus(np.array([3.0, 4.0])) == pytest.approx(
        -(0.6 * np.log(0.6) + 0.8 * np.log(0.8)) / (np.sqrt(2) * np.log(np.sqrt(2)))
    )
    assert np.isnan(entropy_focus(np.zeros(5)))


@pytest.mark.parametrize("scale", [1e-3, 1e5])
def test_indifferent_to_the_scale(scale: float) -> None:
    (head, hat), found = head_and_hat(), tissues()
    scaled = Tissues(found.intensity * scale, found.kind, found.voxel_ml)
    expected = image_quality(noisy_head(), head, hat, found)
    got = image_quality((noisy_head() * scale).astype(np.float32), head, hat, scaled)
    assert vars(got) == pytest.approx(vars(expected), rel=1e-5)


def test_blocks_of_zeros_are_neither_noise_nor_signal() -> None:
    (head, hat), voxels = head_and_hat(), noisy_head()
    cut = voxels.copy()
    cut[:, 15:] = 0
    assert (empty_blocks(cut) == (cut == 0)).all()
    before = image_quality(voxels[:, :15], head[:, :15], hat[:, :15], tissues())
    after = image_quality(cut, head, hat, tissues())
    assert vars(after) == pytest.approx(vars(before))


def test_single_zeros_are_noise() -> None:
    voxels = noisy_head()
    voxels[::3, ::3, ::3] = 0
    assert not empty_blocks(voxels).any()


def test_air_without_any_signal() -> None:
    (head, hat) = head_and_hat()
    quality = image_quality(np.where(head, 100, 0).astype(np.float32), head, hat, tissues())
    assert np.isnan(quality.fber)
    assert quality.cnr == pytest.approx(40 / np.sqrt(100 + 200 / 3))
