"""A metric in three lines."""

import numpy as np

from refbench.metrics.base import Metric
from refbench.types import Images, Region


class MeanError(Metric):
    """One minus the mean absolute difference over the region."""

    def score(self, reference: Images, candidate: Images, region: Region) -> np.ndarray:
        difference = np.where(region.mask, np.abs(reference - candidate), np.nan)
        return 1 - np.array([np.nanmean(image) if np.isfinite(image).any() else np.nan for image in difference])
