import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refbench.attackers.noise_schedule import (
    NOISE_ALONE,
    add_noise,
    clean_of,
    noise_of,
    take_noise_away,
    velocity_of,
)

angles = st.floats(0, NOISE_ALONE)
seeds = st.integers(0, 2**31)


def images(seed: int, count: int = 2) -> Tensor:
    return torch.randn(count, 1, 4, 6, generator=torch.Generator().manual_seed(seed))


def at(angle: float, count: int = 2) -> Tensor:
    return torch.full((count,), angle)


def test_it_goes_from_clean_images_to_noise_alone() -> None:
    clean, noise = images(0), images(1)
    assert torch.equal(add_noise(clean, noise, at(0.0)), clean)
    torch.testing.assert_close(add_noise(clean, noise, at(NOISE_ALONE)), noise)


def test_the_further_the_less_is_left_of_the_image() -> None:
    angle = torch.linspace(0, NOISE_ALONE, 50)
    left = add_noise(torch.ones(50, 1, 1, 1), torch.zeros(50, 1, 1, 1), angle).flatten()
    assert (left.diff() < 0).all()
    assert left[25].item() == pytest.approx(math.cos(NOISE_ALONE * 25 / 49))


def test_variance_stays() -> None:
    clean, noise = (torch.randn(1, 1, 300, 300, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    for angle in (0.2, 0.8, 1.4):
        assert add_noise(clean, noise, at(angle, 1)).var().item() == pytest.approx(1, abs=0.02)


@given(angle=angles, seed=seeds)
def test_noisy_image_and_velocity_hold_image_and_noise(angle: float, seed: int) -> None:
    clean, noise = images(seed), images(seed + 1)
    noisy, velocity = add_noise(clean, noise, at(angle)), velocity_of(clean, noise, at(angle))
    torch.testing.assert_close(clean_of(noisy, velocity, at(angle)), clean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(noise_of(noisy, velocity, at(angle)), noise, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(noisy.square() + velocity.square(), clean.square() + noise.square())


@given(angle=st.floats(0.01, NOISE_ALONE - 0.01), seed=seeds)
def test_velocity_is_the_change_with_the_angle(angle: float, seed: int) -> None:
    clean, noise = images(seed).double(), images(seed + 1).double()
    step = torch.full((2,), 1e-6, dtype=torch.float64)
    here = torch.full((2,), angle, dtype=torch.float64)
    change = (add_noise(clean, noise, here + step) - add_noise(clean, noise, here - step)) / 2e-6
    torch.testing.assert_close(change, velocity_of(clean, noise, here), atol=1e-6, rtol=1e-6)


def test_every_image_has_its_own_angle() -> None:
    clean, noise = images(0), images(1)
    together = add_noise(clean, noise, torch.tensor([0.3, 1.1]))
    assert torch.equal(together[:1], add_noise(clean[:1], noise[:1], at(0.3, 1)))
    assert torch.equal(together[1:], add_noise(clean[1:], noise[1:], at(1.1, 1)))


@settings(deadline=None)
@given(steps=st.integers(1, 60), seed=seeds)
def test_perfect_denoiser_arrives_at_the_image_from_any_noise(steps: int, seed: int) -> None:
    clean, noise = images(seed), images(seed + 1)

    def perfect(noisy: Tensor, angle: Tensor) -> Tensor:
        sine, cosine = angle.sin()[:, None, None, None], angle.cos()[:, None, None, None]
        return velocity_of(clean, (noisy - cosine * clean) / sine, angle)

    torch.testing.assert_close(take_noise_away(noise, perfect, steps), clean, atol=1e-4, rtol=1e-4)


def test_it_asks_in_equal_steps_from_noise_alone() -> None:
    asked: list[float] = []

    def predict(noisy: Tensor, angle: Tensor) -> Tensor:
        asked.append(angle[0].item())
        return torch.zeros_like(noisy)

    take_noise_away(images(0), predict, 4)
    assert asked == pytest.approx([NOISE_ALONE * share for share in (1, 0.75, 0.5, 0.25)])


def test_known_distribution_is_sampled_and_opposite_noises_meet_at_its_mean() -> None:
    # Pixels are normal with mean 3 and standard deviation 0.5; the best prediction of such an image is known.
    mean, spread = 3.0, 0.5

    def best(noisy: Tensor, angle: Tensor) -> Tensor:
        cosine, sine = angle.cos()[:, None, None, None], angle.sin()[:, None, None, None]
        gain = cosine * spread**2 / (cosine**2 * spread**2 + sine**2)
        clean = mean + gain * (noisy - cosine * mean)
        return velocity_of(clean, (noisy - cosine * clean) / sine, angle)

    noise = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    drawn, opposite = take_noise_away(noise, best, 200), take_noise_away(-noise, best, 200)
    assert drawn.mean().item() == pytest.approx(mean, abs=0.02)
    assert drawn.std().item() == pytest.approx(spread, abs=0.02)
    torch.testing.assert_close((drawn + opposite) / 2, torch.full_like(noise, mean), atol=1e-3, rtol=0)
