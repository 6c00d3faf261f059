from __future__ import annotations

import numpy as np
import pytest

from refbench.anonymizers.noise import Noise
from refbench.anonymizers.regions import region_weight
from refbench.geometry import SKIN_FRACTION, air_level, skin_threshold
from refbench.types import Head


@pytest.mark.parametrize("strength", [0.1, 1, 3])
def test_the_noise_is_gaussian_with_its_strength_times_the_contrast(strength: float, template: Head) -> None:
    released = Noise(strength=strength).anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    noise = (released.voxels - template.voxels)[region_weight(template, "face") == 1]
    contrast = (skin_threshold(template.voxels) - air_level(template.voxels)) / SKIN_FRACTION
    assert noise.std() == pytest.approx(strength * contrast, rel=0.02)
    assert abs(noise.mean()) < 0.02 * strength * contrast
    assert (np.abs(noise) < strength * contrast).mean() == pytest.approx(0.683, abs=0.01)


def test_it_scales_with_the_scanner(template: Head) -> None:
    changed = [
        Noise().anonymize(template.with_voxels(scale * template.voxels + level), np.random.default_rng(1))
        for scale, level in ((np.float32(1), np.float32(0)), (np.float32(8), np.float32(-100)))
    ]
    first, second = (head.voxels for head in changed if isinstance(head, Head))
    np.testing.assert_allclose(second, 8 * first - 100, rtol=1e-3, atol=1)


def test_another_generator_gives_another_noise(template: Head) -> None:
    one, other = (Noise().anonymize(template, np.random.default_rng(seed)) for seed in (0, 1))
    assert isinstance(one, Head)
    assert isinstance(other, Head)
    face = region_weight(template, "face") == 1
    difference = (one.voxels - template.voxels)[face], (other.voxels - template.voxels)[face]
    assert abs(np.corrcoef(*difference)[0, 1]) < 0.02
