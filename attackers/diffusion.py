"""The diffusion attacker, after the family of the strongest published attack on MRI."""

from __future__ import annotations

from pathlib import Path

from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.options import PairedNetwork
from refbench.plugin import param
from refbench.types import SlicePairs


class Diffusion(PairedNetwork):
    """A network guesses the changed region, and a denoising diffusion draws what the guess missed, given all it sees.

    A single sample is a plausible face, not the likeliest one: the mean of several is nearer to the truth, pixel by
    pixel. Noises come in pairs of opposite signs, whose errors cancel best. They are drawn once, from the training's
    seed, so that a reconstruction is the same every time.

    Source: Ho et al. 2020, "Denoising diffusion probabilistic models"; Saharia et al. 2022, "Palette: image-to-image
    diffusion models"; Whang et al. 2022, "Deblurring via stochastic refinement". Gao et al. 2025 (arXiv 2501.18834)
    attack MRI by a cascade of diffusions in 3D.
    """

    width: int = param(32, "channels of the network's first level; they double twice", ge=1)
    batch: int = param(16, "slices per step", ge=1)
    epochs: int = param(50, "passes over the training slices", ge=1)
    learning_rate: float = param(
        2e-3, "highest learning rate of Adam; it rises at first and falls along a cosine", gt=0
    )
    validations: int = param(
        5, "times that some validation people are asked; the best network so far is kept (0: the last)", ge=0
    )
    sampling_steps: int = param(25, "steps from noise to a face", ge=1)
    samples: int = param(4, "faces drawn for every slice, whose mean is the reconstruction", ge=1)

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Train on pairs and keep the average of the weights that the validation people liked best.

        Raises:
            DataError: there are no slices to train on.
            InvalidOutput: the training diverged.
        """
        from refbench.attackers.diffusion_training import train_diffusion

        return train_diffusion(self, train, validation, context)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        from refbench.attackers.denoiser import Denoiser
        from refbench.attackers.diffusion_training import painting
        from refbench.attackers.paired import PairedReconstructor

        return PairedReconstructor.load(folder, device, Denoiser, painting(self.sampling_steps))
