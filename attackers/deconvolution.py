"""Deconvolution: what classical filters get back of a blurred face, without ever having seen a face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refbench.attackers.averages import Posed
from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.attackers.blur_estimate import PEOPLE, measure
from refbench.attackers.deblurring import richardson_lucy, wiener
from refbench.attackers.inpainting import Inpainter, KnownOrEstimated, Surroundings, best, read
from refbench.attackers.point_spread import PointSpread, around
from refbench.plugin import param
from refbench.types import Mask, SlicePairs

Method = Literal["wiener", "richardson_lucy"]

SETTINGS: dict[Method, tuple[float, ...]] = {
    "wiener": (1e-3, 1e-2, 1e-4, 1e-5),
    "richardson_lucy": (32, 8, 128),
}
"""Noise-to-signal ratios, and iterations, to choose from."""


class Deconvolution(Attacker):
    """Classical deconvolution of the blurred region, by a blur that is measured on training pairs.

    Of the training people only the width of the blur is learnt, nothing about faces. The validation people choose how
    hard to sharpen, or some training people where there are none. Where nothing was blurred, nothing is done. Pixels
    outside the region are exact, and are used as such: near its edge they say what bled into it.

    Wiener, "Extrapolation, interpolation, and smoothing of stationary time series", 1949, with the power of the signal
    falling with the square of the frequency; Richardson, "Bayesian-based iterative method of image restoration", JOSA
    1972; Lucy, "An iterative technique for the rectification of observed distributions", AJ 1974.
    """

    method: Method = param("wiener", "wiener (linear) or richardson_lucy (iterative, keeps intensities positive)")
    region: KnownOrEstimated = param(
        "estimated", "whether the changed region is estimated from the released images or told"
    )

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        """Measure the blur, try each setting on the validation people; seconds."""
        surroundings, _ = Surroundings.learn(train, validation, self.region, context)
        candidates = sharpened(surroundings, self.method, train)
        return best(candidates, validation if len(validation) else some_people(train), context.judge)

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        """Read what `save` wrote."""
        return DeconvolutionReconstructor.from_arrays(read(folder))


def sharpened(surroundings: Surroundings, method: Method, train: SlicePairs) -> list[DeconvolutionReconstructor]:
    """A reconstructor for each setting of a method; one that does nothing where the training people have no blur."""
    spread = measure(train)
    settings = SETTINGS[method] if spread else SETTINGS[method][:1]
    return [DeconvolutionReconstructor(surroundings, 1.0, method, setting, spread) for setting in settings]


@dataclass(frozen=True)
class DeconvolutionReconstructor(Inpainter):
    """Undoes a known blur.

    Attributes:
        method: which filter. setting: its noise-to-signal ratio, or its iterations.
        spread: the blur; None where there was none.
    """

    method: Method
    setting: float
    spread: PointSpread | None

    def propose(self, person: Posed, mask: Mask) -> NDArray[np.float32]:
        """The region, sharpened."""
        if self.spread is None:
            return person.images[mask]
        alone = replace(person.stack, members=np.arange(len(person.images)))
        images, region = alone.volume(person.images), alone.volume(mask) > 0
        box = around(region, self.spread.reach())
        if self.method == "wiener":
            images[box] = wiener(images[box], region[box], self.spread, self.setting)
        else:
            images[box] = richardson_lucy(images[box], region[box], self.spread, int(self.setting))
        return images[person.stack.planes][mask]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The blur and how it is undone."""
        spread = self.spread.arrays() if self.spread else {}
        return {"method": np.array(self.method), "setting": np.array(self.setting), **spread}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> DeconvolutionReconstructor:
        """What was saved."""
        return cls(
            Surroundings.from_arrays(arrays),
            float(arrays["weight"]),
            "wiener" if str(arrays["method"]) == "wiener" else "richardson_lucy",
            float(arrays["setting"]),
            PointSpread.from_arrays(arrays),
        )


def some_people(train: SlicePairs) -> SlicePairs:
    """A few of the training people, who are as new to a method that learns no faces as anybody."""
    return train.take(np.isin(train.released.release, np.unique(train.released.release)[:PEOPLE]))
