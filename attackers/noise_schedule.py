"""How a diffusion adds noise to images, and how it is taken away again.

Clean images and noise have a standard deviation of about 1 and lie at right angles to one another; to add noise is to
turn from the one to the other, by an angle of 0 (clean) to pi / 2 (noise alone). That is the cosine schedule of
Nichol & Dhariwal 2021 ("Improved denoising diffusion probabilistic models") in continuous time. What a network predicts
is the velocity of that turn (Salimans & Ho 2022, "Progressive distillation for fast sampling of diffusion models",
appendix D).

Images are [n, 1, h, w], angles [n]; everything is float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

NOISE_ALONE = math.pi / 2


def add_noise(clean: Tensor, noise: Tensor, angle: Tensor) -> Tensor:
    """Turn clean images towards noise: their variance stays what it is if both have the same."""
    cosine, sine = _sides(angle)
    return cosine * clean + sine * noise


def velocity_of(clean: Tensor, noise: Tensor, angle: Tensor) -> Tensor:
    """How noisy images change with the angle, which is what a network learns to predict from them."""
    cosine, sine = _sides(angle)
    return cosine * noise - sine * clean


def clean_of(noisy: Tensor, velocity: Tensor, angle: Tensor) -> Tensor:
    """The clean images that noisy ones with this velocity come from."""
    cosine, sine = _sides(angle)
    return cosine * noisy - sine * velocity


def noise_of(noisy: Tensor, velocity: Tensor, angle: Tensor) -> Tensor:
    """The noise in noisy images with this velocity."""
    cosine, sine = _sides(angle)
    return sine * noisy + cosine * velocity


def take_noise_away(noise: Tensor, predict: Callable[[Tensor, Tensor], Tensor], steps: int) -> Tensor:
    """Turn noise into clean images in equal steps, each along the velocity predicted where the last one ended.

    Nothing is drawn at random on the way (Song et al. 2021, "Denoising diffusion implicit models", eta 0): the same
    noise always becomes the same images.

    Args:
        noise: [n, 1, h, w].
        predict: the velocity [n, 1, h, w] of noisy images [n, 1, h, w] at angles [n].
        steps: at least 1, which gives what is predicted from the noise alone.
    """
    images, step = noise, NOISE_ALONE / steps
    for number in range(steps, 0, -1):
        angle = torch.full(images.shape[:1], number * step, device=images.device)
        images = math.cos(step) * images - math.sin(step) * predict(images, angle)
    return images


def _sides(angle: Tensor) -> tuple[Tensor, Tensor]:
    angle = angle[:, None, None, None]
    return angle.cos(), angle.sin()
